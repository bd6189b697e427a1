"""Sorted form fields and headers: the reader, PHP's spelling, every bit of what is signed."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import parse_qsl, quote_plus, urlencode

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
    SigningKey,
    build_query,
    read_form,
    sign_sorted_form,
    verify_sorted_form,
)
from croupier_signing.hmac_form import hmac_form
from croupier_signing.sorted_form import MAX_FORM_BYTES, MAX_FORM_DEPTH, MAX_FORM_PAIRS

HEADERS = {"X-Merchant-Id": "m-1", "X-Timestamp": "1750000000", "X-Nonce": "0123456789abcdef0123456789abcdef"}
BODY = b"action=bet&amount=1.0000&session_id=s+1&currency=EUR"
FIELDS = read_form(BODY)
SIGNATURE = sign_sorted_form(NEW, FIELDS, HEADERS)
TEXTS = st.text(max_size=12)
FLAT_NAMES = st.text(
    st.characters(exclude_characters="[]", exclude_categories=["Cs"]), min_size=1, max_size=8
).map(lambda text: "n" + text)


def test_published_vector_of_the_hash_holds() -> None:
    # RFC 2202, HMAC-SHA1, test case 1.
    form = hmac_form("sha1", "hex")
    assert (
        form.sign(SigningKey("rfc2202", b"\x0b" * 20), b"Hi There")
        == "b617318655057264e28bc0b6fb378c8ef146be00"
    )


def test_signed_text_is_the_sorted_query_of_fields_and_headers() -> None:
    expected = (
        "X-Merchant-Id=m-1&X-Nonce=0123456789abcdef0123456789abcdef&X-Timestamp=1750000000"
        "&action=bet&amount=1.0000&currency=EUR&session_id=s+1"
    )
    assert build_query(FIELDS, HEADERS) == expected
    assert hmac.new(NEW.secret, expected.encode(), hashlib.sha1).hexdigest() == SIGNATURE


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        ([], ""),
        ([("b", "2"), ("a", "1"), ("B", "3"), ("_", "4")], "B=3&_=4&a=1&b=2"),
        ([("a", "x y+z")], "a=x+y%2Bz"),
        ([("a", "~-._*'()!")], "a=%7E-._%2A%27%28%29%21"),
        ([("a", "é"), ("b", "e\u0301")], "a=%C3%A9&b=e%CC%81"),
        ([("a[1]", "x"), ("a[0]", "y")], "a%5B1%5D=x&a%5B0%5D=y"),
        ([("b", "1"), ("a[0][k k]", "2"), ("a[0][l]", "3")], "a%5B0%5D%5Bk+k%5D=2&a%5B0%5D%5Bl%5D=3&b=1"),
        ([("a[0][x]", "1"), ("a[1][x]", ""), ("a[0][y]", "2")], "a%5B0%5D%5Bx%5D=1&a%5B0%5D%5By%5D=2&a%5B1%5D%5Bx%5D="),
        ([("ab", "1"), ("a[0]", "2"), ("a-", "3")], "a%5B0%5D=2&a-=3&ab=1"),
        ([("\U0001f600", "1"), ("\ufb33", "2")], "%EF%AC%B3=2&%F0%9F%98%80=1"),
    ],
)  # fmt: skip
def test_query_is_spelled_as_php_spells_it(fields: list[tuple[str, str]], query: str) -> None:
    assert build_query(fields, {}) == query


@given(st.dictionaries(FLAT_NAMES, TEXTS.filter(lambda text: text.isprintable()), max_size=6))
def test_query_agrees_with_the_standard_library_where_the_two_have_one_rule(fields: dict[str, str]) -> None:
    ordered = sorted(fields.items(), key=lambda field: field[0].encode())
    assert build_query(list(fields.items()), {}) == urlencode(ordered, quote_via=quote_plus).replace(
        "~", "%7E"
    )


@given(st.dictionaries(FLAT_NAMES, TEXTS, max_size=6))
def test_reader_agrees_with_the_standard_library(fields: dict[str, str]) -> None:
    body = urlencode(list(fields.items()))
    expected = parse_qsl(body, keep_blank_values=True, strict_parsing=bool(body), errors="strict")
    assert list(read_form(body.encode())) == expected == list(fields.items())


@pytest.mark.parametrize(
    "body",
    [
        b"a=%", b"a=%4", b"a=%zz", b"%g1=a", b"a=%2&b=1", b"a=\xff", b"a=%C3", b"a=%ED%A0%80", b"a=%C0%AF", b"a=\xc3",
        b"=", b"=v", b"a&a", b"a=1&%61=1", b"+=1&%20=2",
        b"a=" + b"x" * (MAX_FORM_BYTES - 1),
        b"&".join(b"p%d" % number for number in range(MAX_FORM_PAIRS + 1)),
    ],
)  # fmt: skip
def test_form_that_cannot_be_read_in_one_way_is_malformed(body: bytes) -> None:
    with pytest.raises(SignatureRefused, match="malformed"):
        read_form(body)


def test_form_of_exactly_the_limits_is_read() -> None:
    assert read_form(b"a=" + b"x" * (MAX_FORM_BYTES - 2)) == (("a", "x" * (MAX_FORM_BYTES - 2)),)
    most = read_form(b"&".join(b"p%d=" % number for number in range(MAX_FORM_PAIRS)))
    assert len(most) == MAX_FORM_PAIRS
    assert build_query(most, HEADERS).count("=") == MAX_FORM_PAIRS + len(HEADERS)
    deepest = "a" + "[b]" * (MAX_FORM_DEPTH - 1)
    assert build_query([(deepest, "1")], {}).endswith("%5D=1")


@pytest.mark.parametrize(
    "names",
    [
        ["a[]"], ["a["], ["a]"], ["a[b"], ["a[b]]"], ["a[b]c"], ["a[[b]]"], ["[a]"], ["[]"], [""],
        ["0"], ["10"], ["-5"], ["1.5"], [".5"], ["1."], ["1e3"], [" 7"], ["7\n"], ["0[a]"], ["+1E-1"],
        ["a", "a"], ["a", "a[0]"], ["a[0]", "a"], ["a[0]", "a[0][b]"], ["a[0][b][c]", "a[0]"],
        ["X-Nonce"], ["X-Nonce[0]"], ["\ud800"], ["a" + "[b]" * MAX_FORM_DEPTH], ["a[" + "9" * 9 + "]" * 99],
    ],
)  # fmt: skip
def test_name_that_php_would_treat_in_its_own_way_is_malformed(names: list[str]) -> None:
    fields = [(name, "1") for name in names]
    with pytest.raises(SignatureRefused, match="malformed"):
        build_query(fields, HEADERS)
    assert_reason(RefusalReason.MALFORMED, verify_sorted_form, [NEW], fields, HEADERS, SIGNATURE.encode())


def test_value_without_utf8_and_too_many_fields_are_malformed() -> None:
    many = [(f"p{number}", "") for number in range(MAX_FORM_PAIRS + 1)]
    for fields in ([("a", "\udfff")], many):
        with pytest.raises(SignatureRefused, match="malformed"):
            build_query(fields, HEADERS)


def test_names_that_only_look_like_numbers_are_fields() -> None:
    names = ("0x1A", "1e", "1_000", "e5", ".", "١", "1 2", "INF", "x-nonce")
    assert build_query([(name, "") for name in names], HEADERS).count("=") == len(names) + len(HEADERS)


def test_signature_is_refused_when_anything_about_it_differs() -> None:
    assert_common_refusals(
        lambda keys, text: verify_sorted_form(keys, FIELDS, HEADERS, text),
        SIGNATURE,
        keys=(NEW, OLD),
        stranger=STRANGER,
    )


def test_every_changed_bit_of_the_form_is_refused_unless_it_means_the_same() -> None:
    accepted = []
    for changed in flips_of(BODY):
        try:
            fields = read_form(changed)
        except SignatureRefused:
            continue
        outcome = outcome_of(verify_sorted_form, [NEW, OLD], fields, HEADERS, SIGNATURE.encode())
        assert (outcome == "new") == (sorted(fields) == sorted(FIELDS)), changed
        accepted += [changed] if outcome == "new" else []
    assert accepted == []


def test_every_changed_bit_of_a_signed_header_is_refused() -> None:
    for name, value in HEADERS.items():
        for changed in flips_of(value.encode()):
            headers = HEADERS | {name: changed.decode("latin-1")}
            assert_reason(
                RefusalReason.MISMATCH, verify_sorted_form, [NEW], FIELDS, headers, SIGNATURE.encode()
            )
        left_out = {other: kept for other, kept in HEADERS.items() if other != name}
        assert_reason(RefusalReason.MISMATCH, verify_sorted_form, [NEW], FIELDS, left_out, SIGNATURE.encode())


def test_order_of_the_fields_does_not_matter_and_order_of_elements_does() -> None:
    assert verify_sorted_form([NEW], FIELDS[::-1], HEADERS, SIGNATURE.encode()) == "new"
    elements = [("a[0]", "1"), ("a[1]", "2")]
    signature = sign_sorted_form(NEW, elements, HEADERS).encode()
    assert_reason(RefusalReason.MISMATCH, verify_sorted_form, [NEW], elements[::-1], HEADERS, signature)


def test_missing_signature_is_told_before_a_form_that_cannot_be_signed() -> None:
    assert_reason(RefusalReason.MISSING, verify_sorted_form, [NEW], [("a[]", "1")], HEADERS, None)


def test_keys_are_bounded_and_of_one_kind() -> None:
    assert_keys_are_bounded(
        lambda keys, text: verify_sorted_form(keys, FIELDS, HEADERS, text),
        SIGNATURE,
        NEW,
        pair("pair-1").public,
    )
    with pytest.raises(TypeError, match="takes a SigningKey"):
        sign_sorted_form(pair("pair-1"), FIELDS, HEADERS)  # type: ignore[arg-type]


PIECES = st.sampled_from(
    [b"a", b"b", b"=", b"&", b"[", b"]", b"%5B", b"%5D", b"0", b"+", b"%", b"%C3%A9", b"\xff"]
)


@given(st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=24).map(b"".join)), st.binary(max_size=50))
def test_reader_and_verification_are_total(body: bytes, presented: bytes) -> None:
    try:
        fields = read_form(body)
    except SignatureRefused as refusal:
        assert refusal.reason is RefusalReason.MALFORMED  # noqa: PT017
    else:
        outcome = outcome_of(verify_sorted_form, [NEW], fields, HEADERS, presented)
        assert outcome in ("missing", "malformed", "mismatch")
        if outcome_of(sign_sorted_form, NEW, fields, HEADERS) != "malformed":
            signature = sign_sorted_form(NEW, fields, HEADERS).encode()
            assert verify_sorted_form([OLD, NEW], fields, HEADERS, signature) == "new"


@given(
    st.lists(st.tuples(st.text(max_size=6), TEXTS), max_size=5),
    st.dictionaries(st.text(max_size=4), TEXTS, max_size=3),
)
def test_any_texts_are_judged(fields: list[tuple[str, str]], headers: dict[str, str]) -> None:
    outcome = outcome_of(verify_sorted_form, [NEW], fields, headers, SIGNATURE.encode())
    assert outcome in ("malformed", "mismatch")
