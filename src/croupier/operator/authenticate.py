"""Who is calling: a bearer token known by its hash, or a native or RFC 9421 signature (docs/reference/signature.md)."""

from __future__ import annotations

from collections.abc import Mapping
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
    Algorithm,
    MessageRequest,
    Policy,
    RefusalReason,
    SignatureRefused,
    SignedParts,
    VerifiedMessage,
    api_key_matches,
    parse_authorization,
    verify_message,
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
_MESSAGE_MALFORMED: Final = (
    "the signature cannot be read, or lacks one of @method, @path, @query, content-digest, created, keyid,"
    " nonce"
)
_MESSAGE_FIELDS: Final = frozenset({b"signature-input", b"signature"})
_MESSAGE_POLICY: Final = Policy(parameters=("nonce",), algorithms=(Algorithm.HMAC_SHA256,))
# TLS may end at a proxy, so which of the two the caller used cannot be seen here.
_SCHEMES: Final = ("https", "http")


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


def is_message_signed(head: Head) -> bool:
    """Whether RFC 9421 decides: there is one of its fields and no Authorization, which would come first."""
    names = {name for name, _ in head.headers}
    return b"authorization" not in names and not _MESSAGE_FIELDS.isdisjoint(names)


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
    return Caller(key, _nonce(parts.timestamp_s, parts.key_id, parts.nonce))


def find_message_signer(head: Head, body: bytes, keys: tuple[OperatorKey, ...], now: datetime) -> Caller:
    """The caller of an RFC 9421 signature by a shared secret; raises unauthenticated.

    Its nonce is required and, as with a native signature, only claimed here.
    """
    known = {key.id: key for key in keys if key.signing_key is not None}
    try:
        verified = _verify_message(head, body, known, int(now.timestamp()))
    except SignatureRefused as refusal:
        detail = _MESSAGE_MALFORMED if refusal.reason is RefusalReason.MALFORMED else None
        raise _refused(refusal.reason, detail) from None
    assert verified.nonce is not None, "the policy asks for a nonce"  # noqa: S101 (narrowing)
    return Caller(known[verified.key_id], _nonce(verified.created_s, verified.key_id, verified.nonce))


def _verify_message(head: Head, body: bytes, known: Mapping[str, OperatorKey], now_s: int) -> VerifiedMessage:
    keys = [key.signing_key for key in known.values() if key.signing_key is not None]
    hosts = [value.decode("latin-1") for name, value in head.headers if name == b"host"]
    authority = hosts[0] if len(hosts) == 1 else ""
    mismatch = SignatureRefused(RefusalReason.MISMATCH)
    for scheme in _SCHEMES:
        request = MessageRequest(head.method, scheme, authority, head.path, head.query, head.headers, body)
        try:
            return verify_message(keys, request, now_s=now_s, policy=_MESSAGE_POLICY)
        except SignatureRefused as refusal:
            if refusal.reason is not RefusalReason.MISMATCH:
                raise
            mismatch = refusal
    raise mismatch


def _signing_key(keys: tuple[OperatorKey, ...], parts: SignedParts) -> OperatorKey | None:
    return next((key for key in keys if key.signing_key is not None and key.id == parts.key_id), None)


def _nonce(timestamp_s: int, key_id: str, nonce: str) -> Nonce:
    expires_s = timestamp_s + 2 * WINDOW_S + NONCE_GRACE_S
    return Nonce(bucket_of(nonce), key_id, nonce, datetime.fromtimestamp(expires_s, UTC))


def _refused(reason: RefusalReason, detail: str | None = None) -> CroupierError:
    return CroupierError(UNAUTHENTICATED, detail or _REFUSALS[reason], reason=reason.value)
