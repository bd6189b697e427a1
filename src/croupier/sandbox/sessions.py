"""Launched sessions: remembered by id and by the secret token of their page, bounded."""

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from croupier.sandbox.calls import Seat
from croupier.sandbox.plan import Game
from croupier.sandbox.wire import Launch, NoRoom
from croupier_signing import random_token

MOST_SESSIONS: Final = 10_000
GAMES: Final[dict[Game, str]] = {"dice": "Dice", "mines": "Mines", "crash": "Crash"}
"""The games, with their names for players."""

_GAME: Final = re.compile(r"(?:.*[:._-])?(dice|mines|crash)")


@dataclass(slots=True)
class Session:
    """A launched session: the secret token of its page, the next round, whether a batch is running.

    `seat` is the launch's; `taken` is what play goes on with once the operator was asked, None before.
    """

    token: str
    seat: Seat
    taken: Seat | None = None
    next_number: int = 1
    is_playing: bool = False


class UnknownGame(ValueError):
    """No game of this studio has this id."""


class OtherLaunch(ValueError):
    """The session was launched before with other content."""


class Sessions:
    """Launched sessions by token and by id; too many, and the oldest that nobody plays is forgotten."""

    def __init__(self, *, most: int = MOST_SESSIONS) -> None:
        self._most = most
        self._by_id: OrderedDict[str, Session] = OrderedDict()
        self._by_token: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def by_token(self, token: str) -> Session | None:
        """The session whose page this is."""
        return self._by_token.get(token)

    @property
    def playing(self) -> int:
        """How many sessions have a batch running."""
        return sum(session.is_playing for session in self._by_id.values())

    def open(self, launch: Launch) -> Session:
        """The launched session, the same for the same launch; raises UnknownGame, OtherLaunch or NoRoom."""
        seat = seat_of(launch)
        known = self._by_id.get(launch.session_id)
        if known is not None:
            if known.seat != seat:
                raise OtherLaunch("the session was launched with another player, game or asset")
            return known
        self._make_room()
        session = Session(random_token(), seat)
        self._by_id[launch.session_id] = self._by_token[session.token] = session
        return session

    def _make_room(self) -> None:
        if len(self._by_id) < self._most:
            return
        idle = next((session for session in self._by_id.values() if not session.is_playing), None)
        if idle is None:
            raise NoRoom("every session is being played")
        del self._by_id[idle.seat.session_id], self._by_token[idle.token]


def seat_of(launch: Launch) -> Seat:
    """Who plays what; a game id is or ends in `dice`, `mines` or `crash`. Raises UnknownGame."""
    match = _GAME.fullmatch(launch.game_id)
    for game in GAMES:
        if match is not None and match[1] == game:
            return Seat(launch.session_id, launch.player_id, launch.game_id, game, launch.asset)
    raise UnknownGame(f"the games are {', '.join(GAMES)}, not {launch.game_id!r}")
