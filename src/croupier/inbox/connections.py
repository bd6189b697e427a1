"""A few connections of a background part, made when they are needed and replaced when they are lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from croupier.moneypath.faults import UNREACHABLE, Fault, classify

AWAY: Final = (asyncpg.PostgresError, *UNREACHABLE)
"""What a step on the database raises when it cannot be made now."""


class Connections:
    """At most `count` connections; whoever finds all in use waits in line."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], count: int) -> None:
        self._connect = connect
        self._free: asyncio.LifoQueue[Any] = asyncio.LifoQueue()
        for _ in range(count):
            self._free.put_nowait(None)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Any]:
        """A connection for one statement or a few; one that was lost, or left in the middle, is not used again."""
        connection = await self._free.get()
        is_whole = False
        try:
            if connection is None:
                connection = await self._connect()
            yield connection
            is_whole = True
        except AWAY as error:
            is_whole = connection is not None and classify(error) is not Fault.LOST
            raise
        finally:
            if not is_whole and connection is not None:
                connection.terminate()
            self._free.put_nowait(connection if is_whole else None)

    def close(self) -> None:
        """Close what is not in use."""
        while not self._free.empty():
            connection = self._free.get_nowait()
            if connection is not None:
                connection.terminate()
