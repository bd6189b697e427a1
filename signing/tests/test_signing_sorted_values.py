"""Values in name order: what is left out, what is sorted as what, and the collisions that make it weak."""

from __future__ import annotations

import hashlib
import hmac
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

from croupier_signing import (
    RefusalReason,
    SignatureRefused,
    join_sorted_values,
    read_form,
    sign_sorted_values,
    verify_sorted_values,
)
from croupier_signing.sorted_values import MAX_VALUES

QUERY = b"request=getbalance&nogsgameid=80102&accountid=111&gamesessionid=s-1&device=desktop"
FIELDS = read_form(QUERY)
RULES: dict[str, Any] = {"leave_out": {"request"}, "order_as": {"nogsgameid": "gameid"}}
SIGNATURE = sign_sorted_values(NEW, FIELDS, **RULES)


def test_values_stand_in_the_order_of_their_names() -> None:
    message = b"111" + b"desktop" + b"80102" + b"s-1"
    assert join_sorted_values(FIELDS, **RULES) == message
    assert hmac.new(NEW.secret, message, hashlib.sha256).hexdigest() == SIGNATURE


def test_without_rules_every_value_takes_part_under_its_own_name() -> None:
    assert join_sorted_values(FIELDS) == b"111" + b"desktop" + b"s-1" + b"80102" + b"getbalance"
    assert join_sorted_values(()) == b""


def test_capitals_come_first_and_text_is_utf8() -> None:
    assert join_sorted_values([("frbid", "1"), ("frbId", "2"), ("é", "3"), ("z", "é")]) == "21é3".encode()


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        ([("a", "1"), ("a", "2")], {}),
        ([("", "1")], {}),
        ([("request", "1"), ("request", "2")], RULES),
        ([("gameid", "1"), ("nogsgameid", "2")], RULES),
        ([("a", "\ud800")], {}),
        ([("\ud800", "a")], {}),
        ([(f"p{number}", "") for number in range(MAX_VALUES + 1)], {}),
    ],
)
def test_fields_without_one_order_are_malformed(fields: list[tuple[str, str]], rules: dict[str, Any]) -> None:
    with pytest.raises(SignatureRefused, match="malformed"):
        join_sorted_values(fields, **rules)
    assert_reason(RefusalReason.MALFORMED, verify_sorted_values, [NEW], fields, SIGNATURE.encode(), **rules)
    assert_reason(RefusalReason.MISSING, verify_sorted_values, [NEW], fields, None, **rules)


def test_signature_is_refused_when_anything_about_it_differs() -> None:
    assert_common_refusals(
        lambda keys, text: verify_sorted_values(keys, FIELDS, text, **RULES),
        SIGNATURE,
        keys=(NEW, OLD),
        stranger=STRANGER,
    )


def test_every_changed_bit_of_a_value_is_refused() -> None:
    for place, (name, value) in enumerate(FIELDS):
        for changed in flips_of(value.encode()):
            fields = [*FIELDS[:place], (name, changed.decode("latin-1")), *FIELDS[place + 1 :]]
            outcome = outcome_of(verify_sorted_values, [NEW], fields, SIGNATURE.encode(), **RULES)
            assert outcome == ("new" if name == "request" else "mismatch")


def test_order_of_the_query_does_not_matter_and_the_rules_do() -> None:
    assert verify_sorted_values([NEW], FIELDS[::-1], SIGNATURE.encode(), **RULES) == "new"
    for rules in ({}, {"leave_out": {"request"}}, {"order_as": {"nogsgameid": "gameid"}}):
        assert_reason(
            RefusalReason.MISMATCH, verify_sorted_values, [NEW], FIELDS, SIGNATURE.encode(), **rules
        )


def test_characters_moved_between_values_are_not_seen() -> None:
    signature = sign_sorted_values(NEW, [("amount", "11"), ("bonus", "1")]).encode()
    assert verify_sorted_values([NEW], [("amount", "1"), ("bonus", "11")], signature) == "new"
    assert verify_sorted_values([NEW], [("renamed", "111")], signature) == "new"


def test_keys_are_bounded_and_of_one_kind() -> None:
    other = pair("pair-1").public
    assert_keys_are_bounded(
        lambda keys, text: verify_sorted_values(keys, FIELDS, text, **RULES), SIGNATURE, NEW, other
    )
    with pytest.raises(TypeError, match="takes a SigningKey"):
        sign_sorted_values(other, FIELDS)  # type: ignore[arg-type]


@given(
    st.lists(st.tuples(st.text(max_size=5), st.text(max_size=9)), max_size=6),
    st.one_of(st.none(), st.binary(max_size=70)),
    st.sampled_from([RULES, {}]),
)
def test_verification_is_total(
    fields: list[tuple[str, str]], presented: bytes | None, rules: dict[str, Any]
) -> None:
    outcome = outcome_of(verify_sorted_values, [NEW, OLD], fields, presented, **rules)
    assert outcome in ("missing", "malformed", "mismatch")
