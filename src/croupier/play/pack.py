"""Jurisdiction packs: what a regulator asks of a launch, of a stake and of the records, as data with its sources.

A pack is read from TOML. Croupier enforces what it says and vouches for none of it: every rule names where it was taken
from, when that was last looked at, and how sure one may be. A licence holder's counsel signs off line by line.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

MAX_PACK_BYTES: Final = 65_536


class Confidence(StrEnum):
    """How a rule got into its pack."""

    READ = "read"
    """Its text was read at the source."""
    QUOTED = "quoted"
    """Another text quotes it; the source was not read."""
    UNVERIFIED = "unverified"
    """Common knowledge with a source named; to be checked before anybody relies on it."""


Category = Literal["slots", "table", "live", "instant", "other"]
"""What kind of game it is, as far as rules tell games apart."""


class _Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    source: Annotated[str, Meta(min_length=1, max_length=500)]
    confidence: Confidence
    checked_on: date | None = None
    """The day the line was last gone over with its text at hand; None for what nobody has."""
    note: str = ""


class LocationRule(_Rule, frozen=True, tag="location"):
    """Whether the player's address must be located before a launch."""

    required: bool


class ExclusionRule(_Rule, frozen=True, tag="self_exclusion"):
    """Whether the player must be looked up in a register before a launch, and in which."""

    required: bool
    register: str = ""


class StakeCapRule(_Rule, frozen=True, tag="stake_cap"):
    """The most that may be staked in one game cycle by players of an age or more; of unknown age, the lowest.

    In minor units of ISO 4217, or of the configuration for what is not in it; a finer ledger does not change the cap.
    """

    categories: Annotated[tuple[Category, ...], Meta(min_length=1)]
    asset: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_]{2,16}\Z")]
    amount: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,37}\Z")]
    from_age: Annotated[int, Meta(ge=0, le=120)] = 0


class IdleCloseRule(_Rule, frozen=True, tag="idle_close"):
    """After so many seconds without play a session is over."""

    after_s: Annotated[int, Meta(ge=60, le=604_800)]


class RecheckRule(_Rule, frozen=True, tag="recheck"):
    """A decision to let somebody play is good for so many seconds; then a new session must be decided."""

    after_s: Annotated[int, Meta(ge=60, le=604_800)]


class ReturnRule(_Rule, frozen=True, tag="return_to_player"):
    """The least theoretical return of a game, in basis points of the stake."""

    categories: Annotated[tuple[Category, ...], Meta(min_length=1)]
    at_least_bps: Annotated[int, Meta(ge=0, le=10_000)]


class RetentionRule(_Rule, frozen=True, tag="retention"):
    """How long records must be kept at least: of rounds and money in years, of log-ins and sessions in days."""

    years: Annotated[int, Meta(ge=1, le=100)]
    session_log_days: Annotated[int, Meta(ge=1, le=36_500)]


Rule = LocationRule | ExclusionRule | StakeCapRule | IdleCloseRule | RecheckRule | ReturnRule | RetentionRule
R = TypeVar("R", LocationRule, ExclusionRule, IdleCloseRule, RecheckRule, RetentionRule)

_ONCE: Final = (LocationRule, ExclusionRule, RecheckRule, RetentionRule)
"""What every pack must say exactly once, so that nothing is left out by forgetting it."""


class Pack(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One jurisdiction's rules. `version` changes with every change of a rule and is kept with every decision.

    `countries` are ISO 3166-1 alpha-2; `subdivisions`, where there are any, ISO 3166-2 without the country.
    """

    id: Annotated[str, Meta(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?\Z")]
    title: Annotated[str, Meta(min_length=1, max_length=100)]
    regulator: Annotated[str, Meta(min_length=1, max_length=200)]
    version: Annotated[str, Meta(pattern=r"^[0-9A-Za-z.-]{1,32}\Z")]
    countries: tuple[Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")], ...] = ()
    subdivisions: tuple[Annotated[str, Meta(pattern=r"^[A-Z0-9]{1,3}\Z")], ...] = ()
    rules: tuple[Rule, ...] = ()

    @property
    def name(self) -> str:
        """Id and version, as decisions name it."""
        return f"{self.id}/{self.version}"

    def the(self, kind: type[R]) -> R | None:
        """The only rule of a kind, if there is one."""
        return next((rule for rule in self.rules if isinstance(rule, kind)), None)

    def stake_cap(self, category: Category, asset: str, age: int | None) -> int | None:
        """The most a player may stake in a cycle, in minor units; None without a cap in this asset."""
        caps = [rule for rule in self._caps(category) if rule.asset == asset]
        fitting = [rule for rule in caps if age is not None and rule.from_age <= age]
        if fitting:
            return int(max(fitting, key=lambda rule: rule.from_age).amount)
        return min((int(rule.amount) for rule in caps), default=None)

    def capped_assets(self, category: Category) -> frozenset[str]:
        """The assets in which stakes on such games are capped; empty where they are not capped at all."""
        return frozenset(rule.asset for rule in self._caps(category))

    def least_rtp_bps(self, category: Category) -> int | None:
        """The least theoretical return of such games in basis points, if the pack asks for one."""
        floors = [
            rule.at_least_bps
            for rule in self.rules
            if isinstance(rule, ReturnRule) and category in rule.categories
        ]
        return max(floors, default=None)

    def _caps(self, category: Category) -> Iterator[StakeCapRule]:
        return (rule for rule in self.rules if isinstance(rule, StakeCapRule) and category in rule.categories)


class PackUnreadable(ValueError):
    """The text is no pack; the message names the line or member and says what is wrong."""


def read_pack(text: str) -> Pack:
    """Read a pack's TOML.

    Raises:
        PackUnreadable: it is no TOML, a member is wrong or unknown, or a rule is missing or there twice.
    """
    try:
        pack = msgspec.convert(tomllib.loads(text), Pack)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise PackUnreadable(str(error)) from None
    for kind in _ONCE:
        count = sum(isinstance(rule, kind) for rule in pack.rules)
        if count != 1:
            name = kind.__struct_config__.tag
            raise PackUnreadable(f"{count} rules of kind {name}: a pack has exactly one of each of these")
    if sum(isinstance(rule, IdleCloseRule) for rule in pack.rules) > 1:
        raise PackUnreadable("more than one rule of kind idle_close")
    if pack.subdivisions and len(pack.countries) != 1:
        raise PackUnreadable("subdivisions belong to exactly one country")
    return pack
