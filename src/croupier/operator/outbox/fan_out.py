"""Giving new events to their consumers, in the order of their positions, one process at a time.

An event is given only after every earlier one of its player: positions are drawn while the player is locked, and
whoever gives events sees all that are committed. Positions are looked at from where nothing new can come any more,
because an index remembers for a while what was marked in it; what was committed later than that is found by a look
over everything, now and then.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from croupier.operator.outbox.deliver import Tools
from croupier.operator.outbox.queue import IN_ORDER, TURN_BUCKET
from croupier.operator.outbox.settings import ANY_TYPE, NATS, Outbox
from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/operator/outbox/queue.sql")

FAN_OUT: Final = "fan_out"

SETTLED: Final = timedelta(minutes=5)
"""After which time a lower position is not expected any more: far beyond the time limits of the money path."""
SWEEP: Final = timedelta(hours=1)
"""How often everything is looked at all the same; also at the start of each process."""
MARK: Final = timedelta(seconds=10)


class FanOut:
    """Gives new events to their consumers; `limit` is the most of one transaction."""

    def __init__(self, outbox: Outbox, tools: Tools, *, limit: int = 1000) -> None:
        self._outbox = outbox
        self._tools = tools
        self._limit = limit
        self._swept_at: datetime | None = None
        self._marks: deque[tuple[datetime, int]] = deque()

    async def turn(self) -> bool:
        """A batch of them; whether there may be more."""
        return await self.give() == self._limit

    async def give(self) -> int:
        """A batch of them; how many, and none when another process is at it."""
        now, pool = self._tools.now(), self._tools.pool
        if self._swept_at is None:
            await pool.execute(_SQL["insert_turns"].sql, TURN_BUCKET, [FAN_OUT, NATS])
        is_sweep = self._swept_at is None or now - self._swept_at >= SWEEP
        if not is_sweep and not await pool.fetchval(_SQL["has_new_events"].sql, TURN_BUCKET, FAN_OUT):
            return 0
        async with pool.acquire() as connection, connection.transaction():
            passed = await connection.fetchval(_SQL["lock_turn"].sql, TURN_BUCKET, FAN_OUT)
            if passed is None:
                return 0
            given = await self._give_batch(connection, now, after=0 if is_sweep else passed)
            await self._pass(connection, now, max(given, default=0))
        if len(given) < self._limit:
            self._swept_at = now if is_sweep else self._swept_at
        return len(given)

    async def _give_batch(self, connection: asyncpg.Connection, now: datetime, *, after: int) -> list[int]:
        consumers = [(one.id, type_, now) for one in self._outbox.endpoints for type_ in one.types]
        if self._outbox.jetstream is not None:
            consumers.append((NATS, ANY_TYPE, IN_ORDER))
        columns = [[row[place] for row in consumers] for place in range(3)]
        rows = await connection.fetch(_SQL["fan_out"].sql, now, self._limit, *columns, after)
        return [row["position"] for row in rows]

    async def _pass(self, connection: asyncpg.Connection, now: datetime, highest: int) -> None:
        """Remember how far it has come, and pass what it had come to long enough ago."""
        if highest and (not self._marks or now - self._marks[-1][0] >= MARK):
            self._marks.append((now, highest))
        settled = 0
        while self._marks and now - self._marks[0][0] >= SETTLED:
            settled = self._marks.popleft()[1]
        if settled:
            await connection.execute(_SQL["pass_events"].sql, TURN_BUCKET, FAN_OUT, settled)
