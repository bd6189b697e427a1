"""HMAC over the body's bytes as sent: the commonest profile of game providers (SOFTSWISS, Beexar and many more)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .coverage import Coverage
from .hmac_form import HmacForm, hmac_form
from .keys import SigningKey

COVERAGE: Final = Coverage(
    scheme="raw_hmac",
    covered=("body",),
    uncovered=("method", "path", "query", "headers", "timestamp", "nonce"),
)

_FORMS: Final = {
    (digest, encoding): hmac_form(digest, encoding)
    for digest in ("sha256", "sha512")
    for encoding in ("hex", "HEX", "base64")
}


def sign_raw_hmac(key: SigningKey, body: bytes, *, digest: str = "sha256", encoding: str = "hex") -> str:
    """The HMAC of the body's bytes: `digest` is sha256 or sha512, `encoding` is hex, HEX (upper case) or base64.

    An empty body has a signature like any other. ValueError for another digest or encoding, TypeError for a key that
    is not a shared secret.
    """
    return _form_of(digest, encoding).sign(key, body)


def verify_raw_hmac(
    keys: Iterable[SigningKey],
    body: bytes,
    signature: bytes | None,
    *,
    digest: str = "sha256",
    encoding: str = "hex",
) -> str:
    """The id of the key that signed the body; SignatureRefused missing, malformed or mismatch.

    Text is compared exactly, letter case included. ValueError for another digest or encoding or more than `MAX_KEYS`
    keys, TypeError for a key that is not a shared secret: before the request is looked at.
    """
    return _form_of(digest, encoding).verify(keys, body, signature)


def _form_of(digest: str, encoding: str) -> HmacForm:
    form = _FORMS.get((digest, encoding))
    if form is None:
        raise ValueError("the digest is sha256 or sha512, the encoding hex, HEX or base64")
    return form
