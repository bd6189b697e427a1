"""A delivery: one verified webhook as the inbox keeps it, raw, with what its body says to find it by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from croupier.providers.arrival import Head
from croupier.providers.notices import Notice
from croupier.providers.verification import Headers, Verified
from croupier_signing import payload_digest

MAX_HEADER_BYTES: Final = 16_384
"""How much of a webhook's headers is kept, beside those that sign it: the signer has bounds of its own for these."""

_SIGNING: Final = frozenset({b"webhook-id", b"webhook-timestamp", b"webhook-signature"})
_CREDENTIALS: Final = frozenset({b"authorization", b"proxy-authorization", b"cookie", b"x-api-key"})
"""What a proxy may have added and nobody needs to see again."""
_MASK: Final = "***"
_NUL_IN_JSON: Final = "\\u0000"
_ENCODER: Final = msgspec.json.Encoder()


class Delivery(NamedTuple):
    """The fields of `delivery_row` in their order; a tuple, because that is what the driver takes as it is.

    `amount` is in minor units, as text. `order_key` names what its order is kept for.
    """

    bucket: int
    provider: str
    delivery_id: str
    id: UUID
    type: str
    player_id: str | None
    session_id: UUID | None
    provider_round_id: str | None
    reference: str | None
    asset: str | None
    amount: str | None
    occurred_at: datetime | None
    path: str
    headers: str
    body: bytes
    body_digest: str
    key_id: str
    verified_as: str
    signed_at: datetime
    received_at: datetime
    correlation_id: str
    trace_id: str | None
    order_key: str


class Origin(NamedTuple):
    """Where a delivery came from and how it is told apart: beside what was signed and what it says."""

    provider: str
    id: UUID
    bucket: int
    verified_as: str
    correlation_id: str


def render_delivery(verified: Verified, notice: Notice, head: Head, origin: Origin) -> Delivery:
    """What is kept of a verified webhook that could be read."""
    raw = verified.raw
    return Delivery(
        origin.bucket,
        origin.provider,
        verified.nonce or "",
        origin.id,
        notice.type,
        notice.player_id or None,
        notice.session_id,
        notice.round_id,
        notice.reference,
        notice.asset,
        None if notice.amount is None else str(notice.amount),
        notice.occurred_at,
        text_of(raw.path),
        render_headers(raw.headers),
        raw.body,
        payload_digest(raw.body),
        verified.key_id,
        origin.verified_as,
        datetime.fromtimestamp(verified.timestamp_s or 0, UTC),
        raw.received_at,
        origin.correlation_id,
        head.trace_id,
        notice.order_key,
    )


def render_headers(headers: Headers) -> str:
    """Headers as a JSON array of pairs, in the order they came; credentials are masked, a flood of them is cut off."""
    room = MAX_HEADER_BYTES
    pairs: list[tuple[str, str]] = []
    for name, value in headers:
        if name not in _SIGNING:
            room -= len(name) + len(value)
            if room < 0:
                continue
        shown = _MASK if name in _CREDENTIALS else value.decode("latin-1")
        pairs.append((name.decode("latin-1"), shown))
    text = _ENCODER.encode(pairs).decode()
    if _NUL_IN_JSON in text:
        text = _ENCODER.encode([(_without_nul(name), _without_nul(value)) for name, value in pairs]).decode()
    return text


def text_of(value: bytes) -> str:
    """A stranger's bytes as text, one character each, but for NUL, which the database cannot hold."""
    return _without_nul(value.decode("latin-1"))


def _without_nul(text: str) -> str:
    return text.replace("\0", "\ufffd")
