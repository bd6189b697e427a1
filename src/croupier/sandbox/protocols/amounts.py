"""Amounts as game protocols write them, from and to integers of minor units. Pure; no float is ever made."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_DECIMAL: Final = re.compile(r"(\d{1,40})(?:\.(\d{1,20}))?", re.ASCII)


class NotRepresentable(ValueError):
    """An amount that the protocol or the asset has too few decimals for."""


def write_decimal(minor: int, exponent: int, *, places: int | None = None) -> str:
    """Main units as decimal text with the asset's decimals, or filled up to `places`; raises NotRepresentable."""
    if minor < 0 or (places is not None and places < exponent):
        raise NotRepresentable(f"{minor} minor units with {exponent} decimals")
    digits = str(minor).rjust(exponent + 1, "0")
    whole, fraction = (digits[:-exponent], digits[-exponent:]) if exponent else (digits, "")
    fraction = fraction.ljust(places or 0, "0")
    return f"{whole}.{fraction}" if fraction else whole


def read_decimal(text: str, exponent: int) -> int:
    """Minor units of decimal text without sign or exponent; trailing zeros are fine. Raises NotRepresentable."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise NotRepresentable(f"{text[:50]!r} is not an amount")
    fraction = (match[2] or "").rstrip("0")
    if len(fraction) > exponent:
        raise NotRepresentable(f"{text[:50]!r} is finer than the asset")
    return int(match[1] + fraction.ljust(exponent, "0"))


def to_scale(minor: int, exponent: int, places: int) -> int:
    """The amount as an integer with so many decimals; raises NotRepresentable where something would be lost."""
    if places >= exponent:
        return int(minor * 10 ** (places - exponent))
    whole, rest = divmod(minor, 10 ** (exponent - places))
    if rest:
        raise NotRepresentable(f"{minor} minor units with {exponent} decimals in {places} decimals")
    return int(whole)


def from_scale(scaled: int, exponent: int, places: int) -> int:
    """The way back; raises NotRepresentable."""
    return to_scale(scaled, places, exponent)


class NumberText(str):
    """A JSON number as it was written."""

    __slots__ = ()


def read_json(body: bytes) -> Any:
    """A JSON value whose numbers are kept as the text they were; raises ValueError."""
    try:
        return json.loads(body, parse_float=NumberText, parse_int=NumberText, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("the value is nested too deeply") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
