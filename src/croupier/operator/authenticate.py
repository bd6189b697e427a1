"""Who is calling: a bearer token known by its hash, or a native signature (docs/reference/signature.md)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from croupier.errors import UNAUTHENTICATED, CroupierError
from croupier.ids import bucket_of
from croupier.moneypath.commands import Nonce
from croupier.operator.deps import OperatorKey
from croupier.providers.arrival import Head
from croupier_signing import (
    SCHEME,
    WINDOW_S,
    RefusalReason,
    SignatureRefused,
    SignedParts,
    api_key_matches,
    parse_authorization,
    verify_native,
)

NONCE_GRACE_S: Final = 60

_BEARER: Final = "bearer "
_REFUSALS: Final = {
    RefusalReason.MISSING: "send Authorization: Bearer and your token, or sign the request",
    RefusalReason.MALFORMED: "the Authorization header cannot be read; give it once, as Bearer or signed",
    RefusalReason.STALE: "the timestamp is outside the window; set the clock and sign anew",
    RefusalReason.MISMATCH: "no key fits: the token, or the signature of these very bytes, is not right",
}


class Caller(Struct, frozen=True):
    """A proven caller, and the nonce that a signed request must spend."""

    key: OperatorKey
    nonce: Nonce | None


def authorization_of(head: Head) -> str:
    """The one Authorization header; raises unauthenticated when it is missing or there are several."""
    values = [value for name, value in head.headers if name == b"authorization"]
    if len(values) > 1:
        raise _refused(RefusalReason.MALFORMED)
    if not values or not values[0]:
        raise _refused(RefusalReason.MISSING)
    return values[0].decode("latin-1")


def is_signed(authorization: str) -> bool:
    """Whether the body is needed to judge the header."""
    return authorization.startswith(SCHEME)


def find_bearer(authorization: str, keys: tuple[OperatorKey, ...]) -> Caller:
    """The caller of a bearer token; raises unauthenticated.

    Every key is compared, so timing does not tell.
    """
    if not authorization.lower().startswith(_BEARER):
        raise _refused(RefusalReason.MALFORMED)
    token = authorization[len(_BEARER) :].strip()
    fitting = [key for key in keys if key.token_hash is not None and api_key_matches(token, key.token_hash)]
    if not fitting:
        raise _refused(RefusalReason.MISMATCH)
    return Caller(fitting[0], None)


def find_signer(
    authorization: str, head: Head, body: bytes, keys: tuple[OperatorKey, ...], now: datetime
) -> Caller:
    """The caller of a native signature; raises unauthenticated. The nonce is only claimed here."""
    try:
        parts = parse_authorization(authorization)
        key = _signing_key(keys, parts)
        verify_native(
            parts,
            key=None if key is None else key.signing_key,
            method=head.method,
            path=head.path,
            query=head.query,
            body=body,
            now_s=int(now.timestamp()),
        )
    except SignatureRefused as refusal:
        raise _refused(refusal.reason) from None
    assert key is not None, "no signature verifies without a key"  # noqa: S101 (narrowing)
    return Caller(key, _nonce(parts))


def _signing_key(keys: tuple[OperatorKey, ...], parts: SignedParts) -> OperatorKey | None:
    return next((key for key in keys if key.signing_key is not None and key.id == parts.key_id), None)


def _nonce(parts: SignedParts) -> Nonce:
    expires_s = parts.timestamp_s + 2 * WINDOW_S + NONCE_GRACE_S
    return Nonce(bucket_of(parts.nonce), parts.key_id, parts.nonce, datetime.fromtimestamp(expires_s, UTC))


def _refused(reason: RefusalReason) -> CroupierError:
    return CroupierError(UNAUTHENTICATED, _REFUSALS[reason], reason=reason.value)
