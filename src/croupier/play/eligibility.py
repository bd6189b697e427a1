"""Eligibility: whether this player may open this game, here and now. Pure, and closed wherever something is not known.

The decision is made before a session exists and kept as evidence, with what it was made from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID

from msgspec import Struct

from croupier.play.pack import Category, ExclusionRule, IdleCloseRule, LocationRule, Pack, RecheckRule

EVERY: Final = "*"
"""Stands for everything of a kind, where the operator says so."""


class Reason(StrEnum):
    """Why a player may not open a game."""

    JURISDICTION_UNKNOWN = "jurisdiction_unknown"
    JURISDICTION_AMBIGUOUS = "jurisdiction_ambiguous"
    COUNTRY_NOT_SERVED = "country_not_served"
    LOCATION_REQUIRED = "location_required"
    LOCATION_UNKNOWN = "location_unknown"
    LOCATION_MISMATCH = "location_mismatch"
    PROVIDER_NOT_ENABLED = "provider_not_enabled"
    GAME_NOT_ENABLED = "game_not_enabled"
    ASSET_NOT_ALLOWED = "asset_not_allowed"
    RETURN_TOO_LOW = "return_too_low"
    SELF_EXCLUDED = "self_excluded"
    EXCLUSION_UNANSWERED = "exclusion_unanswered"
    DECISION_EXPIRED = "decision_expired"


_ELSEWHERE: Final = "This game is not available where you are."
_THIS_GAME: Final = "This game is not available to you. Please choose another game."
_CONTACT: Final = (
    "You cannot play this game at the moment. If you think this is wrong, please contact support."
)
_LATER: Final = (
    "We could not complete a check that is needed before you play. Please try again in a few minutes."
)

PLAYER_MESSAGES: Final[Mapping[Reason, str]] = {
    Reason.JURISDICTION_UNKNOWN: _ELSEWHERE,
    Reason.JURISDICTION_AMBIGUOUS: _ELSEWHERE,
    Reason.COUNTRY_NOT_SERVED: _ELSEWHERE,
    Reason.LOCATION_REQUIRED: "We need to know where you are before you play. "
    "Please allow your location and try again.",
    Reason.LOCATION_UNKNOWN: "We could not confirm where you are. Please try again from another connection.",
    Reason.LOCATION_MISMATCH: _ELSEWHERE,
    Reason.PROVIDER_NOT_ENABLED: _ELSEWHERE,
    Reason.GAME_NOT_ENABLED: _ELSEWHERE,
    Reason.ASSET_NOT_ALLOWED: "This game cannot be played in this currency. Please choose another one.",
    Reason.RETURN_TOO_LOW: _THIS_GAME,
    Reason.SELF_EXCLUDED: _CONTACT,
    Reason.EXCLUSION_UNANSWERED: _LATER,
    Reason.DECISION_EXPIRED: _LATER,
}
"""What a player may be told. Nobody learns from it that somebody is excluded."""


class Enablement(Struct, frozen=True, kw_only=True):
    """A jurisdiction as this deployment serves it: its pack, and what is enabled there; `*` stands for everything."""

    pack: Pack
    countries: tuple[str, ...]
    providers: tuple[str, ...]
    games: tuple[str, ...]
    assets: tuple[str, ...]

    def serves(self, country: str) -> bool:
        """Whether players who say that they are in this country are served under it."""
        return not self.countries or country in self.countries


class GameFacts(Struct, frozen=True, kw_only=True):
    """What is known of a game. `rtp_bps` is its theoretical return in basis points of the stake, if it is told."""

    id: str
    provider: str
    category: Category
    version: str | None = None
    rtp_bps: int | None = None
    assets: tuple[str, ...] = ()


class Wish(Struct, frozen=True, kw_only=True):
    """Who wants to play what, and where they say they are."""

    game: GameFacts
    asset: str
    country: str
    jurisdiction: str | None = None
    has_address: bool = False
    """Whether the player's address is told."""


class Located(Struct, frozen=True, gc=False):
    """Where an address is, as far as the database knows: country and subdivisions by ISO 3166, None for nowhere."""

    country: str | None
    subdivisions: tuple[str, ...] = ()


class Standing(Struct, frozen=True, kw_only=True, gc=False):
    """What the operator's check said: `reference` is its own name for this look-up, `age` in years if it tells."""

    is_excluded: bool
    reference: str
    age: int | None = None


class Unanswered(Struct, frozen=True, gc=False):
    """The check said nothing that can be used; `why` is a stable word such as `timeout`."""

    why: str


class PlayTerms(Struct, frozen=True, gc=False, kw_only=True):
    """What a session's jurisdiction asks of its stakes: the cap of a cycle in minor units, the idle time in seconds."""

    jurisdiction: str
    rules: str
    stake_cap: int | None = None
    idle_close_s: int | None = None


class Granted(Struct, frozen=True, gc=False):
    """The player may open the game, on these terms, until the decision expires."""

    terms: PlayTerms
    expires_at: datetime


class Refused(Struct, frozen=True, gc=False):
    """The player may not; `detail` is for the operator, the player is told `PLAYER_MESSAGES[reason]`."""

    reason: Reason
    detail: str
    rules: str | None = None


class AskStanding(Struct, frozen=True, gc=False):
    """Everything else is in order: ask the operator whether the player is excluded, and decide again."""

    jurisdiction: str
    register: str


Decision = Granted | Refused


class Grant(Struct, frozen=True, gc=False, kw_only=True):
    """A decision that went well, on its way into the session it is for; `evidence` is JSON, without personal data."""

    id: UUID
    decided_at: datetime
    expires_at: datetime
    terms: PlayTerms
    evidence: str


class Ruling(Struct, frozen=True, gc=False, kw_only=True):
    """A decision as it is kept: who, when, what came of it, under which rules, and from which facts (JSON)."""

    bucket: int
    id: UUID
    player_id: str
    session_id: UUID | None
    decided_at: datetime
    expires_at: datetime | None
    is_granted: bool
    reason: str
    detail: str
    rules: str | None
    evidence: str


def decide(
    wish: Wish,
    served: Mapping[str, Enablement],
    *,
    located: Located | None,
    standing: Standing | Unanswered | None,
    now: datetime,
) -> Decision | AskStanding:
    """Decide, as far as what is known allows.

    `located` is None without a location database; `standing` is None until the operator was asked.
    """
    place = find_jurisdiction(wish.country, wish.jurisdiction, served)
    if isinstance(place, Refused):
        return place
    if (refusal := next(_objections(wish, place, located), None)) is not None:
        return refusal
    rule = place.pack.the(ExclusionRule)
    if rule is None or not rule.required:
        return _grant(wish, place, None, now)
    match standing:
        case None:
            return AskStanding(place.pack.id, rule.register)
        case Unanswered(why=why):
            detail = f"the self-exclusion check did not answer ({why}), and {place.pack.id} requires it"
            return Refused(Reason.EXCLUSION_UNANSWERED, detail, place.pack.name)
        case Standing(is_excluded=True, reference=reference):
            detail = f"the self-exclusion check says excluded (its reference: {reference})"
            return Refused(Reason.SELF_EXCLUDED, detail, place.pack.name)
        case Standing():
            return _grant(wish, place, standing.age, now)
        case _:
            assert_never(standing)


def permits(game: GameFacts, asset: str | None, place: Enablement) -> bool:
    """Whether a game may be opened somewhere at all, in an asset or in any: what a catalogue can tell beforehand."""
    return next(_game_objections(game, asset, place), None) is None


def find_jurisdiction(
    country: str, jurisdiction: str | None, served: Mapping[str, Enablement]
) -> Enablement | Refused:
    """The jurisdiction that is named, or the only one that serves the country; why there is none."""
    if jurisdiction is not None:
        named = served.get(jurisdiction)
        if named is None:
            listed = ", ".join(sorted(served)) or "none"
            detail = f"no jurisdiction {jurisdiction} is configured here; configured: {listed}"
            return Refused(Reason.JURISDICTION_UNKNOWN, detail)
        if not named.serves(country):
            detail = f"{named.pack.id} serves {_listed(named.countries)} here, not {country}"
            return Refused(Reason.COUNTRY_NOT_SERVED, detail, named.pack.name)
        return named
    fitting = [one for one in served.values() if one.serves(country)]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        return Refused(
            Reason.JURISDICTION_UNKNOWN, f"no jurisdiction configured here serves players in {country}"
        )
    names = ", ".join(sorted(one.pack.id for one in fitting))
    return Refused(Reason.JURISDICTION_AMBIGUOUS, f"{names} serve {country}: say which in `jurisdiction`")


def _objections(wish: Wish, place: Enablement, located: Located | None) -> Iterator[Refused]:
    """What speaks against it, cheapest first."""
    yield from _location_objections(wish, place, located)
    yield from _game_objections(wish.game, wish.asset, place)


def _game_objections(game: GameFacts, asset: str | None, place: Enablement) -> Iterator[Refused]:
    rules = place.pack.name
    if not _has(place.providers, game.provider):
        detail = f"provider {game.provider} is not enabled in {place.pack.id}"
        yield Refused(Reason.PROVIDER_NOT_ENABLED, detail, rules)
    if not _has(place.games, game.id):
        yield Refused(Reason.GAME_NOT_ENABLED, f"game {game.id} is not enabled in {place.pack.id}", rules)
    if asset is not None:
        yield from _asset_objections(game, asset, place)
    floor = place.pack.least_rtp_bps(game.category)
    if floor is not None and (game.rtp_bps is None or game.rtp_bps < floor):
        known = "not told" if game.rtp_bps is None else f"{game.rtp_bps} basis points"
        detail = (
            f"{place.pack.id} asks for a return of {floor} basis points, and that of {game.id} is {known}"
        )
        yield Refused(Reason.RETURN_TOO_LOW, detail, rules)


def _location_objections(wish: Wish, place: Enablement, located: Located | None) -> Iterator[Refused]:
    rules, rule = place.pack.name, place.pack.the(LocationRule)
    is_required = rule is None or rule.required
    if located is None:
        if is_required:
            detail = f"{place.pack.id} requires a located address, and no location database is configured"
            yield Refused(Reason.LOCATION_REQUIRED, detail, rules)
        return
    if not wish.has_address:
        if is_required:
            yield Refused(
                Reason.LOCATION_REQUIRED, f"{place.pack.id} requires the player's address: send `ip`", rules
            )
        return
    if located.country is None:
        yield Refused(Reason.LOCATION_UNKNOWN, "the location database does not know the address", rules)
    elif located.country != wish.country:
        detail = f"the address is in {located.country}, and the player says {wish.country}"
        yield Refused(Reason.LOCATION_MISMATCH, detail, rules)
    elif place.pack.subdivisions and not set(place.pack.subdivisions) & set(located.subdivisions):
        where = "-".join([located.country, *located.subdivisions])
        yield Refused(
            Reason.LOCATION_MISMATCH, f"the address is in {where}, which is not {place.pack.id}", rules
        )


def _asset_objections(game: GameFacts, asset: str, place: Enablement) -> Iterator[Refused]:
    rules = place.pack.name
    if not _has(place.assets, asset):
        yield Refused(Reason.ASSET_NOT_ALLOWED, f"{asset} may not be played in {place.pack.id} here", rules)
    if game.assets and asset not in game.assets:
        detail = f"{game.id} is played in {_listed(game.assets)}, not in {asset}"
        yield Refused(Reason.ASSET_NOT_ALLOWED, detail, rules)
    capped = place.pack.capped_assets(game.category)
    if capped and asset not in capped:
        detail = (
            f"{place.pack.id} caps stakes on {game.category} in {_listed(capped)}; "
            f"in {asset} there is no cap to hold to"
        )
        yield Refused(Reason.ASSET_NOT_ALLOWED, detail, rules)


def _grant(wish: Wish, place: Enablement, age: int | None, now: datetime) -> Granted:
    idle, recheck = place.pack.the(IdleCloseRule), place.pack.the(RecheckRule)
    assert recheck is not None, "a pack that was read has one"  # noqa: S101 (narrowing)
    terms = PlayTerms(
        jurisdiction=place.pack.id,
        rules=place.pack.name,
        stake_cap=place.pack.stake_cap(wish.game.category, wish.asset, age),
        idle_close_s=None if idle is None else idle.after_s,
    )
    return Granted(terms, now + timedelta(seconds=recheck.after_s))


def _has(names: tuple[str, ...], name: str) -> bool:
    return EVERY in names or name in names


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
