"""Amounts in the forms of game protocols, exact in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.sandbox.protocols.amounts import (
    NotRepresentable,
    NumberText,
    from_scale,
    read_decimal,
    read_json,
    to_scale,
    write_decimal,
)


@given(st.integers(0, 10**40), st.integers(0, 18))
def test_what_is_written_is_read_back(minor: int, exponent: int) -> None:
    text = write_decimal(minor, exponent)
    if len(text.partition(".")[0]) <= 40:
        assert read_decimal(text, exponent) == minor
    assert from_scale(to_scale(minor, exponent, 18), exponent, 18) == minor


def test_places_fill_up_and_never_cut() -> None:
    assert (write_decimal(150, 2, places=4), write_decimal(7, 0, places=6)) == ("1.5000", "7.000000")
    assert (write_decimal(5, 3), write_decimal(0, 0)) == ("0.005", "0")
    for minor, exponent, places in ((1, 8, 4), (-1, 2, 2)):
        with pytest.raises(NotRepresentable):
            write_decimal(minor, exponent, places=places)
    with pytest.raises(NotRepresentable):
        to_scale(1, 18, 5)


@pytest.mark.parametrize("text", ["", "-1", "+1", "1e2", " 1", "1.", ".5", "1.005", "١"])
def test_what_is_no_amount_of_the_asset_is_not_read(text: str) -> None:
    with pytest.raises(NotRepresentable):
        read_decimal(text, 2)


def test_numbers_keep_the_text_they_were() -> None:
    document = read_json(b'{"a": 12.340000, "b": 5, "c": "5"}')
    assert (document["a"], document["b"]) == ("12.340000", "5")
    assert [type(value) for value in document.values()] == [NumberText, NumberText, str]
    for body in (b"NaN", b"{", b"[" * 100_000):
        with pytest.raises(ValueError, match=r"."):
            read_json(body)
