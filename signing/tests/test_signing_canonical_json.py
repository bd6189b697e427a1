"""Canonical JSON: RFC 8785 as published, queries as objects of texts, every bit of what is signed."""

from __future__ import annotations

import json
import math
import struct

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
    canonical_query,
    canonicalise,
    sign_canonical_body,
    sign_canonical_query,
    sign_raw_hmac,
    verify_canonical_body,
    verify_canonical_query,
)
from croupier_signing.canonical_json import MAX_QUERY_BYTES, MAX_QUERY_PAIRS

BODY = canonicalise({"sessionID": "s-1", "amount": "12.50", "n": 100.50})
QUERY = b"sessionID=7eaac66f&lang=caf%C3%A9"

# RFC 8785, appendix B: the bits of a double and its text.
RFC_8785_NUMBERS = [
    ("0000000000000000", "0"),
    ("8000000000000000", "0"),
    ("0000000000000001", "5e-324"),
    ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"),
    ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"),
    ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"),
    ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"),
    ("44b52d02c7e14af7", "1.0000000000000001e+23"),
    ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"),
    ("444b1ae4d6e2ef50", "1e+21"),
    ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"),
    ("41b3de4355555553", "333333333.3333332"),
    ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"),
    ("41b3de4355555556", "333333333.3333334"),
    ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"),
    ("43143ff3c1cb0959", "1424953923781206.2"),
]


@pytest.mark.parametrize(("bits", "text"), RFC_8785_NUMBERS)
def test_number_is_written_as_the_rfc_prints_it(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonicalise(number) == text.encode()


def test_document_of_the_rfc_is_written_as_printed() -> None:
    document = (
        r'{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],'
        r'"string":"\u20ac$\u000F\u000aA' + r"'\u0042\u0022\u005c\\\"\/" + '","literals":[null,true,false]}'
    )
    printed = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonicalise(json.loads(document)) == printed.encode()


def test_names_are_sorted_by_utf16_unit_at_every_level() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\u00f6"]
    order = ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    nested = canonicalise([{"outer": dict.fromkeys(names, 0)}])
    assert list(json.loads(nested)[0]["outer"]) == order


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        2**53,
        -(2**53),
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {None: 1},
        b"x",
        {1, 2},
        Ellipsis,
    ],
    ids=repr,
)
def test_value_that_json_cannot_carry_exactly_is_refused(value: object) -> None:
    for wrapped in (value, [value], {"a": value}):
        with pytest.raises(ValueError):  # noqa: PT011 (the library's own words)
            canonicalise(wrapped)


def test_bottomless_value_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(ValueError, match="too deeply"):
        canonicalise(value)


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        (b"", b"{}"),
        (b"&&", b"{}"),
        (b"b=1&a=x+y&C", b'{"C":"","a":"x y","b":"1"}'),
        (b"a=%22%5C%2F%0A%7F", b'{"a":"\\"\\\\/\\n\x7f"}'),
        (b"%EF%AC%B3=1&%F0%9F%98%80=2", '{"\U0001f600":"2","\ufb33":"1"}'.encode()),
        (b"n=100.50&t=true&z=null", b'{"n":"100.50","t":"true","z":"null"}'),
    ],
)
def test_query_is_an_object_of_texts(query: bytes, canonical: bytes) -> None:
    assert canonical_query(query) == canonical


@pytest.mark.parametrize(
    "query",
    [
        b"a=1&a=1", b"a=1&%61=2", b"=1", b"a=%", b"a=%4z", b"a=%FF", b"a=\xff", b"a=%ED%B0%80",
        b"a" * (MAX_QUERY_BYTES + 1),
        b"&".join(b"p%d" % number for number in range(MAX_QUERY_PAIRS + 1)),
    ],
)  # fmt: skip
def test_query_that_cannot_be_an_object_is_malformed(query: bytes) -> None:
    signature = sign_canonical_query(NEW, QUERY).encode()
    with pytest.raises(SignatureRefused, match="malformed"):
        canonical_query(query)
    assert_reason(RefusalReason.MALFORMED, verify_canonical_query, [NEW], query, signature)


def test_query_of_exactly_the_limits_is_read() -> None:
    assert len(canonical_query(b"a" * MAX_QUERY_BYTES)) == MAX_QUERY_BYTES + len('{"":""}')
    most = canonical_query(b"&".join(b"p%d" % number for number in range(MAX_QUERY_PAIRS)))
    assert len(json.loads(most)) == MAX_QUERY_PAIRS


def test_body_signature_is_refused_when_anything_about_it_differs() -> None:
    assert_common_refusals(
        lambda keys, text: verify_canonical_body(keys, BODY, text),
        sign_canonical_body(NEW, BODY),
        keys=(NEW, OLD),
        stranger=STRANGER,
    )


def test_query_signature_is_refused_when_anything_about_it_differs() -> None:
    assert_common_refusals(
        lambda keys, text: verify_canonical_query(keys, QUERY, text),
        sign_canonical_query(NEW, QUERY),
        keys=(NEW, OLD),
        stranger=STRANGER,
    )


def test_every_changed_bit_of_the_body_is_refused() -> None:
    signature = sign_canonical_body(NEW, BODY).encode()
    for changed in (*flips_of(BODY), b"", BODY + b"\n", json.dumps(json.loads(BODY)).encode()):
        assert_reason(RefusalReason.MISMATCH, verify_canonical_body, [NEW, OLD], changed, signature)


def test_every_changed_bit_of_the_query_is_refused_unless_it_means_the_same() -> None:
    signature = sign_canonical_query(NEW, QUERY).encode()
    for changed in flips_of(QUERY):
        outcome = outcome_of(verify_canonical_query, [NEW, OLD], changed, signature)
        same = changed.lower() == QUERY.lower() and changed.split(b"%")[0] == QUERY.split(b"%")[0]
        assert outcome == "new" if same else outcome in ("mismatch", "malformed"), changed
    assert verify_canonical_query([NEW], b"lang=caf%c3%a9&sessionID=7eaac66f", signature) == "new"
    assert_reason(RefusalReason.MISMATCH, verify_canonical_query, [NEW], b"", signature)


def test_body_is_judged_by_its_bytes_and_not_by_its_value() -> None:
    value = b'{"b":1,"a":2}'
    assert sign_canonical_body(NEW, value) == sign_raw_hmac(NEW, value)
    signature = sign_canonical_body(NEW, canonicalise(json.loads(value))).encode()
    assert_reason(RefusalReason.MISMATCH, verify_canonical_body, [NEW], value, signature)


def test_request_without_query_signs_an_empty_object() -> None:
    assert sign_canonical_query(NEW, b"") == sign_raw_hmac(NEW, b"{}")


def test_missing_signature_is_told_before_a_query_that_cannot_be_signed() -> None:
    assert_reason(RefusalReason.MISSING, verify_canonical_query, [NEW], b"a=%", b"")


def test_keys_are_bounded_and_of_one_kind() -> None:
    other = pair("pair-1")
    assert_keys_are_bounded(
        lambda keys, text: verify_canonical_body(keys, BODY, text), sign_canonical_body(NEW, BODY), NEW, other
    )
    assert_keys_are_bounded(
        lambda keys, text: verify_canonical_query(keys, QUERY, text),
        sign_canonical_query(NEW, QUERY),
        NEW,
        other,
    )
    for sign in (sign_canonical_body, sign_canonical_query):
        with pytest.raises(TypeError, match="takes a SigningKey"):
            sign(other, b"")  # type: ignore[arg-type]


PIECES = st.sampled_from([b"a", b"b", b"=", b"&", b"%", b"+", b"%61", b"%C3%A9", b"\xff", b'"', b"__proto__"])
QUERIES = st.one_of(st.binary(max_size=40), st.lists(PIECES, max_size=16).map(b"".join))


@given(QUERIES, st.one_of(st.none(), st.binary(max_size=70)))
def test_verification_is_total(query: bytes, presented: bytes | None) -> None:
    assert outcome_of(verify_canonical_query, [NEW], query, presented) in ("missing", "malformed", "mismatch")
    assert outcome_of(verify_canonical_body, [NEW], query, presented) in ("missing", "malformed", "mismatch")


@given(QUERIES)
def test_what_can_be_signed_verifies(query: bytes) -> None:
    try:
        signature = sign_canonical_query(NEW, query).encode()
    except SignatureRefused as refusal:
        assert refusal.reason is RefusalReason.MALFORMED  # noqa: PT017
    else:
        assert verify_canonical_query([OLD, NEW], query, signature) == "new"
        values = json.loads(canonical_query(query))
        assert canonicalise(values) == canonical_query(query)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON_VALUES)
def test_canonical_form_means_the_same_and_is_its_own_canonical_form(value: object) -> None:
    canonical = canonicalise(value)
    again = json.loads(canonical, parse_int=float)
    assert again == value
    assert canonicalise(again) == canonical
