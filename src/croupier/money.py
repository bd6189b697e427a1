"""Amounts of money: whole minor units of a named asset, and the texts they are read from and written to.

No float, no `decimal` context and no rounding occurs here: an amount that an asset cannot hold exactly is
refused. Standard library only, because every other module imports this one.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from croupier.iso4217 import EXPONENTS

MAX_DIGITS = 38
MAX_MINOR = 10**MAX_DIGITS - 1
MAX_EXPONENT = 18
MAX_STATISTICAL_LENGTH = 64

_ASSET_CODE = re.compile(r"[A-Za-z0-9_]{2,16}")
_MINOR = re.compile(r"0|[1-9][0-9]*")
_DECIMAL = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_SHOWN_CHARACTERS = 48


class MoneyError(ValueError):
    """Something is wrong with an amount or an asset; the message says what would be right."""


class MalformedAmount(MoneyError):
    """The text is not an amount in the grammar that was asked for."""


class AmountNotRepresentable(MoneyError):
    """The amount is well formed, but finer than its asset or longer than 38 digits."""


class AssetMismatch(MoneyError):
    """Two amounts of different assets were added, subtracted or ordered."""


class InvalidAsset(MoneyError):
    """An asset's code or exponent is out of bounds, repeated, or coarser than ISO 4217 says."""


class UnknownAsset(MoneyError):
    """No asset of this code is registered; `nearest` is the closest known code, or None."""

    def __init__(self, code: str, nearest: str | None) -> None:
        self.code = code
        self.nearest = nearest
        advice = f"did you mean {nearest!r}?" if nearest else "add it under [[assets]]"
        super().__init__(f"unknown asset {_shown(code)}: {advice}")


@dataclass(frozen=True, slots=True)
class Asset:
    """A currency or token: its code, and how many decimals one unit of it has in the ledger (0 to 18)."""

    code: str
    exponent: int

    def __post_init__(self) -> None:
        if _ASSET_CODE.fullmatch(self.code) is None:
            raise InvalidAsset(f"asset code {_shown(self.code)} must be 2 to 16 of A-Z a-z 0-9 _")
        if type(self.exponent) is not int or not 0 <= self.exponent <= MAX_EXPONENT:
            raise InvalidAsset(f"exponent of {self.code} must be a whole number from 0 to {MAX_EXPONENT}")


@dataclass(frozen=True, slots=True)
class Money:
    """A signed whole number of an asset's minor units, at most 38 digits long.

    Amounts of two assets are never equal, and adding or ordering them raises AssetMismatch. There is no
    multiplication: shares and rates have their own integer formulas with a stated rounding.
    """

    minor: int
    asset: Asset

    def __post_init__(self) -> None:
        # Booleans are integers to Python, and a flag in the place of an amount is always a mistake.
        if type(self.minor) is not int:
            raise MalformedAmount(f"minor units must be an int, not {type(self.minor).__name__}")
        if not -MAX_MINOR <= self.minor <= MAX_MINOR:
            raise AmountNotRepresentable(f"an amount has at most {MAX_DIGITS} digits")

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._minor_of(other), self.asset)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._minor_of(other), self.asset)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.asset)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._minor_of(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._minor_of(other)

    def __gt__(self, other: "Money") -> bool:
        return self.minor > self._minor_of(other)

    def __ge__(self, other: "Money") -> bool:
        return self.minor >= self._minor_of(other)

    def _minor_of(self, other: object) -> int:
        if not isinstance(other, Money):
            raise TypeError(f"money combines with money only, not with {type(other).__name__}")
        if other.asset != self.asset:
            raise AssetMismatch(f"{_named(self.asset)} and {_named(other.asset)} do not combine")
        return other.minor


def parse_minor(text: str) -> int:
    """Read an amount of the native protocol: `0`, or ASCII digits without a leading zero.

    Raises MalformedAmount, or AmountNotRepresentable beyond 38 digits.
    """
    if _MINOR.fullmatch(text) is None:
        raise MalformedAmount(
            f"amount {_shown(text)} must be whole minor units: digits only, no sign, no leading zero"
        )
    return _bounded_int(text)


def parse_decimal(text: str, asset: Asset, *, is_signed: bool = False) -> int:
    """Read exact decimal text in whole units of the asset (`12.50` EUR) as minor units (1250).

    A leading minus is accepted only if is_signed. Zeros beyond the asset's exponent are exact and accepted.
    Raises MalformedAmount, or AmountNotRepresentable when finer than the asset or beyond 38 digits.
    """
    sign, whole, fraction = _split_decimal(text, is_signed=is_signed)
    if _is_finer(fraction, asset.exponent):
        raise AmountNotRepresentable(
            f"amount {_shown(text)} is finer than {asset.code} allows: {asset.exponent} decimals"
        )
    minor = _bounded_int(whole + fraction[: asset.exponent].ljust(asset.exponent, "0"))
    return -minor if sign else minor


def parse_statistical(text: str, max_len: int = MAX_STATISTICAL_LENGTH) -> str:
    """Check non-negative decimal text of any fineness and return it unchanged, to be kept as it is.

    Raises MalformedAmount (also beyond max_len characters), or AmountNotRepresentable when the whole part has
    more than 38 digits.
    """
    if len(text) > max_len:
        raise MalformedAmount(f"statistical amount {_shown(text)} is longer than {max_len} characters")
    _, whole, _ = _split_decimal(text, is_signed=False)
    _bounded_int(whole)
    return text


def split_statistical(text: str) -> tuple[int | None, str]:
    """Read a statistical amount *in minor units*: the exact integer, or None if finer, beside the text.

    `12` and `12.0` give 12; `0.35` gives None. Raises what parse_statistical raises.
    """
    whole, _, fraction = parse_statistical(text).partition(".")
    return (None if _is_finer(fraction, 0) else int(whole)), text


def whole_minor(text: str, asset: Asset) -> int | None:
    """Read a statistical amount *in whole units of the asset*: exact minor units, or None if there are none.

    `12.50` EUR gives 1250; `0.001` EUR gives None. Raises MalformedAmount.
    """
    try:
        return parse_decimal(text, asset)
    except AmountNotRepresentable:
        return None


def render_minor(minor: int) -> str:
    """Write minor units as the native protocol does: plain ASCII digits, with a minus if negative."""
    if type(minor) is not int:
        raise MalformedAmount(f"minor units must be an int, not {type(minor).__name__}")
    return str(minor)


def render_decimal(minor: int, asset: Asset) -> str:
    """Write minor units as decimal text in whole units with all its decimals (1250 EUR: `12.50`)."""
    digits = render_minor(minor).removeprefix("-").rjust(asset.exponent + 1, "0")
    sign = "-" if minor < 0 else ""
    if asset.exponent == 0:
        return sign + digits
    return f"{sign}{digits[: -asset.exponent]}.{digits[-asset.exponent :]}"


def render_places(minor: int, asset: Asset, places: int) -> str:
    """Write minor units as decimal text with exactly so many decimals; what is finer is cut off towards zero.

    For answers that show a balance; an amount that is asked for or moved is never cut.
    """
    whole, _, fraction = render_decimal(minor, asset).partition(".")
    return f"{whole}.{fraction[:places].ljust(places, '0')}" if places else whole


def parse_scaled(units: int, scale: int, asset: Asset) -> int:
    """Read a whole number of `scale`-ths of one unit of the asset (356000 of 100000 EUR) as minor units (356).

    Raises MalformedAmount when negative, or AmountNotRepresentable when finer than the asset or beyond 38 digits.
    """
    if type(units) is not int or units < 0:
        raise MalformedAmount("the amount must be a whole number, not negative")
    minor, finer = divmod(units * int(10**asset.exponent), scale)
    if finer:
        raise AmountNotRepresentable(
            f"amount {units} is finer than {asset.code} allows: {asset.exponent} decimals"
        )
    if minor > MAX_MINOR:
        raise AmountNotRepresentable(f"an amount has at most {MAX_DIGITS} digits")
    return minor


def render_scaled(minor: int, scale: int, asset: Asset) -> int:
    """Write minor units as a whole number of `scale`-ths of one unit; what is finer is cut off towards zero.

    For answers that show a balance, like `render_places`.
    """
    units = abs(minor) * scale // int(10**asset.exponent)
    return -units if minor < 0 else units


class AssetRegistry:
    """The assets a deployment knows: ISO 4217, and what its configuration adds or makes finer.

    A configured asset may give an ISO currency more decimals than the standard, never fewer. Raises
    InvalidAsset for fewer, or for a code that is configured twice.
    """

    __slots__ = ("_assets",)

    def __init__(self, configured: Iterable[Asset] = ()) -> None:
        self._assets = {code: Asset(code, exponent) for code, exponent in EXPONENTS.items()}
        seen: set[str] = set()
        for asset in configured:
            _check_configured(asset, seen)
            seen.add(asset.code)
            self._assets[asset.code] = asset

    def get(self, code: str) -> Asset:
        """Find an asset by its exact code (case matters); raises UnknownAsset with the nearest known code."""
        asset = self._assets.get(code)
        if asset is None:
            raise UnknownAsset(code, self._nearest(code))
        return asset

    def codes(self) -> tuple[str, ...]:
        """List every known code, sorted."""
        return tuple(sorted(self._assets))

    def __contains__(self, code: object) -> bool:
        return code in self._assets

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._assets.values())

    def _nearest(self, code: str) -> str | None:
        # The comparison is quadratic in the text, and the text comes from outside.
        if _ASSET_CODE.fullmatch(code) is None:
            return None
        by_upper = {known.upper(): known for known in self._assets}
        found = get_close_matches(code.upper(), by_upper, n=1)
        return by_upper[found[0]] if found else None


def _check_configured(asset: Asset, seen: set[str]) -> None:
    if asset.code in seen:
        raise InvalidAsset(f"asset {asset.code} is configured twice: keep one entry")
    iso_exponent = EXPONENTS.get(asset.code)
    if iso_exponent is not None and asset.exponent < iso_exponent:
        raise InvalidAsset(
            f"exponent {asset.exponent} of {asset.code} is coarser than ISO 4217: use {iso_exponent} or more"
        )


def _split_decimal(text: str, *, is_signed: bool) -> tuple[str, str, str]:
    match = _DECIMAL.fullmatch(text)
    if match is None or (match[1] and not is_signed):
        allowed = "digits, an optional minus before" if is_signed else "digits, no sign"
        raise MalformedAmount(f"amount {_shown(text)} must be {allowed}, an optional point with digits after")
    return match[1], match[2], match[3] or ""


def _is_finer(fraction: str, exponent: int) -> bool:
    return fraction[exponent:].strip("0") != ""


def _bounded_int(digits: str) -> int:
    # Length first: turning digits into an int is quadratic, and the digits come from outside.
    significant = digits.lstrip("0")
    if len(significant) > MAX_DIGITS:
        raise AmountNotRepresentable(f"amount has {len(significant)} digits: at most {MAX_DIGITS} are kept")
    return int(significant or "0")


def _named(asset: Asset) -> str:
    return f"{asset.code} ({asset.exponent} decimals)"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
