"""What flags say of an opening: at which account, and whether at all. They are asked through the OpenFeature API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from msgspec import Struct
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext

from croupier.errors import PROVIDER_UNAVAILABLE, CroupierError
from croupier.governance.flags.known import LAUNCH, ROLLOUT, Flag

RETRY_S: Final = 60
"""When it is worth asking again whether a game is switched on: only a person can say."""


class FlaggedGame(Protocol):
    """What rules may name of a game."""

    @property
    def id(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def group(self) -> str: ...


class Way(Struct, frozen=True):
    """Where an opening goes, decided once, at the beginning of its request."""

    provider: str
    """The account that it is opened at."""
    is_open: bool
    """Whether a game may be opened there."""

    def refusal(self, game_id: str) -> CroupierError:
        """What an opening is told while it is switched off."""
        detail = f"{game_id} at {self.provider} is switched off by a flag"
        return CroupierError(PROVIDER_UNAVAILABLE, detail, reason="switched_off", retry_after_s=RETRY_S)


class LaunchFlags:
    """Asks the flags about games; `successors` are the accounts that take over, by the account they replace."""

    __slots__ = ("_client", "_successors")

    def __init__(self, client: OpenFeatureClient, successors: Mapping[str, str]) -> None:
        self._client = client
        self._successors = successors

    def choose(self, game: FlaggedGame, *, player_id: str, jurisdiction: str) -> Way:
        """The way of one player's opening. Nothing is awaited in between, so all flags are of one moment."""
        provider = game.provider
        successor = self._successors.get(provider)
        if successor is not None:
            asked = _context(game, successor, player_id=player_id, jurisdiction=jurisdiction)
            if self._client.get_boolean_value(ROLLOUT.name, ROLLOUT.default, asked):
                provider = successor
        asked = _context(game, provider, player_id=player_id, jurisdiction=jurisdiction)
        return Way(provider, self._client.get_boolean_value(LAUNCH.name, LAUNCH.default, asked))

    def is_available(self, game: FlaggedGame, is_held: Callable[[str], bool]) -> bool:
        """Whether some player may open a game now; `is_held` says of an account that its launches are held back."""
        accounts = [game.provider]
        successor = self._successors.get(game.provider)
        if successor is not None:
            can_go, can_stay = (self._can_be(ROLLOUT, value, game, successor) for value in (True, False))
            accounts = [game.provider] * can_stay + [successor] * can_go
        return any(self._can_be(LAUNCH, True, game, one) and not is_held(one) for one in accounts)

    def _can_be(self, flag: Flag, value: bool, game: FlaggedGame, provider: str) -> bool:
        """Whether a flag has this value for anybody: where only a player could tell, it is whatever is asked for."""
        return self._client.get_boolean_value(flag.name, value, _context(game, provider)) is value


def _context(
    game: FlaggedGame, provider: str, *, player_id: str = "", jurisdiction: str = ""
) -> EvaluationContext:
    said = {"provider": provider, "game_group": game.group, "game": game.id, "jurisdiction": jurisdiction}
    return EvaluationContext(targeting_key=player_id or None, attributes=said)
