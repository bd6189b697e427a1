"""A token as it is: every bit of it counts, and nothing else of the request does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signing_profiles import NEW, OLD, STRANGER, assert_reason, flips_of, outcome_of, pair

from croupier_signing import COVERAGES, PARTS, RefusalReason, SigningKey, verify_static_token
from croupier_signing.static_token import MAX_TOKEN_BYTES


def test_either_of_two_tokens_is_known_and_no_other() -> None:
    assert verify_static_token([NEW, OLD], NEW.secret) == "new"
    assert verify_static_token(iter([NEW, OLD]), OLD.secret) == "old"
    for tried in ([], [STRANGER], [STRANGER, OLD]):
        assert_reason(RefusalReason.MISMATCH, verify_static_token, tried, NEW.secret)


def test_every_changed_bit_and_every_other_length_is_refused() -> None:
    shorter = [NEW.secret[:length] for length in range(1, len(NEW.secret))]
    for changed in (*flips_of(NEW.secret), *shorter, NEW.secret + b"\n", NEW.secret + b"\0", NEW.secret * 2):
        assert_reason(RefusalReason.MISMATCH, verify_static_token, [NEW, OLD], changed)


def test_nothing_sent_is_missing_and_too_much_is_malformed() -> None:
    for absent in (None, b""):
        assert_reason(RefusalReason.MISSING, verify_static_token, [NEW], absent)
    assert_reason(RefusalReason.MISMATCH, verify_static_token, [NEW], b"x" * MAX_TOKEN_BYTES)
    assert_reason(RefusalReason.MALFORMED, verify_static_token, [NEW], b"x" * (MAX_TOKEN_BYTES + 1))


def test_it_covers_nothing_and_says_so() -> None:
    coverage = COVERAGES["static_token"]
    assert (coverage.covered, coverage.uncovered, coverage.is_weak) == ((), PARTS, True)


def test_keys_are_bounded_and_of_one_kind() -> None:
    assert verify_static_token([OLD] * 7 + [NEW], NEW.secret) == "new"
    with pytest.raises(ValueError, match="at most 8 keys"):
        verify_static_token([NEW] * 9, NEW.secret)
    with pytest.raises(TypeError, match="takes a SigningKey"):
        verify_static_token([NEW, pair("pair-1")], None)  # type: ignore[list-item]


@given(st.one_of(st.none(), st.binary(max_size=80)))
def test_verification_is_total(presented: bytes | None) -> None:
    outcome = outcome_of(verify_static_token, [NEW, OLD], presented)
    assert outcome in ("missing", "malformed", "mismatch")


@given(st.binary(min_size=16, max_size=MAX_TOKEN_BYTES))
def test_any_bytes_may_be_a_token(secret: bytes) -> None:
    assert verify_static_token([NEW, SigningKey("any", secret)], secret) == "any"
