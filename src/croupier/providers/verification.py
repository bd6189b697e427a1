"""Verified requests: unverified bytes have a type of their own, and only the verifiers here turn it into another one.

One verifier for each way of signing (docs/explanation/signing-profiles.md). An adapter chooses which one its protocol
uses and where the signature travels; it cannot state that a request is verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NoReturn, TypeGuard, TypeVar, final

from msgspec import Struct

from croupier.errors import UNAUTHENTICATED, CroupierError
from croupier_signing import (
    Key,
    MessageRequest,
    Policy,
    PublicKey,
    RefusalReason,
    SignatureRefused,
    SigningKey,
    VerifiedMessage,
    parse_authorization,
    payload_digest,
    read_form,
    verify_canonical_body,
    verify_canonical_query,
    verify_message,
    verify_native,
    verify_raw_hmac,
    verify_rsa_body,
    verify_sorted_form,
    verify_static_token,
    verify_webhook,
)

K = TypeVar("K", SigningKey, PublicKey)

Headers = tuple[tuple[bytes, bytes], ...]
"""Header names in lower case with their values, in the order they were sent, repeats kept."""

InboundKeys = Mapping[str, Key]
"""The keys that may have signed, by key id: two or more are valid while a key is rotated."""


class RawRequest(Struct, frozen=True, gc=False, kw_only=True):
    """A request as it arrived on the public side; nothing in it is proven. `received_at` is in UTC."""

    method: str
    path: bytes
    query: bytes
    headers: Headers
    body: bytes
    received_at: datetime


@final
class Verified:
    """A request whose sender is proven: the only thing `decode` accepts, made by verifiers here only.

    `nonce`, `timestamp_s` (Unix seconds) and `window_s` are None where a protocol has none.
    """

    __slots__ = ("key_id", "nonce", "raw", "timestamp_s", "window_s")

    raw: RawRequest
    key_id: str
    nonce: str | None
    timestamp_s: int | None
    window_s: int | None

    def __init__(self, *_: object, **__: object) -> None:
        """Refuse: there is no way to state that a request is verified, only to verify it."""
        raise TypeError("Verified is made by a verifier only")

    def __init_subclass__(cls, **_: object) -> NoReturn:
        raise TypeError("Verified has no subclasses")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("Verified is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("Verified is frozen")

    def __reduce_ex__(self, _: object) -> NoReturn:
        """Refuse copying and pickling, which would make one without a verifier."""
        raise TypeError("Verified is made by a verifier only")


def _seal(
    raw: RawRequest,
    *,
    key_id: str,
    nonce: str | None = None,
    timestamp_s: int | None = None,
    window_s: int | None = None,
) -> Verified:
    verified: Verified = object.__new__(Verified)
    put = object.__setattr__
    put(verified, "raw", raw)
    put(verified, "key_id", key_id)
    put(verified, "nonce", nonce)
    put(verified, "timestamp_s", timestamp_s)
    put(verified, "window_s", window_s)
    return verified


MAX_SECONDS_DIGITS: Final = 12

_AUTHORIZATION: Final = b"authorization"
_MESSAGE_FIELDS: Final = frozenset({b"signature-input", b"signature"})
_REFUSALS: Final = {
    RefusalReason.MISSING: "the request carries no signature; sign it",
    RefusalReason.MALFORMED: "the signature (given once), or what it covers, cannot be read",
    RefusalReason.STALE: "the timestamp is outside the window; set the clock and sign anew",
    RefusalReason.REPLAYED: "the nonce was used before; sign anew",
    RefusalReason.MISMATCH: "the signature does not match this request and key; sign the bytes that are sent",
}


def verify_native_signature(raw: RawRequest, keys: InboundKeys, now: datetime, *, window_s: int) -> Verified:
    """Check the native scheme (docs/reference/signature.md).

    Raises CroupierError (unauthenticated) with reason missing, malformed, mismatch or stale. An unknown key
    and a wrong signature cannot be told apart. The nonce is only claimed here; whoever commits the call
    spends it.
    """
    try:
        parts = parse_authorization(find_header(raw, _AUTHORIZATION))
        key = keys.get(parts.key_id)
        verify_native(
            parts,
            key=key if isinstance(key, SigningKey) else None,
            method=raw.method,
            path=raw.path,
            query=raw.query,
            body=raw.body,
            now_s=int(now.timestamp()),
            window_s=window_s,
        )
    except SignatureRefused as refusal:
        raise _unauthenticated(refusal.reason) from None
    return _seal(
        raw, key_id=parts.key_id, nonce=parts.nonce, timestamp_s=parts.timestamp_s, window_s=window_s
    )


def verify_native_or_message(raw: RawRequest, keys: InboundKeys, now: datetime, *, window_s: int) -> Verified:
    """Check the native scheme, or RFC 9421 where the request has its fields and no Authorization. Raises likewise."""
    names = {name for name, _ in raw.headers}
    if _AUTHORIZATION in names or not (_MESSAGE_FIELDS & names):
        return verify_native_signature(raw, keys, now, window_s=window_s)
    return verify_message_signature(raw, keys, now, window_s=window_s)


def verify_message_signature(raw: RawRequest, keys: InboundKeys, now: datetime, *, window_s: int) -> Verified:
    """Check an RFC 9421 signature over method, path, query and `Content-Digest`, with created, keyid and nonce.

    Raises as the native one does.
    """
    policy = Policy(parameters=("nonce",), window_s=window_s)
    usable = [key for key in keys.values() if isinstance(key, SigningKey | PublicKey)]
    now_s = int(now.timestamp())
    try:
        message = _verify_for_schemes(raw, usable, now_s, policy)
    except SignatureRefused as refusal:
        raise _unauthenticated(refusal.reason) from None
    return _seal(
        raw,
        key_id=message.key_id,
        nonce=message.nonce,
        timestamp_s=message.created_s,
        window_s=window_s,
    )


def _verify_for_schemes(
    raw: RawRequest, keys: list[SigningKey | PublicKey], now_s: int, policy: Policy
) -> VerifiedMessage:
    """TLS may end at a proxy, so which scheme the caller used cannot be seen here: either will do."""
    host = find_header(raw, b"host") or b""
    mismatch = SignatureRefused(RefusalReason.MISMATCH)
    for scheme in ("https", "http"):
        request = MessageRequest(
            raw.method, scheme, host.decode("latin-1"), raw.path, raw.query, raw.headers, raw.body
        )
        try:
            return verify_message(keys, request, now_s=now_s, policy=policy)
        except SignatureRefused as refusal:
            if refusal.reason is not RefusalReason.MISMATCH:
                raise
            mismatch = refusal
    raise mismatch


def verify_hmac_header(
    raw: RawRequest, keys: InboundKeys, *, header: bytes, digest: str = "sha256", encoding: str = "hex"
) -> Verified:
    """Check an HMAC of the raw body in a header; the protocol has no freshness. Raises as the native one does."""
    try:
        signature = find_header(raw, header)
        key_id = verify_raw_hmac(
            _of_kind(keys, SigningKey), raw.body, signature, digest=digest, encoding=encoding
        )
    except SignatureRefused as refusal:
        raise _unauthenticated(refusal.reason) from None
    return _seal(raw, key_id=key_id)


def verify_rsa_header(raw: RawRequest, keys: InboundKeys, *, header: bytes) -> Verified:
    """Check an RSA-SHA256 signature of the raw body in a header. Raises as the native one does."""
    try:
        usable = [key for key in _of_kind(keys, PublicKey) if key.is_rsa]
        key_id = verify_rsa_body(usable, raw.body, find_header(raw, header))
    except SignatureRefused as refusal:
        raise _unauthenticated(refusal.reason) from None
    return _seal(raw, key_id=key_id)


def verify_canonical_header(raw: RawRequest, keys: InboundKeys, *, header: bytes) -> Verified:
    """Check an HMAC of canonical JSON in a header: of the query for GET, else of the body. Raises as the native one."""
    shared = _of_kind(keys, SigningKey)
    try:
        signature = find_header(raw, header)
        if raw.method == "GET":
            key_id = verify_canonical_query(shared, raw.query, signature)
        else:
            key_id = verify_canonical_body(shared, raw.body, signature)
    except SignatureRefused as refusal:
        raise _unauthenticated(refusal.reason) from None
    return _seal(raw, key_id=key_id)


class FormHeaders(Struct, frozen=True):
    """Where a signed form has its parts: the headers that are signed with it, among them time and nonce."""

    merchant: str
    timestamp: str
    nonce: str
    signature: str


def verify_form_headers(
    raw: RawRequest, keys: InboundKeys, now: datetime, *, names: FormHeaders, window_s: int
) -> Verified:
    """Check an HMAC over a form merged with three headers, its time and its nonce. Raises as the native one does."""
    try:
        signature = find_header(raw, names.signature.lower().encode())
        if not signature:
            raise SignatureRefused(RefusalReason.MISSING)
        headers = {
            name: _text(find_header(raw, name.lower().encode()))
            for name in (names.merchant, names.timestamp, names.nonce)
        }
        key_id = verify_sorted_form(_of_kind(keys, SigningKey), read_form(raw.body), headers, signature)
        timestamp_s = _seconds(headers[names.timestamp])
        if abs(int(now.timestamp()) - timestamp_s) > window_s:
            raise SignatureRefused(RefusalReason.STALE)
    except SignatureRefused as refusal:
        raise _unauthenticated(refusal.reason) from None
    nonce = headers[names.nonce]
    return _seal(raw, key_id=key_id, nonce=nonce, timestamp_s=timestamp_s, window_s=window_s)


def verify_query_token(raw: RawRequest, keys: InboundKeys, *, name: bytes) -> Verified:
    """Check a static token in the query: it covers nothing of the request. Raises as the native one does."""
    given = [part[len(name) + 1 :] for part in raw.query.split(b"&") if part.startswith(name + b"=")]
    try:
        if len(given) > 1:
            raise SignatureRefused(RefusalReason.MALFORMED, "the token is given twice")
        key_id = verify_static_token(_of_kind(keys, SigningKey), given[0] if given else None)
    except SignatureRefused as refusal:
        raise _unauthenticated(refusal.reason) from None
    return _seal(raw, key_id=key_id)


def verify_webhook_headers(raw: RawRequest, keys: InboundKeys, now: datetime, *, window_s: int) -> Verified:
    """Check the three headers of Standard Webhooks. Raises as the native one does.

    `nonce` of the result is the delivery id: the sender repeats it with every attempt, and signs each one's own time.
    """
    usable = [key for key in keys.values() if _may_sign_webhooks(key)]
    try:
        parts = verify_webhook(
            usable,
            webhook_id=find_header(raw, b"webhook-id"),
            timestamp=find_header(raw, b"webhook-timestamp"),
            signature=find_header(raw, b"webhook-signature"),
            body=raw.body,
            now_s=int(now.timestamp()),
            window_s=window_s,
        )
    except SignatureRefused as refusal:
        raise _unauthenticated(refusal.reason) from None
    return _seal(
        raw, key_id=parts.key_id, nonce=parts.webhook_id, timestamp_s=parts.timestamp_s, window_s=window_s
    )


class StoredDelivery(Struct, frozen=True, gc=False, kw_only=True):
    """A delivery as the inbox keeps it; only verified ones are kept."""

    delivery_id: str
    path: str
    body: bytes
    body_digest: str
    key_id: str
    signed_at_s: int
    received_at: datetime


def reopen_delivery(stored: StoredDelivery) -> Verified:
    """A stored delivery, verified when it came, as `decode` takes it: its key may be revoked and its time long past.

    Raises:
        ValueError: the body is not the one that was verified.
    """
    if payload_digest(stored.body) != stored.body_digest:
        raise ValueError(f"the body of delivery {stored.delivery_id} is not the one that was verified")
    raw = RawRequest(
        method="POST",
        path=stored.path.encode(),
        query=b"",
        headers=(),
        body=stored.body,
        received_at=stored.received_at,
    )
    return _seal(raw, key_id=stored.key_id, nonce=stored.delivery_id, timestamp_s=stored.signed_at_s)


def find_header(raw: RawRequest, wanted: bytes) -> bytes | None:
    """A header's value, None when absent; SignatureRefused (malformed) when it is given twice."""
    found: bytes | None = None
    for name, value in raw.headers:
        if name == wanted:
            if found is not None:
                raise SignatureRefused(RefusalReason.MALFORMED, f"there are two {wanted.decode()} headers")
            found = value
    return found


def _may_sign_webhooks(key: Key) -> TypeGuard[SigningKey | PublicKey]:
    """Shared secrets and the public halves of Ed25519 pairs; a provider may hold keys of other kinds beside them."""
    return isinstance(key, SigningKey) or (isinstance(key, PublicKey) and key.is_ed25519)


def _of_kind(keys: InboundKeys, kind: type[K]) -> list[K]:
    return [key for key in keys.values() if isinstance(key, kind)]


def _text(value: bytes | None) -> str:
    if not value:
        raise SignatureRefused(RefusalReason.MISSING)
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise SignatureRefused(RefusalReason.MALFORMED) from None


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_SECONDS_DIGITS):
        raise SignatureRefused(RefusalReason.MALFORMED, "the timestamp is not in Unix seconds")
    return int(text)


def _unauthenticated(reason: RefusalReason) -> CroupierError:
    return CroupierError(UNAUTHENTICATED, _REFUSALS[reason], reason=reason.value)
