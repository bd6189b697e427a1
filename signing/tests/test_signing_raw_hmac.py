"""HMAC over the raw body: published vectors, every bit of body and signature, every form."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signing_profiles import (
    NEW,
    OLD,
    STRANGER,
    assert_common_refusals,
    assert_keys_are_bounded,
    assert_reason,
    flips_of,
    outcome_of,
    pair,
)

from croupier_signing import RefusalReason, SigningKey, sign_raw_hmac, verify_raw_hmac

BODY = b'{"amount":"12.50"}'
FORMS: list[dict[str, Any]] = [
    {"digest": digest, "encoding": encoding}
    for digest in ("sha256", "sha512")
    for encoding in ("hex", "HEX", "base64")
]
# RFC 4231, test cases 1, 3 and 6 (the others have keys shorter than this library takes): key, data, SHA-256, SHA-512.
RFC_4231 = [
    (
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
        "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
    ),
    (
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39"
        "bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb",
    ),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
        "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
    ),
]


@pytest.mark.parametrize(("secret", "data", "sha256", "sha512"), RFC_4231)
def test_published_vectors_hold_in_every_encoding(
    secret: bytes, data: bytes, sha256: str, sha512: str
) -> None:
    key = SigningKey("rfc4231", secret)
    for digest, text in (("sha256", sha256), ("sha512", sha512)):
        assert sign_raw_hmac(key, data, digest=digest) == text
        assert sign_raw_hmac(key, data, digest=digest, encoding="HEX") == text.upper()
        based = base64.b64encode(bytes.fromhex(text)).decode()
        assert sign_raw_hmac(key, data, digest=digest, encoding="base64") == based
        assert verify_raw_hmac([key], data, text.encode(), digest=digest) == "rfc4231"


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(form.values()))
def test_signature_is_refused_when_anything_about_it_differs(form: dict[str, Any]) -> None:
    signature = sign_raw_hmac(NEW, BODY, **form)
    assert_common_refusals(
        lambda keys, text: verify_raw_hmac(keys, BODY, text, **form),
        signature,
        keys=(NEW, OLD),
        stranger=STRANGER,
    )


def test_every_changed_bit_of_the_body_is_refused() -> None:
    signature = sign_raw_hmac(NEW, BODY).encode()
    for changed in (*flips_of(BODY), b"", BODY + b"\n", BODY[:-1], b" " + BODY):
        assert_reason(RefusalReason.MISMATCH, verify_raw_hmac, [NEW, OLD], changed, signature)


def test_empty_body_is_signed_like_any_other() -> None:
    signature = sign_raw_hmac(NEW, b"").encode()
    assert verify_raw_hmac([OLD, NEW], b"", signature) == "new"
    assert_reason(RefusalReason.MISMATCH, verify_raw_hmac, [NEW], b"\0", signature)


def test_letter_case_of_hex_is_part_of_the_form() -> None:
    lower, upper = sign_raw_hmac(NEW, BODY).encode(), sign_raw_hmac(NEW, BODY, encoding="HEX").encode()
    assert lower.upper() == upper
    assert_reason(RefusalReason.MALFORMED, verify_raw_hmac, [NEW], BODY, upper)
    assert_reason(RefusalReason.MALFORMED, verify_raw_hmac, [NEW], BODY, lower, encoding="HEX")


@pytest.mark.parametrize(
    "form", [{"digest": "md5"}, {"digest": "sha1"}, {"encoding": "base64url"}, {"encoding": "Hex"}]
)
def test_unknown_form_is_a_mistake_of_the_program(form: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="the digest is sha256 or sha512"):
        sign_raw_hmac(NEW, BODY, **form)
    with pytest.raises(ValueError, match="the digest is sha256 or sha512"):
        verify_raw_hmac([NEW], BODY, None, **form)


def test_keys_are_bounded_and_of_one_kind() -> None:
    for other in (pair("pair-1"), pair("pair-1").public):
        assert_keys_are_bounded(
            lambda keys, text: verify_raw_hmac(keys, BODY, text), sign_raw_hmac(NEW, BODY), NEW, other
        )
        with pytest.raises(TypeError, match="takes a SigningKey"):
            sign_raw_hmac(other, BODY)  # type: ignore[arg-type]


def test_first_of_two_keys_with_one_secret_is_named() -> None:
    again = SigningKey("again", NEW.secret)
    assert verify_raw_hmac([again, NEW], BODY, sign_raw_hmac(NEW, BODY).encode()) == "again"


@given(st.binary(max_size=80), st.one_of(st.none(), st.binary(max_size=140)), st.sampled_from(FORMS))
def test_verification_is_total(body: bytes, presented: bytes | None, form: dict[str, Any]) -> None:
    outcome = outcome_of(verify_raw_hmac, [NEW, OLD], body, presented, **form)
    assert outcome in ("missing", "malformed", "mismatch")


@given(st.binary(max_size=80), st.sampled_from(FORMS), st.binary(min_size=16, max_size=200))
def test_what_is_signed_verifies(body: bytes, form: dict[str, Any], secret: bytes) -> None:
    key = SigningKey("any", secret)
    assert verify_raw_hmac([OLD, key], body, sign_raw_hmac(key, body, **form).encode(), **form) == "any"
