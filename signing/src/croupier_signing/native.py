"""The native scheme: write, read and check one `Authorization` header."""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass

from .canonical import NONCE, SCHEME, canonical_request
from .keys import KEY_ID, SigningKey
from .refusal import RefusalReason, SignatureRefused, malformed

MAX_HEADER_BYTES = 1024
WINDOW_S = 30

_PARAMETER = re.compile(r'[ \t]*(key|ts|nonce|sig)="([A-Za-z0-9._:-]*)"[ \t]*')
_SHAPES = {
    "key": KEY_ID,
    "ts": re.compile(r"0|[1-9][0-9]{0,11}"),
    "nonce": NONCE,
    "sig": re.compile(r"[A-Za-z0-9_-]{43}"),
}
# The order our own signer writes, read in one match: a third of the time of the general reader below.
_AS_RENDERED = re.compile(
    SCHEME + " " + ", ".join(f'{name}="({form.pattern})"' for name, form in _SHAPES.items())
)
_NOBODY = SigningKey("nobody", secrets.token_bytes(32))


@dataclass(frozen=True, slots=True)
class SignedParts:
    """What a native `Authorization` header claims; nothing in it is proven until `verify_native` returns."""

    key_id: str
    timestamp_s: int
    nonce: str
    signature: str


def parse_authorization(value: bytes | str | None) -> SignedParts:
    """The claims of a native `Authorization` value, at most 1024 bytes, in any order, each exactly once.

    Total: whatever the input, it returns or raises SignatureRefused (missing when absent or empty, otherwise
    malformed).
    """
    if not value:
        raise SignatureRefused(RefusalReason.MISSING, "there is no Authorization header")
    if len(value) > MAX_HEADER_BYTES:
        raise malformed(f"the header is longer than {MAX_HEADER_BYTES} bytes")
    text = value if isinstance(value, str) else value.decode("latin-1")
    usual = _AS_RENDERED.fullmatch(text)
    if usual is not None:
        return SignedParts(usual[1], int(usual[2]), usual[3], usual[4])
    scheme, _, parameters = text.partition(" ")
    if scheme != SCHEME:
        raise malformed(f"the scheme is not {SCHEME}")
    found = _parse_parameters(parameters)
    return SignedParts(found["key"], int(found["ts"]), found["nonce"], found["sig"])


def _parse_parameters(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    # No accepted value holds a comma, so splitting first loses nothing; a fifth part is already too many.
    for part in text.split(",", len(_SHAPES)):
        match = _PARAMETER.fullmatch(part)
        if match is None:
            raise malformed('a parameter is not one of key, ts, nonce, sig written name="value"')
        name, value = match.groups()
        if name in found:
            raise malformed(f"{name} is given twice")
        if _SHAPES[name].fullmatch(value) is None:
            raise malformed(f"{name} does not have the required form")
        found[name] = value
    if len(found) != len(_SHAPES):
        raise malformed(f"{', '.join(sorted(_SHAPES.keys() - found.keys()))} is not given")
    return found


def render_authorization(parts: SignedParts) -> str:
    """The `Authorization` value that `parse_authorization` reads back as `parts`."""
    claims = f'key="{parts.key_id}", ts="{parts.timestamp_s}", nonce="{parts.nonce}"'
    return f'{SCHEME} {claims}, sig="{parts.signature}"'


def sign_native(
    key: SigningKey, *, method: str, path: bytes, query: bytes, timestamp_s: int, nonce: str, body: bytes
) -> str:
    """The `Authorization` value of one request; arguments and errors as in `canonical_request`."""
    message = canonical_request(
        method=method, path=path, query=query, timestamp_s=timestamp_s, nonce=nonce, body=body
    )
    signature = _render_signature(key.secret, message).decode()
    return render_authorization(SignedParts(key.id, timestamp_s, nonce, signature))


def verify_native(
    parts: SignedParts,
    *,
    key: SigningKey | None,
    method: str,
    path: bytes,
    query: bytes,
    body: bytes,
    now_s: int,
    window_s: int = WINDOW_S,
) -> None:
    """Return when `key` signed exactly this request within ±`window_s` of `now_s`, both ends included.

    Times in seconds. Raises SignatureRefused: malformed (method, path or query cannot be signed), mismatch,
    then stale. The signature is judged before the clock, so only a holder of the secret learns that a
    timestamp was wrong. `key` is the one looked up by `parts.key_id`; None, or a key of another id, does the
    same work and ends in mismatch. The caller then spends the nonce and refuses a known one as `replayed`.
    """
    message = canonical_request(
        method=method, path=path, query=query, timestamp_s=parts.timestamp_s, nonce=parts.nonce, body=body
    )
    candidate = key if key is not None and key.id == parts.key_id else _NOBODY
    expected = _render_signature(candidate.secret, message)
    is_genuine = hmac.compare_digest(expected, parts.signature.encode("utf-8", "replace"))
    if not is_genuine or candidate is _NOBODY:
        raise SignatureRefused(RefusalReason.MISMATCH)
    if abs(now_s - parts.timestamp_s) > window_s:
        raise SignatureRefused(RefusalReason.STALE)


def _render_signature(secret: bytes, message: bytes) -> bytes:
    return urlsafe_b64encode(hmac.digest(secret, message, "sha256"))[:-1]
