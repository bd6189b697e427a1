"""RSA over the body's bytes as sent (Hub88, Caleta): PKCS#1 v1.5 with SHA-256, in padded base64."""

from __future__ import annotations

import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from .coverage import Coverage
from .keys import MIN_RSA_BITS, PrivateKey, PublicKey
from .matching import match_key, read_signature, require_kind, take_keys
from .refusal import malformed

COVERAGE: Final = Coverage(
    scheme="rsa_body",
    covered=("body",),
    uncovered=("method", "path", "query", "headers", "timestamp", "nonce"),
)
MIN_SIGNATURE_BYTES: Final = MIN_RSA_BITS // 8
MAX_SIGNATURE_BYTES: Final = 1024

_SHAPE: Final = re.compile(rb"(?:[A-Za-z0-9+/]{4}){85,341}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
# Any odd number of this size serves as a modulus to verify with; nothing that it verifies is believed.
_NOBODY: Final = PublicKey(
    "nobody", rsa.RSAPublicNumbers(65537, secrets.randbits(2048) | 1 << 2047 | 1).public_key()
)


def sign_rsa_body(key: PrivateKey, body: bytes) -> str:
    """The signature of the body's bytes, also of an empty body: the same text every time.

    TypeError for a key that is not the private half of an RSA pair.
    """
    material = require_kind(key, PrivateKey).material
    if not isinstance(material, rsa.RSAPrivateKey):
        raise TypeError("this scheme signs with an RSA key")
    return b64encode(material.sign(body, PKCS1v15(), SHA256())).decode()


def verify_rsa_body(keys: Iterable[PublicKey], body: bytes, signature: bytes | None) -> str:
    """The id of the key that signed the body; SignatureRefused missing, malformed or mismatch.

    Malformed is anything but the one base64 text of 256 to 1024 bytes, spare bits included. TypeError for a key that
    is not the public half of an RSA pair, ValueError for more than `MAX_KEYS`: before the request is looked at.
    """
    held = take_keys(keys, PublicKey)
    for key in held:
        _rsa_of(key)
    raw = _decode(read_signature(signature, _SHAPE))
    return match_key(held, _NOBODY, lambda key: _is_signer(key, body, raw))


def _decode(text: bytes) -> bytes:
    raw = b64decode(text)
    if b64encode(raw) != text:
        raise malformed("the signature has bits that stand for nothing")
    if not MIN_SIGNATURE_BYTES <= len(raw) <= MAX_SIGNATURE_BYTES:
        raise malformed("the signature does not have the length of an RSA signature")
    return raw


def _is_signer(key: PublicKey, body: bytes, raw: bytes) -> bool:
    try:
        _rsa_of(key).verify(raw, body, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _rsa_of(key: PublicKey) -> rsa.RSAPublicKey:
    if not isinstance(key.material, rsa.RSAPublicKey):
        raise TypeError("this scheme verifies with an RSA key")
    return key.material
