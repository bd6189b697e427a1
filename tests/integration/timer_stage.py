"""Timers on a real database with a clock that a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from lane_desk import IDS, Desk, Seat, attempt, open_desk, read_rows, read_value
from prometheus_client import CollectorRegistry

from croupier.ids import bucket_of
from croupier.moneypath.commands import Call
from croupier.moneypath.facts import Stamp
from croupier.moneypath.outcomes import Outcome
from croupier.play.timeouts import DEFAULT_POLICY, Policy
from croupier.runtime.database import create_pool
from croupier.runtime.timers.clock import ClockGuard
from croupier.runtime.timers.work import TimerParts, Timers
from croupier.telemetry.session_metrics import SessionMetrics
from model.calls import NOW, call, confirm, deposit, open_session

BLIND = 10**10
"""Seconds that no clock is off by: the tests' time is not the database's."""
MOMENT = timedelta(microseconds=1)

Submit = Callable[[Call], Awaitable[tuple[Outcome, ...]]]


class Stage:
    """Lanes, timers and their common clock."""

    def __init__(self, url: str, pool: asyncpg.Pool) -> None:
        self.url = url
        self.pool = pool
        self.now: datetime = NOW
        self.jumped = timedelta()
        self.registry = CollectorRegistry()
        self.metrics = SessionMetrics("test", self.registry)
        self.desk: Desk

    def stamp(self) -> Stamp:
        """The lanes' clock."""
        return Stamp(self.now, IDS, self.now + timedelta(hours=1))

    def timers(
        self,
        policy: Policy = DEFAULT_POLICY,
        *,
        submit: Submit | None = None,
        guard: ClockGuard | None = None,
    ) -> Timers:
        """The timers of one process."""
        parts = TimerParts(
            pool=self.pool,
            submit=submit or self.desk.lanes.submit,
            ids=IDS,
            policy=policy,
            metrics=self.metrics,
            now=lambda: self.now,
            guard=guard or ClockGuard(skew_s=BLIND, settle_s=0),
            boot_s=lambda: (self.now - self.jumped - NOW).total_seconds(),
        )
        return Timers(parts)

    def jump(self, by: timedelta) -> None:
        """The clock is wrong from now on; no time has passed."""
        self.now += by
        self.jumped += by

    async def created(self, player_id: str, purse: int = 1_000) -> Seat:
        """A session that nobody has confirmed, of a player with money and as long a life as a month."""
        money = deposit(f"deposit-{player_id}", purse, player_id=player_id)
        assert (await self.desk.ask(attempt(call(money), player_id))).is_approved
        seat = Seat(player_id, IDS.new(bucket_of(player_id)))
        opened = open_session(seat.session_id, player_id=player_id, expires_at=self.now + timedelta(days=30))
        await self.desk.ask(attempt(call(opened), player_id))
        return seat

    async def launched(self, player_id: str) -> Seat:
        """A session that the provider has confirmed."""
        seat = await self.created(player_id)
        await self.desk.ask(seat.call(confirm(seat.session_id, player_id)))
        return seat

    async def active(self, player_id: str) -> Seat:
        """A session with a bet of one in an open round."""
        seat = await self.launched(player_id)
        assert (await self.desk.ask(seat.bet(f"first-{player_id}"))).is_approved
        return seat

    async def timer(self, seat: Seat) -> Any:
        """The session's timer; None when it has none."""
        sql = "SELECT * FROM croupier.session_timer WHERE session_id = $1"
        rows = await read_rows(self.url, sql, seat.session_id)
        return rows[0] if rows else None

    async def state(self, seat: Seat) -> str:
        """The session's state."""
        sql = "SELECT state::text FROM croupier.session WHERE id = $1"
        return str(await read_value(self.url, sql, seat.session_id))

    async def history(self, session_id: UUID) -> list[tuple[str, str, str]]:
        """Cause, code and state of every event."""
        sql = (
            "SELECT cause, details->>'code' AS code, to_state FROM croupier.session_event "
            "WHERE session_id = $1 ORDER BY seq"
        )
        return [tuple(row) for row in await read_rows(self.url, sql, session_id)]

    def metric(self, name: str, **labels: str) -> float | None:
        """What a metric says now."""
        return self.registry.get_sample_value(f"croupier_{name}", {"environment": "test", **labels})


@asynccontextmanager
async def open_stage(url: str) -> AsyncIterator[Stage]:
    """Two lanes and a pool, closed at the end."""
    pool = await create_pool(url, min_size=1, max_size=6)
    stage = Stage(url, pool)
    try:
        async with open_desk(url, lanes=2, stamp=stage.stamp) as desk:
            stage.desk = desk
            yield stage
    finally:
        await pool.close()
