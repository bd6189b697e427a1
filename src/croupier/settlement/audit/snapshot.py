"""One moment of the database to read from, however long the reading takes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def one_snapshot(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """Read everything inside as of one moment, without writing and without the limits of online work."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        # The money path's connections forbid the joins that comparing whole tables needs.
        await connection.execute("SET LOCAL enable_hashjoin = on")
        await connection.execute("SET LOCAL enable_mergejoin = on")
        await connection.execute("SET LOCAL enable_seqscan = on")
        yield
