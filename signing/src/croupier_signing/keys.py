"""Keys of every kind a scheme may need: shared secrets, and both halves of a key pair."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

MIN_SECRET_BYTES = 16
MIN_RSA_BITS: Final = 2048
KEY_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")

PublicMaterial = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
PrivateMaterial = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_PEM: Final = b"-----BEGIN "


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """A key id and its secret bytes.

    The id is 1–64 of `A-Za-z0-9._:-`, the secret at least 16 bytes; ValueError otherwise.
    """

    id: str
    secret: bytes

    def __post_init__(self) -> None:
        _require_id(self.id)
        if not self.secret:
            raise ValueError(f"key {self.id}: the secret is empty")
        if len(self.secret) < MIN_SECRET_BYTES:
            raise ValueError(f"key {self.id}: the secret is shorter than {MIN_SECRET_BYTES} bytes")

    def __repr__(self) -> str:
        return f"SigningKey(id={self.id!r}, secret=<masked>)"


@dataclass(frozen=True, slots=True, repr=False)
class PublicKey:
    """The half of a key pair that verifies: RSA of 2048 bits or more, ECDSA P-256, Ed25519; ValueError otherwise."""

    id: str
    material: PublicMaterial

    def __post_init__(self) -> None:
        _require_id(self.id)
        _require_strong(self.id, self.material)

    @property
    def is_rsa(self) -> bool:
        """Whether the schemes that sign with RSA can use it."""
        return isinstance(self.material, rsa.RSAPublicKey)

    @property
    def is_ed25519(self) -> bool:
        """Whether the schemes that sign with Ed25519 can use it."""
        return isinstance(self.material, ed25519.Ed25519PublicKey)

    def __repr__(self) -> str:
        return f"PublicKey(id={self.id!r}, {_describe(self.material)})"


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """The half of a key pair that signs; the same kinds as `PublicKey`."""

    id: str
    material: PrivateMaterial

    def __post_init__(self) -> None:
        _require_id(self.id)
        _require_strong(self.id, self.material.public_key())

    @property
    def public(self) -> PublicKey:
        """The half that may be handed over."""
        return PublicKey(self.id, self.material.public_key())

    def __repr__(self) -> str:
        return f"PrivateKey(id={self.id!r}, {_describe(self.material.public_key())}, <masked>)"


Key = SigningKey | PublicKey | PrivateKey
"""What a key id may stand for; a scheme takes the kinds it can use and refuses the others."""


def read_key(key_id: str, material: bytes) -> Key:
    """A key from its stored bytes: an unencrypted PEM key of either half, or else a shared secret.

    Raises ValueError, without any of the bytes: too short a secret, a PEM text that is damaged, encrypted or of a
    kind that no scheme uses.
    """
    if not material.lstrip().startswith(_PEM):
        return SigningKey(key_id, material)
    is_private = b"PRIVATE KEY-----" in material
    try:
        if is_private:
            loaded = serialization.load_pem_private_key(material, password=None)
        else:
            found = serialization.load_pem_public_key(material)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"key {key_id}: the PEM text is damaged, encrypted or of an unknown kind") from None
    if is_private:
        if isinstance(loaded, PrivateMaterial):
            return PrivateKey(key_id, loaded)
    elif isinstance(found, PublicMaterial):
        return PublicKey(key_id, found)
    raise ValueError(f"key {key_id}: the kinds are RSA, ECDSA P-256 and Ed25519")


def _require_id(key_id: str) -> None:
    if KEY_ID.fullmatch(key_id) is None:
        raise ValueError("a key id is 1-64 of A-Za-z0-9._:-")


def _require_strong(key_id: str, material: PublicMaterial) -> None:
    if isinstance(material, rsa.RSAPublicKey) and material.key_size < MIN_RSA_BITS:
        raise ValueError(f"key {key_id}: an RSA key needs {MIN_RSA_BITS} bits or more")
    if isinstance(material, ec.EllipticCurvePublicKey) and material.curve.name != "secp256r1":
        raise ValueError(f"key {key_id}: the only curve is P-256")


def _describe(material: PublicMaterial) -> str:
    if isinstance(material, rsa.RSAPublicKey):
        return f"RSA {material.key_size}"
    return "ECDSA P-256" if isinstance(material, ec.EllipticCurvePublicKey) else "Ed25519"
