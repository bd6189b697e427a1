"""One live call on its way to the shadow process: a single datagram of JSON, without any key."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from croupier.errors import CATALOGUE, CroupierError
from croupier.moneypath.outcomes import Outcome
from croupier.providers.contract import Seat
from croupier.providers.shadow.live import LiveCall
from croupier.providers.verification import Headers, RawRequest

KEY_PLACE: Final = b"\0key\0"
"""Stands in the query where a static token was: no HTTP request has these bytes there."""

Canonical = tuple[str, dict[str, Any]]
"""An action's kind and its members, as JSON has them."""

_ENCODER: Final = msgspec.json.Encoder()


class Fault(Struct, frozen=True, gc=False):
    """An error of the catalogue, as far as an answer may tell it."""

    code: str
    detail: str
    field: str | None
    reason: str | None
    retry_after_s: int | None
    balance: tuple[int, str] | None


class Sample(Struct, frozen=True, gc=False, kw_only=True):
    """A live call, and how many were lost on the way since the last one that came through.

    `player_id` is None when the live adapter refused the request before it had a canonical form.
    """

    provider: str
    candidate: str
    dropped: int
    correlation_id: str
    method: str
    path: bytes
    query: bytes
    headers: Headers
    body: bytes
    received_at: datetime
    key_id: str
    fresh_token: str
    operation: str
    player_id: str | None
    token_hash: str | None
    actions: tuple[Canonical, ...]
    seat: Seat | None
    outcomes: tuple[Outcome, ...]
    fault: Fault | None
    status: int
    answer: bytes


_DECODER: Final = msgspec.json.Decoder(Sample)


def render_sample(
    call: LiveCall, *, provider: str, candidate: str, token: bytes | None, dropped: int
) -> bytes:
    """The datagram of a call; `token` is the secret that the query carries, if any, and is cut out of it."""
    raw, decoded, error = call.raw, call.decoded, call.error
    sample = Sample(
        provider=provider,
        candidate=candidate,
        dropped=dropped,
        correlation_id=call.correlation_id,
        method=raw.method,
        path=raw.path,
        query=raw.query if token is None else raw.query.replace(token, KEY_PLACE),
        headers=raw.headers,
        body=raw.body,
        received_at=raw.received_at,
        key_id=call.key_id,
        fresh_token=call.fresh_token,
        operation=call.operation,
        player_id=None if decoded is None else decoded.player_id,
        token_hash=None if decoded is None else decoded.token_hash,
        actions=() if decoded is None else _named(decoded.actions),
        seat=call.seat,
        outcomes=call.outcomes,
        fault=None if error is None else _fault(error),
        status=call.reply.status,
        answer=call.reply.body,
    )
    return _ENCODER.encode(sample)


def read_sample(datagram: bytes) -> Sample:
    """The call of a datagram. Raises msgspec.DecodeError for what is none."""
    return _DECODER.decode(datagram)


def render_actions(actions: tuple[Any, ...]) -> tuple[Canonical, ...]:
    """Actions in the form in which a sample has them."""
    encoded = _ENCODER.encode(_named(actions))
    return msgspec.json.decode(encoded, type=tuple[Canonical, ...])


def raw_of(sample: Sample, *, token: bytes | None) -> RawRequest:
    """The request as it arrived; `token` is put where it was cut out."""
    return RawRequest(
        method=sample.method,
        path=sample.path,
        query=sample.query if token is None else sample.query.replace(KEY_PLACE, token),
        headers=sample.headers,
        body=sample.body,
        received_at=sample.received_at,
    )


def error_of(fault: Fault) -> CroupierError:
    """The error as the live adapter was given it."""
    return CroupierError(
        CATALOGUE[fault.code],
        fault.detail,
        field=fault.field,
        reason=fault.reason,
        retry_after_s=fault.retry_after_s,
        balance=fault.balance,
    )


def _named(actions: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((type(action).__name__, action) for action in actions)


def _fault(error: CroupierError) -> Fault:
    return Fault(error.kind.code, error.detail, error.field, error.reason, error.retry_after_s, error.balance)
