"""A small caller of its own: signs bets, repeats nothing by itself, and writes every answer down as it came."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec
from crash_site import CrashSite
from msgspec import Struct

from croupier_signing import random_nonce, sign_native

PATH: Final = "/providers/sandbox/v1/bet"
CALLERS: Final = 24


class Told(Struct, frozen=True):
    """One answer: status 0 when the connection ended without one."""

    reference: str
    status: int
    retry_after: str | None
    document: Any


class CrashCaller:
    """Places bets of one minor unit for one session, several at once; an async context manager."""

    def __init__(self, site: CrashSite, session: dict[str, Any]) -> None:
        self._site = site
        self._place = {"session_id": session["session_id"], "player_id": session["player_id"]}
        self._is_over = False
        self.told: list[Told] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    def start(self) -> None:
        """Begin to bet, until `finish` or until nobody takes connections any more."""
        self._tasks = [asyncio.create_task(self._bet_on(number)) for number in range(CALLERS)]

    async def finish(self) -> None:
        """Place no further bet, and wait for the answers."""
        self._is_over = True
        await asyncio.gather(*self._tasks)

    @property
    def acknowledged(self) -> list[Told]:
        """The decisions that were read; raises what ended a caller."""
        for task in self._tasks:
            if task.done():
                task.result()
        return [one for one in self.told if one.status == 200]

    async def bet(self, reference: str) -> Told:
        """One signed request."""
        body = msgspec.json.encode(
            {
                **self._place,
                "reference": reference,
                "round_id": f"round-{reference}",
                "game_id": "dice",
                "asset": "EUR",
                "amount": "1",
                "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            }
        )
        signed = sign_native(
            self._site.key,
            method="POST",
            path=PATH.encode(),
            query=b"",
            body=body,
            timestamp_s=int(time.time()),
            nonce=random_nonce(),
        )
        headers = {"Content-Type": "application/json", "Authorization": signed}
        async with self._http.post(f"{self._site.gateway}{PATH}", data=body, headers=headers) as reply:
            document = await reply.json(content_type=None)
            return Told(reference, reply.status, reply.headers.get("Retry-After"), document)

    async def _bet_on(self, number: int) -> None:
        turn = 0
        while not self._is_over:
            reference = f"bet-{number}-{turn}"
            try:
                self.told.append(await self.bet(reference))
            except aiohttp.ClientConnectorError:
                self._is_over = True
            except (aiohttp.ClientError, ConnectionError):
                self.told.append(Told(reference, 0, None, None))
            turn += 1
