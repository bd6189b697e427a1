"""`Content-Digest` (RFC 9530): the field that carries a body's hash, so that a signature can cover the body."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final

from .refusal import RefusalReason, SignatureRefused, malformed
from .structured_fields import Item, parse_dictionary, render_item

CONTENT_DIGEST: Final = "content-digest"
# The registry's other algorithms are broken or checksums; a sender may name them beside one of these.
_HASHES: Final[dict[str, Callable[[bytes], Any]]] = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


def render_content_digest(body: bytes, algorithm: str = "sha-256") -> str:
    """The value of `Content-Digest` for the body's bytes as sent; `sha-256` or `sha-512`, KeyError otherwise."""
    return f"{algorithm}={render_item(Item(_HASHES[algorithm](body).digest()))}"


def check_content_digest(field: bytes, body: bytes) -> None:
    """Return when every digest of the field that is known here fits the body, and at least one is known.

    Raises SignatureRefused: malformed, or mismatch when a digest does not fit.
    """
    members = parse_dictionary(field)
    known = [(name, member) for name, member in members.items() if name in _HASHES]
    if not known:
        raise malformed(f"{CONTENT_DIGEST} names neither sha-256 nor sha-512")
    for name, member in known:
        if not isinstance(member, Item) or not isinstance(member.value, bytes):
            raise malformed(f"{CONTENT_DIGEST}: {name} is not written between colons")
        if not hmac.compare_digest(_HASHES[name](body).digest(), member.value):
            raise SignatureRefused(RefusalReason.MISMATCH, f"{CONTENT_DIGEST}: {name} is of another body")
