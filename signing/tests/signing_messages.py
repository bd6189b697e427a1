"""Keys of every kind and one request, for the tests of signed messages."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from croupier_signing import (
    Algorithm,
    MessageRequest,
    PrivateKey,
    PublicKey,
    RefusalReason,
    SignatureRefused,
    SigningKey,
    sign_message,
    verify_message,
)

NOW_S = 1_750_000_000
SECRET = SigningKey("shared-1", bytes(range(32)))
REQUEST = MessageRequest(
    method="POST",
    scheme="https",
    authority="casino.example",
    path=b"/v1/wallets/p-7/EUR/deposits",
    query=b"note=a%2fb&flag",
    headers=((b"content-type", b"application/json"), (b"x-trace", b"one"), (b"x-trace", b" two\t")),
    body=b'{"amount":"1250","reference":"d-1"}',
)


@cache
def signer_of(algorithm: Algorithm) -> SigningKey | PrivateKey:
    """A key for the algorithm, made once a run."""
    match algorithm:
        case Algorithm.HMAC_SHA256:
            return SECRET
        case Algorithm.ED25519:
            return PrivateKey("ed-1", ed25519.Ed25519PrivateKey.generate())
        case Algorithm.ECDSA_P256_SHA256:
            return PrivateKey("ec-1", ec.generate_private_key(ec.SECP256R1()))
        case Algorithm.RSA_PSS_SHA512 | Algorithm.RSA_V1_5_SHA256:
            return PrivateKey("rsa-1", rsa.generate_private_key(65537, 2048))


def verifier_of(algorithm: Algorithm) -> SigningKey | PublicKey:
    """The half that verifies."""
    key = signer_of(algorithm)
    return key.public if isinstance(key, PrivateKey) else key


def with_headers(request: MessageRequest, *lines: tuple[bytes, bytes]) -> MessageRequest:
    """The request with header lines added at the end."""
    return replace(request, headers=(*request.headers, *lines))


def with_field(request: MessageRequest, name: bytes, value: bytes | None) -> MessageRequest:
    """The request with all lines of a field replaced by one, or by none."""
    kept = tuple(line for line in request.headers if line[0] != name)
    return replace(request, headers=kept if value is None else (*kept, (name, value)))


def field_of(request: MessageRequest, name: bytes) -> bytes:
    """The value of a field that has one line."""
    (value,) = (found for known, found in request.headers if known == name)
    return value


def signed(request: MessageRequest = REQUEST, **options: object) -> MessageRequest:
    """The request signed by the shared secret now, or as the options say."""
    settings: dict[str, object] = {"created_s": NOW_S} | options
    key = settings.pop("key", SECRET)
    return with_headers(request, *sign_message(key, request, **settings))  # type: ignore[arg-type]


def refusal_of(request: MessageRequest, *keys: SigningKey | PublicKey, **options: object) -> SignatureRefused:
    """How a request is refused, which it must be."""
    settings: dict[str, object] = {"now_s": NOW_S} | options
    with pytest.raises(SignatureRefused) as refusal:
        verify_message(keys or (SECRET,), request, **settings)  # type: ignore[arg-type]
    assert refusal.value.reason is not RefusalReason.REPLAYED
    return refusal.value
