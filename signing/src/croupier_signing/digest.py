"""Digests and random tokens: the only hashing that authentication needs besides the signature itself."""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256

_STORED_PREFIX = "sha256:"


def payload_digest(body: bytes) -> str:
    """SHA-256 of the body bytes as sent, 64 lower-case hex digits."""
    return sha256(body).hexdigest()


def hash_api_key(token: str) -> str:
    """The form of an API key that may be stored: `sha256:` and 64 hex digits; ValueError when empty.

    One plain hash is enough because tokens come from `random_token` and cannot be guessed.
    """
    if not token:
        raise ValueError("an API key cannot be empty")
    return _STORED_PREFIX + sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def api_key_matches(token: str, stored: str) -> bool:
    """Whether `token` is the key stored as `stored`, compared in constant time; total over any text."""
    if not token:
        return False
    return hmac.compare_digest(hash_api_key(token).encode(), stored.encode("utf-8", "surrogatepass"))


def random_token() -> str:
    """A new API key: 256 random bits, 43 characters of base64url."""
    return secrets.token_urlsafe(32)


def random_nonce() -> str:
    """A new nonce for one request: 128 random bits, 22 characters of base64url."""
    return secrets.token_urlsafe(16)
