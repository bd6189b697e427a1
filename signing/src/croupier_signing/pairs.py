"""New key pairs, for whoever sets up an account or a test."""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

RSA_BITS: Final = 2048
RSA_EXPONENT: Final = 65537


def make_rsa_pair() -> tuple[bytes, bytes]:
    """The private half (PKCS#8) and the public half of a new RSA pair of 2048 bits, as unencrypted PEM texts.

    Keep the private half in a file that only its owner can read; `read_key` reads both.
    """
    return _render_pair(rsa.generate_private_key(public_exponent=RSA_EXPONENT, key_size=RSA_BITS))


def make_ed25519_pair() -> tuple[bytes, bytes]:
    """Both halves of a new Ed25519 pair, in the same forms."""
    return _render_pair(ed25519.Ed25519PrivateKey.generate())


def _render_pair(private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> tuple[bytes, bytes]:
    private_pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private_pem, public_pem
