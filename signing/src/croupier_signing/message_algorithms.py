"""The algorithms of RFC 9421 (3.3) and which keys they take: the key decides, a message only agrees."""

from __future__ import annotations

import hmac
import secrets
from enum import StrEnum
from functools import cache
from typing import Final, assert_never

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from .keys import PrivateKey, PublicKey, SigningKey


class Algorithm(StrEnum):
    """Names of the registry "HTTP Signature Algorithms"."""

    HMAC_SHA256 = "hmac-sha256"
    ED25519 = "ed25519"
    ECDSA_P256_SHA256 = "ecdsa-p256-sha256"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    RSA_V1_5_SHA256 = "rsa-v1_5-sha256"


_P256_BYTES: Final = 32
_ECDSA: Final = ec.ECDSA(hashes.SHA256())
_PSS: Final = padding.PSS(mgf=padding.MGF1(hashes.SHA512()), salt_length=64)
_NOBODYS_MODULUS: Final = 2**2047 + 2**1024 + 1


def algorithms_of(key: SigningKey | PublicKey | PrivateKey) -> tuple[Algorithm, ...]:
    """What a key of this kind can be used for, the better algorithm first."""
    if isinstance(key, SigningKey):
        return (Algorithm.HMAC_SHA256,)
    match key.material:
        case rsa.RSAPublicKey() | rsa.RSAPrivateKey():
            return Algorithm.RSA_PSS_SHA512, Algorithm.RSA_V1_5_SHA256
        case ec.EllipticCurvePublicKey() | ec.EllipticCurvePrivateKey():
            return (Algorithm.ECDSA_P256_SHA256,)
        case ed25519.Ed25519PublicKey() | ed25519.Ed25519PrivateKey():
            return (Algorithm.ED25519,)
        case _:
            assert_never(key.material)


def render_signature(algorithm: Algorithm, key: SigningKey | PrivateKey, message: bytes) -> bytes:
    """The signature's bytes; ECDSA as r and s of 32 bytes each. ValueError for a key of another kind."""
    if algorithm not in algorithms_of(key):
        raise ValueError(f"key {key.id} cannot be used for {algorithm}")
    if isinstance(key, SigningKey):
        return hmac.digest(key.secret, message, "sha256")
    match key.material:
        case ed25519.Ed25519PrivateKey() as material:
            return material.sign(message)
        case ec.EllipticCurvePrivateKey() as material:
            r, s = decode_dss_signature(material.sign(message, _ECDSA))
            return r.to_bytes(_P256_BYTES) + s.to_bytes(_P256_BYTES)
        case rsa.RSAPrivateKey() as material:
            if algorithm is Algorithm.RSA_PSS_SHA512:
                return material.sign(message, _PSS, hashes.SHA512())
            return material.sign(message, padding.PKCS1v15(), hashes.SHA256())
        case _:
            assert_never(key.material)


def signature_fits(
    algorithm: Algorithm, key: SigningKey | PublicKey, message: bytes, signature: bytes
) -> bool:
    """Whether the signature is this key's over the message; False for a key of another kind and any bytes."""
    if algorithm not in algorithms_of(key):
        return False
    if isinstance(key, SigningKey):
        return hmac.compare_digest(hmac.digest(key.secret, message, "sha256"), signature)
    try:
        _verify(algorithm, key, message, signature)
    except InvalidSignature:
        return False
    return True


def _verify(algorithm: Algorithm, key: PublicKey, message: bytes, signature: bytes) -> None:
    match key.material:
        case ed25519.Ed25519PublicKey() as material:
            material.verify(signature, message)
        case ec.EllipticCurvePublicKey() as material:
            if len(signature) != 2 * _P256_BYTES:
                raise InvalidSignature
            r, s = int.from_bytes(signature[:_P256_BYTES]), int.from_bytes(signature[_P256_BYTES:])
            material.verify(encode_dss_signature(r, s), message, _ECDSA)
        case rsa.RSAPublicKey() as material:
            if algorithm is Algorithm.RSA_PSS_SHA512:
                material.verify(signature, message, _PSS, hashes.SHA512())
            else:
                material.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        case _:
            assert_never(key.material)


@cache
def nobodys_key(algorithm: Algorithm) -> SigningKey | PublicKey:
    """A key that verifies nothing, for doing the work of an unknown one.

    The halves are valid points and numbers of the right size; who verifies with one must refuse whatever comes out.
    """
    match algorithm:
        case Algorithm.HMAC_SHA256:
            return SigningKey("nobody", secrets.token_bytes(32))
        case Algorithm.ED25519:
            point = bytes((0x58, *(0x66,) * 31))
            return PublicKey("nobody", ed25519.Ed25519PublicKey.from_public_bytes(point))
        case Algorithm.ECDSA_P256_SHA256:
            return PublicKey("nobody", ec.derive_private_key(2, ec.SECP256R1()).public_key())
        case Algorithm.RSA_PSS_SHA512 | Algorithm.RSA_V1_5_SHA256:
            return PublicKey("nobody", rsa.RSAPublicNumbers(65537, _NOBODYS_MODULUS).public_key())
        case _:
            assert_never(algorithm)
