"""The crash table: one game at a time for all players, from one chain of hashes."""

import asyncio
import random
from typing import Final

from croupier.sandbox.games import CrashBet, CrashChain, Played, draw_crash_chain, play_crash

CHAIN_GAMES: Final = 10_000
JOIN_WINDOW_S: Final = 0.025


class CrashGame:
    """One game of a chain; its hash may be told once `started` is set and nobody can join any more."""

    def __init__(self, chain: CrashChain, number: int) -> None:
        self._chain = chain
        self.number = number
        self.players = 0
        self.started = asyncio.Event()

    @property
    def round_id(self) -> str:
        """The provider round id that all players of the game share."""
        return f"crash-{self._chain.terminating_hash[:16]}-{self.number}"

    @property
    def commitment(self) -> str:
        """The hash that is public while the game is open."""
        return self._chain.hashes[self.number - 1]

    def result(self, bet: CrashBet, stake_minor: int) -> Played:
        """One player's result; raises ValueError while the game can still be joined."""
        if not self.started.is_set():
            raise ValueError("a game that is still open has no result yet")
        return play_crash(self._chain, bet, game_number=self.number, stake_minor=stake_minor)


class CrashTable:
    """Opens a game when somebody wants to join, and starts it after the join window (in seconds)."""

    def __init__(
        self, source: random.Random, *, chain_games: int = CHAIN_GAMES, join_window_s: float = JOIN_WINDOW_S
    ) -> None:
        self._source = source
        self._chain_games = chain_games
        self._join_window_s = join_window_s
        self._chain = draw_crash_chain(source, chain_games)
        self._number = 0
        self._open: CrashGame | None = None
        self.games = 0
        self.shared_games = 0
        self.most_players = 0

    @property
    def terminating_hash(self) -> str:
        """The public end of the present chain."""
        return self._chain.terminating_hash

    def join(self) -> CrashGame:
        """Take part in the game that is open, or open the next one; a player joins a game once."""
        game = self._open or self._open_next()
        game.players += 1
        self.shared_games += game.players == 2
        self.most_players = max(self.most_players, game.players)
        return game

    def start_open_game(self) -> None:
        """End the join window now."""
        if self._open is not None:
            self._start(self._open)

    def _start(self, game: CrashGame) -> None:
        game.started.set()
        if self._open is game:
            self._open = None

    def _open_next(self) -> CrashGame:
        if self._number == self._chain.games:
            self._chain, self._number = draw_crash_chain(self._source, self._chain_games), 0
        self._number += 1
        self.games += 1
        game = self._open = CrashGame(self._chain, self._number)
        asyncio.get_running_loop().call_later(self._join_window_s, self._start, game)
        return game
