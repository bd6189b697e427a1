"""Plain hashes with a secret: the forms, every bit, and the two faults that make them weak, shown."""

from __future__ import annotations

import hashlib
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

from croupier_signing import COVERAGES, RefusalReason, SigningKey, sign_body_digest, verify_body_digest

BODY = b'{"amount":1250}'
FORMS: list[dict[str, Any]] = [
    {"digest": digest, "order": order}
    for digest in ("md5", "sha1", "sha256")
    for order in ("body_key", "key_body")
]

# The published pair of 128-byte messages with one MD5 (Wang and others, 2004).
COLLISION = (
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89"
    "55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b"
    "d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70",
    "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f89"
    "55ad340609f4b30283e4888325f1415a085125e8f7cdc99fd91dbd7280373c5b"
    "d8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70",
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(form.values()))
def test_digest_is_of_body_and_key_run_together(form: dict[str, str]) -> None:
    text = BODY + NEW.secret if form["order"] == "body_key" else NEW.secret + BODY
    assert sign_body_digest(NEW, BODY, **form) == getattr(hashlib, form["digest"])(text).hexdigest()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(form.values()))
def test_signature_is_refused_when_anything_about_it_differs(form: dict[str, str]) -> None:
    assert_common_refusals(
        lambda keys, text: verify_body_digest(keys, BODY, text, **form),
        sign_body_digest(NEW, BODY, **form),
        keys=(NEW, OLD),
        stranger=STRANGER,
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: "-".join(form.values()))
def test_every_changed_bit_of_the_body_is_refused(form: dict[str, str]) -> None:
    signature = sign_body_digest(NEW, BODY, **form).encode()
    for changed in (*flips_of(BODY), b"", BODY + b"\n"):
        assert_reason(RefusalReason.MISMATCH, verify_body_digest, [NEW, OLD], changed, signature, **form)


def test_upper_case_is_malformed() -> None:
    signature = sign_body_digest(NEW, BODY).upper().encode()
    assert_reason(RefusalReason.MALFORMED, verify_body_digest, [NEW], BODY, signature)


@pytest.mark.parametrize("form", [{"digest": "sha512"}, {"digest": "MD5"}, {"order": "key"}])
def test_unknown_form_is_a_mistake_of_the_program(form: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="the digest is md5, sha1 or sha256"):
        sign_body_digest(NEW, BODY, **form)
    with pytest.raises(ValueError, match="the digest is md5, sha1 or sha256"):
        verify_body_digest([NEW], BODY, None, **form)


def test_two_bodies_of_one_hash_share_every_signature_when_the_key_comes_last() -> None:
    one, other = (bytes.fromhex(text) for text in COLLISION)
    assert one != other
    signature = sign_body_digest(NEW, one, digest="md5").encode()
    assert verify_body_digest([NEW], other, signature, digest="md5") == "new"
    assert COVERAGES["body_digest"].is_weak


def test_part_of_the_body_may_pass_for_the_key() -> None:
    longer = SigningKey("longer", b"}" + NEW.secret)
    assert verify_body_digest([longer], BODY[:-1], sign_body_digest(NEW, BODY).encode()) == "longer"


def test_keys_are_bounded_and_of_one_kind() -> None:
    other = pair("pair-1")
    assert_keys_are_bounded(
        lambda keys, text: verify_body_digest(keys, BODY, text), sign_body_digest(NEW, BODY), NEW, other
    )
    with pytest.raises(TypeError, match="takes a SigningKey"):
        sign_body_digest(other, BODY)  # type: ignore[arg-type]


@given(st.binary(max_size=60), st.one_of(st.none(), st.binary(max_size=70)), st.sampled_from(FORMS))
def test_verification_is_total(body: bytes, presented: bytes | None, form: dict[str, str]) -> None:
    outcome = outcome_of(verify_body_digest, [NEW, OLD], body, presented, **form)
    assert outcome in ("missing", "malformed", "mismatch")
