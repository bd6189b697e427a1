"""Amounts against `decimal.Decimal` as the second, independent opinion."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.money import (
    MAX_EXPONENT,
    MAX_MINOR,
    AmountNotRepresentable,
    Asset,
    MalformedAmount,
    Money,
    MoneyError,
    parse_decimal,
    parse_minor,
    parse_statistical,
    render_decimal,
    render_minor,
    split_statistical,
    whole_minor,
)

ASSETS = st.builds(Asset, st.just("TOKEN"), st.integers(0, MAX_EXPONENT))
MINOR = st.integers(-MAX_MINOR, MAX_MINOR)
DIGITS = st.text("0123456789", min_size=1, max_size=45)
DECIMAL_TEXT = st.builds(
    lambda whole, fraction: (whole.lstrip("0") or "0") + (f".{fraction}" if fraction else ""),
    DIGITS,
    st.text("0123456789", max_size=45) | st.text("0", max_size=45),
)


def oracle(text: str, asset: Asset) -> int | None:
    """Scale in a context so wide that nothing is ever rounded; None where it is no integer of 38 digits."""
    with localcontext() as context:
        context.prec = 200
        scaled = Decimal(text).scaleb(asset.exponent)
        is_held = scaled == scaled.to_integral_value() and abs(scaled) <= MAX_MINOR
        return int(scaled) if is_held else None


@given(MINOR, ASSETS)
def test_decimal_text_returns_to_the_same_minor_units(minor: int, asset: Asset) -> None:
    text = render_decimal(minor, asset)
    assert parse_decimal(text, asset, is_signed=True) == minor
    assert oracle(text, asset) == minor
    assert len(text.partition(".")[2]) == asset.exponent


@given(st.integers(0, MAX_MINOR))
def test_minor_text_returns_to_the_same_minor_units(minor: int) -> None:
    assert parse_minor(render_minor(minor)) == minor


@given(DECIMAL_TEXT, ASSETS)
def test_decimal_text_is_exact_or_refused_as_decimal_says(text: str, asset: Asset) -> None:
    expected = oracle(text, asset)
    assert whole_minor(text, asset) == expected
    if expected is None:
        with pytest.raises(AmountNotRepresentable):
            parse_decimal(text, asset)
    else:
        assert parse_decimal(text, asset) == expected


@given(st.text(max_size=60) | st.from_regex(r"[-+0-9._eE ]{0,60}", fullmatch=True), ASSETS)
def test_any_other_text_is_refused_with_a_money_error(text: str, asset: Asset) -> None:
    for parse in (
        parse_minor,
        parse_statistical,
        lambda value: parse_decimal(value, asset),
        lambda value: parse_decimal(value, asset, is_signed=True),
    ):
        try:
            parse(text)
        except MoneyError:
            continue
        assert text.isascii()
        assert set(text) <= set("-0123456789.")


@given(DIGITS)
def test_minor_text_is_read_exactly_when_it_has_no_leading_zero_and_38_digits(text: str) -> None:
    if text != "0" and text.startswith("0"):
        with pytest.raises(MalformedAmount):
            parse_minor(text)
    elif len(text) > 38:
        with pytest.raises(AmountNotRepresentable):
            parse_minor(text)
    else:
        assert parse_minor(text) == int(text)


@given(st.integers(0, MAX_MINOR), st.text("0123456789", max_size=20))
def test_a_statistical_amount_is_the_integer_decimal_says_or_none(whole: int, fraction: str) -> None:
    text = f"{whole}.{fraction}" if fraction else str(whole)
    assert split_statistical(text) == (oracle(text, Asset("TOKEN", 0)), text)


@given(st.integers(10**19, MAX_MINOR - 1))
def test_one_minor_unit_always_counts_next_to_a_large_amount(large: int) -> None:
    # A float loses this unit from 2**53 on: 10**20 wei plus one would be 10**20 wei.
    asset = Asset("ETH", 18)
    total = Money(large, asset) + Money(1, asset)
    assert total > Money(large, asset)
    assert parse_decimal(render_decimal(total.minor, asset), asset) - large == 1


@given(st.integers(-(10**37), 10**37), st.integers(-(10**37), 10**37))
def test_sums_differences_and_order_are_those_of_integers(left: int, right: int) -> None:
    asset = Asset("TOKEN", 6)
    assert (Money(left, asset) + Money(right, asset)).minor == left + right
    assert (Money(left, asset) - Money(right, asset)).minor == left - right
    assert (Money(left, asset) < Money(right, asset)) == (left < right)
    assert (Money(left, asset) >= Money(right, asset)) == (left >= right)


@given(st.floats() | st.booleans() | st.decimals(allow_nan=True))
def test_no_float_boolean_or_decimal_becomes_money(value: int) -> None:
    for make in (
        lambda v: Money(v, Asset("EUR", 2)),
        render_minor,
        lambda v: render_decimal(v, Asset("EUR", 2)),
    ):
        with pytest.raises(MalformedAmount):
            make(value)
