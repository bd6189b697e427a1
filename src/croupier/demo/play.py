"""Play: every player deposits, opens a session, plays its rounds at the sandbox, and is closed by the platform."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import aiohttp

from croupier.demo.platform import Platform, PlatformError
from croupier.demo.proofs import Wallets
from croupier.demo.providers import choose_providers, game_of, seat_players
from croupier.demo.settings import COUNTRY, GAMES, MISBEHAVIOUR, MOST_SESSIONS_AT_ONCE, NATIVE, DemoSettings

PLAY_TIMEOUT_S: Final = 900
CHUNK: Final = 5
"""Rounds asked for at once, so that progress can be shown."""


class Play:
    """Runs every player to the end of its session."""

    def __init__(
        self, settings: DemoSettings, platform: Platform, run: str, advance: Callable[[int], None]
    ) -> None:
        self._settings = settings
        self._platform = platform
        self._run = run
        self._advance = advance
        self._turns = asyncio.Semaphore(MOST_SESSIONS_AT_ONCE)
        self._seats = seat_players(choose_providers())
        self.reports: list[dict[str, Any]] = []
        self.session_ids: list[str] = []
        self.wallets = Wallets()

    async def run(self) -> None:
        """Play everybody. Raises PlatformError with the first player's trouble when the deployment fails."""
        try:
            await self._play_all()
        except ExceptionGroup as group:
            expected, surprises = group.split((PlatformError, aiohttp.ClientError, TimeoutError))
            if expected is None or surprises is not None:
                raise
            raise PlatformError(str(expected.exceptions[0]) or repr(expected.exceptions[0])) from None

    def examples(self) -> list[str]:
        """What was not as it should be, in the studio's words."""
        return [example for report in self.reports for example in report["wrong"]]

    async def _play_all(self) -> None:
        timeout = aiohttp.ClientTimeout(total=PLAY_TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=2 * MOST_SESSIONS_AT_ONCE)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=connector) as http,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self._settings.players):
                group.create_task(self._play_one(http, number))

    async def _play_one(self, http: aiohttp.ClientSession, number: int) -> None:
        provider, asset = self._seats[number % len(self._seats)]
        turn = number // len(self._seats)
        game = game_of(provider, GAMES[(number + turn) % len(GAMES)])
        player = f"demo-{number}"
        async with self._turns:
            await self._platform.deposit(
                player, asset.code, asset.deposit, f"demo-{self._run}-deposit-{number}"
            )
            self.wallets.add_deposit(player, asset.code, asset.deposit)
            session = await self._platform.open_session(player, game, asset.code, COUNTRY)
            if session["launch_url"] is None:
                raise PlatformError(f"the launch of {session['session_id']} is unknown")
            self.session_ids.append(session["session_id"])
            has_left = await self._play_rounds(http, session["launch_url"], asset.stake)
            # Of every other native player nobody but the studio says that they left, by webhook.
            if not has_left or provider is not NATIVE or turn % 2 == 0:
                await self._platform.close_session(session["session_id"])

    async def _play_rounds(self, http: aiohttp.ClientSession, url: str, stake: int) -> bool:
        """Play all rounds, or as many as are possible; whether the studio knows that the player left."""
        left = self._settings.rounds
        while left > 0:
            rounds = min(CHUNK, left)
            order = {
                "rounds": rounds,
                "stake": str(stake),
                "seed": self._settings.seed,
                "misbehaviour": MISBEHAVIOUR,
                "is_last": rounds == left,
            }
            async with http.post(url, json=order) as reply:
                report = await reply.json(content_type=None)
                if reply.status != 200:
                    raise PlatformError(f"the sandbox answers {reply.status}: {report}")
            self.reports.append(report)
            self._advance(rounds)
            left -= rounds
            if report["stopped_by"] is not None and left:
                self._advance(left)
                return False
        return True
