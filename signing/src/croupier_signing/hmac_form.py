"""HMAC with one hash, written in one way: what most profiles have in common once the bytes are chosen."""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import new
from typing import Final

from .keys import SigningKey
from .matching import match_key, read_signature, require_kind, take_keys

NOBODY: Final = SigningKey("nobody", secrets.token_bytes(32))
"""Tried when there is no key, so that a stranger's request takes as long as a customer's."""

_WRITERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "hex": lambda digest: digest.hex().encode(),
    "HEX": lambda digest: digest.hex().upper().encode(),
    "base64": b64encode,
}
_LETTERS: Final = {"hex": "[0-9a-f]", "HEX": "[0-9A-F]", "base64": "[A-Za-z0-9+/]"}


@dataclass(frozen=True, slots=True)
class HmacForm:
    """The hash an HMAC uses and the text it is written as: `hex`, `HEX` (upper case) or padded `base64`."""

    digest: str
    encoding: str
    shape: re.Pattern[bytes]

    def sign(self, key: SigningKey, message: bytes) -> str:
        """The signature of these bytes; TypeError for a key that is not a shared secret."""
        return self._render(require_kind(key, SigningKey).secret, message).decode()

    def read(self, presented: bytes | None) -> bytes:
        """A presented signature of the right shape; SignatureRefused (missing, malformed) otherwise."""
        return read_signature(presented, self.shape)

    def match(self, keys: tuple[SigningKey, ...], message: bytes, signature: bytes) -> str:
        """The id of the key that signed, compared as text in constant time; SignatureRefused (mismatch)."""
        return match_key(
            keys, NOBODY, lambda key: hmac.compare_digest(self._render(key.secret, message), signature)
        )

    def verify(self, keys: Iterable[SigningKey], message: bytes, presented: bytes | None) -> str:
        """The id of the key that signed these bytes; SignatureRefused missing, malformed or mismatch.

        TypeError for a key of another kind and ValueError for more than `MAX_KEYS`, before anything else.
        """
        held = take_keys(keys, SigningKey)
        return self.match(held, message, self.read(presented))

    def _render(self, secret: bytes, message: bytes) -> bytes:
        return _WRITERS[self.encoding](hmac.digest(secret, message, self.digest))


def hmac_form(digest: str, encoding: str) -> HmacForm:
    """The form of this hash and encoding, its shape worked out from the digest's length."""
    text = _WRITERS[encoding](bytes(new(digest).digest_size)).decode()
    letters = text.rstrip("=")
    padding = len(text) - len(letters)
    pattern = f"{_LETTERS[encoding]}{{{len(letters)}}}={{{padding}}}"
    return HmacForm(digest, encoding, re.compile(pattern.encode()))
