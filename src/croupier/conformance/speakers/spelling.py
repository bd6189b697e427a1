"""Bad amounts written down, for protocols with decimal text, with whole numbers and with JSON numbers."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from croupier.conformance.reading import write_decimal
from croupier.conformance.steps import Amount, Spelling

_TEXTS: Final = {
    Spelling.EXPONENT: "1e2",
    Spelling.TOO_LONG: "9" * 60,
    Spelling.NOT_A_NUMBER: "NaN",
    Spelling.EMPTY: "",
    Spelling.SPACED: " 1",
}
_MINOR_TEXTS: Final = {**_TEXTS, Spelling.FINER: "100.5", Spelling.NEGATIVE: "-100"}
_NUMBERS: Final = {
    Spelling.EXPONENT: b"1e5",
    Spelling.TOO_LONG: b"9" * 60,
    Spelling.NOT_A_NUMBER: b"NaN",
    Spelling.EMPTY: b"null",
    Spelling.SPACED: b"1 0",
}


def spell_decimal(amount: Amount, exponent: int) -> Any:
    """Decimal text in units of the asset (`12.50`); another type is a JSON number."""
    if isinstance(amount, int):
        return write_decimal(amount, exponent)
    if amount is Spelling.FINER:
        return "1." + "0" * exponent + "1"
    if amount is Spelling.NEGATIVE:
        return "-1" + write_decimal(0, exponent)[1:]
    return msgspec.Raw(b"1.00") if amount is Spelling.OTHER_TYPE else _TEXTS[amount]


def spell_minor(amount: Amount) -> Any:
    """Whole minor units as text; another type is a JSON number."""
    if isinstance(amount, int):
        return str(amount)
    return msgspec.Raw(b"100") if amount is Spelling.OTHER_TYPE else _MINOR_TEXTS[amount]


def spell_number(amount: Amount, exponent: int) -> msgspec.Raw:
    """A JSON number in units of the asset; another type is a text."""
    if amount is Spelling.OTHER_TYPE:
        return msgspec.Raw(b'"1.00"')
    if not isinstance(amount, int) and amount in _NUMBERS:
        return msgspec.Raw(_NUMBERS[amount])
    return msgspec.Raw(spell_decimal(amount, exponent).encode())


def spell_scaled(amount: Amount, exponent: int, scale: int) -> msgspec.Raw:
    """A whole JSON number of `scale`-ths of the asset's unit; another type is a text."""
    if isinstance(amount, int):
        units, rest = divmod(amount * scale, 10**exponent)
        assert rest == 0, "the scale is finer than the asset"  # noqa: S101 (assets of the kit are)
        return msgspec.Raw(str(units).encode())
    odd = {
        Spelling.FINER: b"%d" % (scale + 1),
        Spelling.NEGATIVE: b"-%d" % scale,
        Spelling.OTHER_TYPE: b'"%d"' % scale,
    }
    return msgspec.Raw({**_NUMBERS, **odd}[amount])
