"""Load that goes on while things die: players with sessions at the sandbox, and what each side was told."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from crash_site import CrashSite, until

from croupier.demo.platform import WAIT_S, Platform
from croupier.ids import SESSION, render_id

ASSET: Final = "EUR"
DEPOSIT: Final = 20_000
STAKE: Final = 100
ROUNDS: Final = 4
BATCHES: Final = 6
PAUSE_MS: Final = 40
"""Between rounds, so that what was killed finds some processor time to come back with."""
GAMES: Final = ("dice", "mines")
SETTLE_S: Final = 60.0
MISBEHAVIOUR: Final = {
    "bet_win": 15,
    "early_rollback": 5,
    "late_rollback": 8,
    "win_before_bet": 5,
    "close_before_win": 5,
    "duplicate": 20,
    "drop_reply": 8,
    "replayed": 3,
    "conflict": 3,
    "tampered_amount": 3,
}


class CrashLoad:
    """Players who play session after session until told to stop; an async context manager.

    `patience_s` is how long a player waits for a game, and for the rounds that were ordered.
    """

    def __init__(self, site: CrashSite, *, players: int, patience_s: float = 120.0) -> None:
        self._site = site
        self._patience_s = patience_s
        self._players = players
        self._is_over = False
        self._tasks: list[asyncio.Task[None]] = []
        self.deposited: Counter[str] = Counter()
        self.reports: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._patience_s))
        self._platform = await self._site.platform().__aenter__()
        self._platform.tries = round(self._patience_s / WAIT_S)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._platform.__aexit__(None, None, None)
        await self._http.close()

    @property
    def http(self) -> aiohttp.ClientSession:
        """A client for the sandbox."""
        return self._http

    def start(self) -> None:
        """Let the players in."""
        self._tasks = [asyncio.create_task(self._play(number)) for number in range(self._players)]

    async def acknowledged(self) -> int:
        """How many decisions the provider has read so far; raises what ended a player."""
        for task in self._tasks:
            if task.done():
                task.result()
        async with self._http.get(f"{self._site.sandbox}/status") as reply:
            return int((await reply.json())["acknowledged"])

    async def stop(self) -> None:
        """Let the players finish, have every undecided call asked again, and close every session."""
        self._is_over = True
        await asyncio.gather(*self._tasks)
        await until(self._has_nothing_open, "every call is decided", within_s=SETTLE_S)
        connection = await self._site.connect()
        try:
            rows = await connection.fetch(
                "SELECT id FROM session WHERE state IN ('created', 'launched', 'active') ORDER BY id"
            )
        finally:
            await connection.close()
        for row in rows:
            await self._platform.close_session(render_id(SESSION, row["id"]))

    async def _has_nothing_open(self) -> bool:
        async with self._http.post(f"{self._site.sandbox}/control/retry", json={}) as reply:
            return int((await reply.json())["left"]) == 0

    async def _play(self, number: int) -> None:
        """One player: money, then session after session, now and then a deposit more."""
        turn = 0
        while not self._is_over:
            player = f"player-{number}-{turn}"
            await self._deposit(self._platform, player, "first")
            session = await self._platform.open_session(player, GAMES[number % len(GAMES)], ASSET, "MT")
            if session["launch_url"] is not None:
                await self._play_session(session["launch_url"], number)
            await self._deposit(self._platform, player, "second")
            await self._platform.close_session(session["session_id"])
            turn += 1

    async def _deposit(self, platform: Platform, player: str, which: str) -> None:
        await platform.deposit(player, ASSET, DEPOSIT, f"{which}-{player}")
        self.deposited[player] += DEPOSIT

    async def _play_session(self, launch_url: str, number: int) -> None:
        for batch in range(BATCHES):
            if self._is_over:
                return
            order = {
                "rounds": ROUNDS,
                "stake": str(STAKE),
                "seed": f"{number}-{batch}",
                "misbehaviour": MISBEHAVIOUR,
                "pause_ms": PAUSE_MS,
            }
            async with self._http.post(launch_url, json=order) as reply:
                assert reply.status == 200, await reply.text()
                report = await reply.json()
            self.reports.append(report)
            if report["stopped_by"] is not None:
                return
