"""Whom a flag is on for, as pure rules: the most specific rule decides, and a share is a stable part of the players.

A rule names any of jurisdiction, game, game group and provider, and gives the share of players that the flag is on
for. Where several apply, one that names the jurisdiction goes before all that do not, then one that names the game,
the game group, the provider: what the law asks for is not undone by a rule about a game.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from msgspec import Struct
from openfeature.flag_evaluation import Reason

from croupier.governance.flags.known import Flag
from croupier.ids import bucket_of
from croupier_signing import payload_digest

WHOLE: Final = 10_000
"""All players, in basis points."""
DIGITS: Final = 16
"""Hex digits of the digest that place a player; the rest of the division by `WHOLE` is even to one in 10^15."""


class Target(Struct, frozen=True, order=True, kw_only=True):
    """What a rule is about. An empty text stands for all."""

    flag: str
    jurisdiction: str = ""
    game: str = ""
    game_group: str = ""
    provider: str = ""

    @property
    def bucket(self) -> int:
        return bucket_of(self.flag)

    @property
    def precision(self) -> tuple[bool, ...]:
        """Which parts it names; the greater goes first."""
        return tuple(map(bool, (self.jurisdiction, self.game, self.game_group, self.provider)))

    def __str__(self) -> str:
        names = ("provider", "game_group", "game", "jurisdiction")
        named = [f"{name}={getattr(self, name)}" for name in names if getattr(self, name)]
        return " ".join([self.flag, *named])


class Rule(Struct, frozen=True, kw_only=True):
    """What is said of a target: the share of players, in basis points, or nothing any more (None)."""

    target: Target
    share_bps: int | None
    version: int
    """How often it has changed; a change may ask for the version it was decided on."""
    since: datetime


class Situation(Struct, frozen=True, kw_only=True):
    """Who asks, and about what. What is not known is empty, and only rules that do not name it apply."""

    player_id: str = ""
    jurisdiction: str = ""
    game: str = ""
    game_group: str = ""
    provider: str = ""


class Answer(Struct, frozen=True, kw_only=True):
    """Whether a flag is on, by which rule and why; `is_on` is None where only a named player could tell."""

    is_on: bool | None
    reason: Reason
    rule: Rule | None = None
    position: int | None = None
    """Where the player stands among `WHOLE`, when a share decided; those below the share are in."""


Rules: TypeAlias = Mapping[str, Sequence[Rule]]
"""Rules in force by flag, the most specific first."""


def arrange(rules: Iterable[Rule]) -> Rules:
    """The rules that say something, by flag and in the order in which they are looked at."""
    found: dict[str, list[Rule]] = {}
    for rule in sorted(rules, key=lambda rule: (rule.target.precision, rule.target), reverse=True):
        if rule.share_bps is not None:
            found.setdefault(rule.target.flag, []).append(rule)
    return {flag: tuple(ordered) for flag, ordered in found.items()}


def position_of(target: Target, player_id: str) -> int:
    """Where a player stands among `WHOLE`, 0 the first: the same for ever, and another for every flag and provider.

    Rules of one flag and provider place a player alike, so that a narrower rule does not shuffle anybody.
    """
    digest = payload_digest(f"{target.flag}/{target.provider}/{player_id}".encode())
    return int(digest[:DIGITS], 16) % WHOLE


def explain(flag: Flag, rules: Rules, situation: Situation) -> Answer:
    """Whether a flag is on in a situation, and why."""
    rule = next((rule for rule in rules.get(flag.name, ()) if _applies(rule.target, situation)), None)
    if rule is None or rule.share_bps is None:
        return Answer(is_on=flag.default, reason=Reason.DEFAULT)
    if rule.share_bps in (0, WHOLE):
        return Answer(is_on=rule.share_bps == WHOLE, reason=Reason.TARGETING_MATCH, rule=rule)
    if not situation.player_id:
        return Answer(is_on=None, reason=Reason.SPLIT, rule=rule)
    position = position_of(rule.target, situation.player_id)
    return Answer(is_on=position < rule.share_bps, reason=Reason.SPLIT, rule=rule, position=position)


def _applies(target: Target, situation: Situation) -> bool:
    pairs = (
        (target.jurisdiction, situation.jurisdiction),
        (target.game, situation.game),
        (target.game_group, situation.game_group),
        (target.provider, situation.provider),
    )
    return all(not wanted or wanted == found for wanted, found in pairs)
