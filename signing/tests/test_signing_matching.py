"""The loop over keys: the same work whichever matches, and none at all for a signature of the wrong shape."""

from __future__ import annotations

import hmac

import pytest
from signing_profiles import NEW, OLD, STRANGER, VECTORS, assert_reason, judge, outcome_of

from croupier_signing import RefusalReason, SigningKey, verify_raw_hmac
from croupier_signing.hmac_form import NOBODY
from croupier_signing.matching import match_key

OF_SHAPE = [
    vector
    for vector in VECTORS.values()
    if vector["expect"] in ("missing", "malformed") and vector["profile"] not in ("rsa_body", "static_token")
]


@pytest.mark.parametrize("matching", [(), (NEW,), (OLD,), (STRANGER,), (NEW, OLD, STRANGER)])
def test_every_key_is_tried_whichever_matches(matching: tuple[SigningKey, ...]) -> None:
    tried: list[SigningKey] = []

    def is_signer(key: SigningKey) -> bool:
        tried.append(key)
        return key in matching

    outcome = outcome_of(match_key, (NEW, OLD, STRANGER), NOBODY, is_signer)
    assert tried == [NEW, OLD, STRANGER]
    assert outcome == (matching[0].id if matching else "mismatch")


def test_without_keys_the_same_work_is_done_for_nobody_who_never_matches() -> None:
    tried: list[SigningKey] = []

    def is_signer(key: SigningKey) -> bool:
        tried.append(key)
        return True

    assert_reason(RefusalReason.MISMATCH, match_key, (), NOBODY, is_signer)
    assert tried == [NOBODY]


def test_a_request_of_the_wrong_shape_costs_no_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_to_hash(*_: object) -> bytes:
        raise AssertionError("hashed")

    monkeypatch.setattr(hmac, "digest", refuse_to_hash)
    assert len(OF_SHAPE) > 50
    for vector in OF_SHAPE:
        assert outcome_of(judge, vector) == vector["expect"]
    with pytest.raises(AssertionError, match="hashed"):
        verify_raw_hmac([NEW], b"", b"0" * 64)
