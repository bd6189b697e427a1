"""RSA over the raw body: every bit of body and signature, padding, lengths, keys of other kinds."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from hypothesis import given
from hypothesis import strategies as st
from signing_profiles import NEW, assert_keys_are_bounded, assert_reason, flips_of, outcome_of, pair

from croupier_signing import PrivateKey, PublicKey, RefusalReason, sign_rsa_body, verify_rsa_body

BODY = b'{"amount":1250000}'
FIRST, SECOND = pair("pair-1"), pair("pair-0")
KEYS = (FIRST.public, SECOND.public)
SIGNATURE = sign_rsa_body(FIRST, BODY).encode()


def test_signature_is_the_one_openssl_would_make() -> None:
    assert isinstance(FIRST.material, rsa.RSAPrivateKey)
    raw = base64.b64decode(SIGNATURE, validate=True)
    public = FIRST.material.public_key().public_numbers()
    opened = pow(int.from_bytes(raw, "big"), public.e, public.n).to_bytes(256, "big")
    digest = hashes.Hash(hashes.SHA256())
    digest.update(BODY)
    # RFC 8017, 9.2: the DER prefix of SHA-256.
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    tail = prefix + digest.finalize()
    assert opened == b"\x00\x01" + b"\xff" * (256 - 3 - len(tail)) + b"\x00" + tail


def test_either_of_two_keys_verifies_and_no_other() -> None:
    for tried in ([FIRST.public], list(KEYS), list(reversed(KEYS)), iter(KEYS)):
        assert verify_rsa_body(tried, BODY, SIGNATURE) == "pair-1"
    for tried in ([], [SECOND.public]):
        assert_reason(RefusalReason.MISMATCH, verify_rsa_body, tried, BODY, SIGNATURE)


def test_every_changed_bit_of_the_body_is_refused() -> None:
    for changed in (*flips_of(BODY), b"", BODY + b"\n", BODY[:-1]):
        assert_reason(RefusalReason.MISMATCH, verify_rsa_body, KEYS, changed, SIGNATURE)


def test_every_changed_bit_of_the_signature_text_is_refused() -> None:
    for changed in flips_of(SIGNATURE):
        assert outcome_of(verify_rsa_body, KEYS, BODY, changed) in (
            "mismatch",
            "malformed",
        )


def test_every_shorter_text_is_malformed() -> None:
    for length in range(1, len(SIGNATURE)):
        assert_reason(RefusalReason.MALFORMED, verify_rsa_body, KEYS, BODY, SIGNATURE[:length])


@pytest.mark.parametrize(
    "presented",
    [
        SIGNATURE.rstrip(b"="),
        SIGNATURE + b"=",
        SIGNATURE + b"\n",
        b" " + SIGNATURE,
        SIGNATURE[:64] + b"\n" + SIGNATURE[64:],
        SIGNATURE.replace(b"/", b"_").replace(b"+", b"-"),
        base64.b64encode(bytes(255)),
        base64.b64encode(bytes(1025)),
        b"A" * 100_000,
    ],
)
def test_another_spelling_is_malformed(presented: bytes) -> None:
    assert_reason(RefusalReason.MALFORMED, verify_rsa_body, KEYS, BODY, presented)


@pytest.mark.parametrize("raw", [bytes(256), b"\xff" * 256, b"\x01" * 384, bytes(1024)])
def test_numbers_that_are_no_signature_are_a_mismatch(raw: bytes) -> None:
    assert_reason(RefusalReason.MISMATCH, verify_rsa_body, KEYS, BODY, base64.b64encode(raw))


def test_nothing_sent_is_missing() -> None:
    for absent in (None, b""):
        assert_reason(RefusalReason.MISSING, verify_rsa_body, KEYS, BODY, absent)


def test_empty_body_is_signed_like_any_other() -> None:
    signature = sign_rsa_body(FIRST, b"").encode()
    assert verify_rsa_body(KEYS, b"", signature) == "pair-1"
    assert_reason(RefusalReason.MISMATCH, verify_rsa_body, KEYS, b"\n", signature)


def test_other_padding_and_other_hash_are_refused() -> None:
    assert isinstance(FIRST.material, rsa.RSAPrivateKey)
    pss = FIRST.material.sign(BODY, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    sha1 = FIRST.material.sign(BODY, padding.PKCS1v15(), hashes.SHA1())
    for raw in (pss, sha1):
        text = base64.b64encode(raw)
        assert_reason(RefusalReason.MISMATCH, verify_rsa_body, KEYS, BODY, text)


def test_keys_are_bounded_and_of_one_kind() -> None:
    curve = PrivateKey("curve", ec.generate_private_key(ec.SECP256R1()))
    edwards = PrivateKey("edwards", ed25519.Ed25519PrivateKey.generate())
    others: list[object] = [NEW, FIRST, curve.public, edwards.public]
    for other in others:
        assert_keys_are_bounded(
            lambda keys, text: verify_rsa_body(keys, BODY, text), SIGNATURE.decode(), FIRST.public, other
        )
    unfit: list[object] = [NEW, FIRST.public, curve, edwards]
    for key in unfit:
        with pytest.raises(TypeError, match="this scheme"):
            sign_rsa_body(key, BODY)  # type: ignore[arg-type]


def test_longer_keys_are_taken() -> None:
    long = PrivateKey("long", rsa.generate_private_key(65537, 3072))
    keys: list[PublicKey] = [*KEYS, long.public]
    assert verify_rsa_body(keys, BODY, sign_rsa_body(long, BODY).encode()) == "long"


@given(
    st.binary(max_size=40),
    st.one_of(st.none(), st.binary(max_size=60), st.binary(min_size=256, max_size=400)),
)
def test_verification_is_total(body: bytes, raw: bytes | None) -> None:
    presented = None if raw is None else base64.b64encode(raw)
    assert outcome_of(verify_rsa_body, KEYS, body, presented) in ("missing", "malformed", "mismatch")
    assert outcome_of(verify_rsa_body, KEYS, body, raw) in ("missing", "malformed", "mismatch")
