"""A plain hash of body and secret run together: legacy forms (EvenBet and others) that HMAC has replaced."""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from hashlib import new
from typing import Final

from .coverage import Coverage
from .hmac_form import NOBODY
from .keys import SigningKey
from .matching import match_key, read_signature, require_kind, take_keys

COVERAGE: Final = Coverage(
    scheme="body_digest",
    covered=("body",),
    uncovered=("method", "path", "query", "headers", "timestamp", "nonce"),
    is_weak=True,
    weakness=(
        "a plain hash is no message authentication: with the key first a signed body can be extended without the key,"
        " with the key last two bodies of one hash share every signature, and such pairs are made at will for MD5 and"
        " SHA-1"
    ),
)
ORDERS: Final = ("body_key", "key_body")

_SHAPES: Final = {
    digest: re.compile(rb"[0-9a-f]{%d}" % (new(digest).digest_size * 2))
    for digest in ("md5", "sha1", "sha256")
}


def sign_body_digest(key: SigningKey, body: bytes, *, digest: str = "sha256", order: str = "body_key") -> str:
    """The hash of the body followed by the key (`body_key`) or the key followed by the body, lower-case hex.

    `digest` is md5, sha1 or sha256. ValueError for another digest or order, TypeError for a key that is not a shared
    secret.
    """
    _shape_of(digest, order)
    return _render(require_kind(key, SigningKey).secret, body, digest, order).decode()


def verify_body_digest(
    keys: Iterable[SigningKey],
    body: bytes,
    signature: bytes | None,
    *,
    digest: str = "sha256",
    order: str = "body_key",
) -> str:
    """The id of the key that signed the body; SignatureRefused missing, malformed or mismatch.

    ValueError for another digest or order or more than `MAX_KEYS` keys, TypeError for a key that is not a shared
    secret: before the request is looked at.
    """
    shape = _shape_of(digest, order)
    held = take_keys(keys, SigningKey)
    presented = read_signature(signature, shape)
    return match_key(
        held, NOBODY, lambda key: hmac.compare_digest(_render(key.secret, body, digest, order), presented)
    )


def _shape_of(digest: str, order: str) -> re.Pattern[bytes]:
    if digest not in _SHAPES or order not in ORDERS:
        raise ValueError("the digest is md5, sha1 or sha256, the order body_key or key_body")
    return _SHAPES[digest]


def _render(secret: bytes, body: bytes, digest: str, order: str) -> bytes:
    text = body + secret if order == "body_key" else secret + body
    return new(digest, text).hexdigest().encode()
