"""Amounts and assets: exact or refused, never rounded (D3)."""

import dataclasses
from typing import Any

import pytest

from croupier.iso4217 import EXPONENTS
from croupier.money import (
    MAX_DIGITS,
    MAX_MINOR,
    AmountNotRepresentable,
    Asset,
    AssetMismatch,
    AssetRegistry,
    InvalidAsset,
    MalformedAmount,
    Money,
    UnknownAsset,
    parse_decimal,
    parse_minor,
    parse_scaled,
    parse_statistical,
    render_decimal,
    render_minor,
    render_places,
    render_scaled,
    split_statistical,
    whole_minor,
)

EUR = Asset("EUR", 2)
JPY = Asset("JPY", 0)
ETH = Asset("ETH", 18)


@pytest.mark.parametrize("code", ["", "E", "EUR ", "EU-R", "ЕUR", "E" * 17, "EUR\n", "é1"])
def test_an_asset_code_outside_its_alphabet_or_length_is_refused(code: str) -> None:
    with pytest.raises(InvalidAsset, match="2 to 16"):
        Asset(code, 2)


@pytest.mark.parametrize("exponent", [-1, 19, True, 2.0, "2"])
def test_an_exponent_that_is_not_a_whole_number_up_to_18_is_refused(exponent: int) -> None:
    with pytest.raises(InvalidAsset, match="from 0 to 18"):
        Asset("EUR", exponent)


@pytest.mark.parametrize("minor", [True, 12.0, "12", None])
def test_minor_units_that_are_not_an_int_are_refused(minor: int) -> None:
    with pytest.raises(MalformedAmount, match="must be an int"):
        Money(minor, EUR)


@pytest.mark.parametrize("minor", [MAX_MINOR + 1, -MAX_MINOR - 1])
def test_money_of_39_digits_is_refused(minor: int) -> None:
    with pytest.raises(AmountNotRepresentable, match="38 digits"):
        Money(minor, EUR)


def test_the_largest_amounts_are_held_and_their_sum_is_refused() -> None:
    largest = Money(MAX_MINOR, EUR)
    assert largest.minor == 10**MAX_DIGITS - 1
    assert (-largest).minor == -MAX_MINOR
    with pytest.raises(AmountNotRepresentable):
        largest + Money(1, EUR)


def test_money_adds_subtracts_and_orders_within_one_asset() -> None:
    assert Money(5, EUR) + Money(7, EUR) == Money(12, EUR)
    assert Money(5, EUR) - Money(7, EUR) == Money(-2, EUR)
    assert Money(5, EUR) < Money(7, EUR)
    assert Money(7, EUR) <= Money(7, EUR)
    assert not Money(5, EUR) > Money(7, EUR)
    assert Money(7, EUR) >= Money(5, EUR)


@pytest.mark.parametrize("operation", ["__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"])
@pytest.mark.parametrize("other", [Money(5, JPY), Money(5, Asset("EUR", 4))])
def test_amounts_of_two_assets_do_not_combine(operation: str, other: Money) -> None:
    with pytest.raises(AssetMismatch, match="do not combine"):
        getattr(Money(5, EUR), operation)(other)


def test_amounts_of_two_assets_are_never_equal() -> None:
    assert Money(5, EUR) != Money(5, JPY)
    assert Money(5, EUR) != Money(5, Asset("EUR", 4))


@pytest.mark.parametrize("other", [5, 5.0, True])
def test_money_combines_with_money_only(other: Money) -> None:
    for operation in ("__add__", "__sub__", "__lt__"):
        with pytest.raises(TypeError, match="money only"):
            getattr(Money(5, EUR), operation)(other)


@pytest.mark.parametrize("factor", [2, 1.5, Money(2, EUR)])
def test_money_has_no_multiplication_or_division(factor: object) -> None:
    for operation in ("__mul__", "__rmul__", "__truediv__", "__floordiv__", "__float__", "__round__"):
        assert not hasattr(Money(5, EUR), operation)
    with pytest.raises(TypeError):
        Money(5, EUR) * factor  # type: ignore[operator]


def test_money_and_assets_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Money(5, EUR).minor = 6  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        EUR.exponent = 3  # type: ignore[misc]


def test_one_wei_beside_a_hundred_ether_is_not_lost() -> None:
    hundred_ether = parse_decimal("100", ETH)
    assert hundred_ether == 10**20
    total = Money(hundred_ether, ETH) + Money(1, ETH)
    assert render_decimal(total.minor, ETH) == "100.000000000000000001"
    assert total > Money(hundred_ether, ETH)


@pytest.mark.parametrize(("text", "minor"), [("0", 0), ("1", 1), ("1250", 1250), ("9" * 38, MAX_MINOR)])
def test_minor_units_are_read(text: str, minor: int) -> None:
    assert parse_minor(text) == minor


MALFORMED_MINOR = [
    "", " ", "00", "01", "-1", "+1", "1.0", "1.", ".5", "1e3", "1E3", "1_000", "1,000", " 1", "1 ", "1\n",
    "0x1f", "NaN", "Infinity", "١٢", "１２", "12²", "0" * 39, "1\x00", "null",
]  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED_MINOR)
def test_text_that_is_not_whole_minor_units_is_malformed(text: str) -> None:
    with pytest.raises(MalformedAmount, match="digits only"):
        parse_minor(text)


@pytest.mark.parametrize("length", [39, 5000])
def test_minor_units_of_more_than_38_digits_are_not_representable(length: int) -> None:
    with pytest.raises(AmountNotRepresentable, match=f"{length} digits"):
        parse_minor("9" * length)


def test_a_message_shows_only_the_beginning_of_a_long_text() -> None:
    with pytest.raises(MalformedAmount) as caught:
        parse_minor("x" * 10_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "asset", "minor"),
    [
        ("12.50", EUR, 1250),
        ("12.5", EUR, 1250),
        ("12", EUR, 1200),
        ("0.01", EUR, 1),
        ("0", EUR, 0),
        ("12.500000", EUR, 1250),
        ("12.0", JPY, 12),
        ("0.000000000000000001", ETH, 1),
        ("0." + "0" * 100, EUR, 0),
        ("9" * 36 + ".99", EUR, MAX_MINOR),
    ],
)
def test_decimal_text_is_read_exactly(text: str, asset: Asset, minor: int) -> None:
    assert parse_decimal(text, asset) == minor


@pytest.mark.parametrize(
    ("text", "asset"), [("0.001", EUR), ("12.505", EUR), ("0.5", JPY), ("0." + "0" * 18 + "1", ETH)]
)
def test_decimal_text_finer_than_its_asset_is_refused_and_not_rounded(text: str, asset: Asset) -> None:
    with pytest.raises(AmountNotRepresentable, match=f"{asset.exponent} decimals"):
        parse_decimal(text, asset)


@pytest.mark.parametrize("text", ["9" * 37 + ".00", "1" + "0" * 5000])
def test_decimal_text_of_more_than_38_digits_in_minor_units_is_refused(text: str) -> None:
    with pytest.raises(AmountNotRepresentable, match="at most 38"):
        parse_decimal(text, EUR)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".5",
        "5.",
        "1e2",
        "1E2",
        "NaN",
        "inf",
        "1_0",
        " 1",
        "1\n",
        "1,5",
        "٣.٥",
        "01",
        "+1",
        "--1",
        "1.2.3",
        "1.5 EUR",
        "0x1",
        "1.٥",
    ],
)
def test_text_that_is_not_a_decimal_is_malformed_signed_or_not(text: str) -> None:
    for is_signed in (False, True):
        with pytest.raises(MalformedAmount):
            parse_decimal(text, EUR, is_signed=is_signed)


def test_a_minus_is_read_only_where_it_is_asked_for() -> None:
    assert parse_decimal("-12.50", EUR, is_signed=True) == -1250
    assert parse_decimal("-0.00", EUR, is_signed=True) == 0
    with pytest.raises(MalformedAmount, match="no sign"):
        parse_decimal("-12.50", EUR)


@pytest.mark.parametrize(
    ("minor", "asset", "text"),
    [
        (1250, EUR, "12.50"), (5, EUR, "0.05"), (-5, EUR, "-0.05"), (0, EUR, "0.00"), (7, JPY, "7"),
        (-7, JPY, "-7"),
        (1, ETH, "0.000000000000000001"), (-(10**18), ETH, "-1.000000000000000000"),
    ],
)  # fmt: skip
def test_minor_units_are_written_as_decimal_text(minor: int, asset: Asset, text: str) -> None:
    assert render_decimal(minor, asset) == text


@pytest.mark.parametrize("minor", [True, 1.0, "1"])
def test_only_an_int_is_written(minor: int) -> None:
    for render in (render_minor, lambda value: render_decimal(value, EUR)):
        with pytest.raises(MalformedAmount, match="must be an int"):
            render(minor)


def test_minor_units_are_written_as_plain_digits() -> None:
    assert [render_minor(value) for value in (0, 1250, -3, MAX_MINOR)] == ["0", "1250", "-3", "9" * 38]


@pytest.mark.parametrize(
    ("text", "minor"), [("12", 12), ("0", 0), ("12.0", 12), ("12.000", 12), ("0.35", None), ("7.001", None)]
)
def test_a_statistical_amount_in_minor_units_keeps_its_text_and_shows_its_integer(
    text: str, minor: int | None
) -> None:
    assert split_statistical(text) == (minor, text)


@pytest.mark.parametrize("text", ["-1", "1e3", "", "1.", " 1", "1" * 30 + "." + "1" * 34])
def test_a_statistical_amount_that_is_negative_no_decimal_or_too_long_is_malformed(text: str) -> None:
    with pytest.raises(MalformedAmount):
        parse_statistical(text)


def test_a_statistical_amount_whose_whole_part_has_39_digits_is_refused() -> None:
    assert parse_statistical("9" * 38 + ".5") == "9" * 38 + ".5"
    with pytest.raises(AmountNotRepresentable):
        parse_statistical("1" + "0" * 38 + ".5")


def test_a_statistical_amount_in_whole_units_is_exact_or_none() -> None:
    assert whole_minor("12.50", EUR) == 1250
    assert whole_minor("0.001", EUR) is None
    assert whole_minor("9" * 40, EUR) is None
    with pytest.raises(MalformedAmount):
        whole_minor("1e3", EUR)


ISO_SAMPLES = {
    "EUR": 2, "USD": 2, "TWD": 2, "HUF": 2, "JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "PYG": 0,
    "UGX": 0, "XAF": 0, "XOF": 0, "XPF": 0, "RWF": 0, "GNF": 0, "DJF": 0, "KMF": 0, "BIF": 0, "VUV": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
    "CLF": 4, "UYW": 4, "XCG": 2, "ZWG": 2,
}  # fmt: skip


@pytest.mark.parametrize(("code", "exponent"), ISO_SAMPLES.items())
def test_iso_currencies_are_built_in_with_their_decimals(code: str, exponent: int) -> None:
    assert AssetRegistry().get(code) == Asset(code, exponent)


def test_every_built_in_code_has_three_capital_letters_and_is_listed_once() -> None:
    codes = AssetRegistry().codes()
    assert set(codes) == set(EXPONENTS)
    assert list(codes) == sorted(set(codes))
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in codes)
    assert len(codes) == 165
    assert not {"XAU", "XXX", "XTS", "HRK", "ANG"} & set(codes)


def test_a_configured_asset_is_added_and_may_make_a_currency_finer() -> None:
    registry = AssetRegistry([Asset("ETH", 18), Asset("EUR", 5)])
    assert registry.get("ETH").exponent == 18
    assert registry.get("EUR").exponent == 5
    assert "ETH" in registry
    assert "BTC" not in registry
    assert {asset.code for asset in registry} == set(registry.codes())


def test_a_configured_asset_coarser_than_iso_is_refused() -> None:
    with pytest.raises(InvalidAsset, match="use 2 or more"):
        AssetRegistry([Asset("EUR", 1)])


def test_an_asset_configured_twice_is_refused() -> None:
    with pytest.raises(InvalidAsset, match="twice"):
        AssetRegistry([Asset("ETH", 18), Asset("ETH", 8)])


@pytest.mark.parametrize(
    ("code", "nearest"),
    [
        ("eur", "EUR"),
        ("EURO", "EUR"),
        ("usdt", "USDT"),
        ("mbtc", "mBTC"),
        ("€", None),
        ("Q" * 5000, None),
        ("ZZZZ__9", None),
    ],
)
def test_an_unknown_asset_is_refused_with_the_nearest_known_code(code: str, nearest: str | None) -> None:
    registry = AssetRegistry([Asset("USDT", 6), Asset("mBTC", 5)])
    with pytest.raises(UnknownAsset) as caught:
        registry.get(code)
    assert caught.value.code == code
    assert caught.value.nearest == nearest
    assert (f"did you mean {nearest!r}" if nearest else "[[assets]]") in str(caught.value)
    assert len(str(caught.value)) < 200


class TestScaledIntegers:
    """Amounts as whole numbers of a protocol's own fraction of one unit."""

    @pytest.mark.parametrize(
        ("units", "asset", "minor"),
        [
            (356_000, EUR, 356),
            (0, EUR, 0),
            (100_000, JPY, 1),
            (1, ETH, 10**13),
            (2_147_484_000_000, EUR, 2_147_484_000),
        ],
    )
    def test_exact_amounts_are_read_and_written_back(self, units: int, asset: Asset, minor: int) -> None:
        assert parse_scaled(units, 100_000, asset) == minor
        assert render_scaled(minor, 100_000, asset) == units

    @pytest.mark.parametrize(("units", "asset"), [(356_001, EUR), (99_999, JPY), (10**45, EUR)])
    def test_what_is_finer_or_longer_is_refused(self, units: int, asset: Asset) -> None:
        with pytest.raises(AmountNotRepresentable):
            parse_scaled(units, 100_000, asset)

    @pytest.mark.parametrize("units", [-1, True, "1"])
    def test_what_is_no_amount_is_refused(self, units: Any) -> None:
        with pytest.raises(MalformedAmount):
            parse_scaled(units, 100_000, EUR)

    def test_a_balance_finer_than_the_scale_is_cut_towards_zero(self) -> None:
        assert render_scaled(10**13 + 1, 100_000, ETH) == 1
        assert render_scaled(-(10**13) - 1, 100_000, ETH) == -1


class TestFixedPlaces:
    """Balances in answers with a fixed number of decimals."""

    @pytest.mark.parametrize(
        ("minor", "asset", "places", "text"),
        [
            (1234, EUR, 6, "12.340000"),
            (1234, EUR, 4, "12.3400"),
            (12, JPY, 2, "12.00"),
            (12, JPY, 0, "12"),
            (10**18 + 1, ETH, 6, "1.000000"),
            (-1234, EUR, 1, "-12.3"),
        ],
    )
    def test_they_are_padded_and_never_rounded_up(
        self, minor: int, asset: Asset, places: int, text: str
    ) -> None:
        assert render_places(minor, asset, places) == text
