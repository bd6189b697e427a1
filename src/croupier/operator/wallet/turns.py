"""Turns: what one player's calls wait for, so that they reach the wallet in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """One turn at a time for each player, first come first served."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def take(self, player_id: str) -> AsyncIterator[None]:
        """Wait for the player's turn and keep it until the block ends."""
        waiting = self._waiting.get(player_id)
        if waiting is None:
            self._waiting[player_id] = deque()
        else:
            mine = asyncio.get_running_loop().create_future()
            waiting.append(mine)
            await mine
        try:
            yield
        finally:
            self._pass_on(player_id)

    def _pass_on(self, player_id: str) -> None:
        waiting = self._waiting[player_id]
        if waiting:
            waiting.popleft().set_result(None)
        else:
            del self._waiting[player_id]
