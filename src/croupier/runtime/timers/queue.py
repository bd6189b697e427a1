"""The timers in the database: claimed by a lease, set anew under a fence, found where they are missing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.moneypath.rows import read_session, timer_row
from croupier.play.session import Session
from croupier.play.timeouts import Policy, Timer, arm
from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/runtime/timers/queue.sql")


class Claimed(Struct, frozen=True):
    """A due timer held under a fence, with its session; None when there is no such session."""

    bucket: int
    session_id: UUID
    timer_state: str
    timer_since: datetime
    due_at: datetime
    idle_close_s: int | None
    fence: int
    session: Session | None


class Rearmed(Struct, frozen=True):
    """A timer as it is set anew by whoever holds it under this fence."""

    timer: Timer
    fence: int
    is_overdue: bool


class StateLevel(Struct, frozen=True):
    """The sessions of a state whose timers name one team, as measured."""

    state: str
    owner: str
    sessions: int
    oldest_since: datetime
    overdue: int
    claimable_since: datetime | None


async def claim_timers(
    pool: asyncpg.Pool, *, now: datetime, leased_until: datetime, limit: int
) -> list[Claimed]:
    """Take what is due, longest due first; what is not set anew until the lease ends is taken by somebody else."""
    rows = await pool.fetch(_SQL["claim"].sql, now, leased_until, limit)
    return [_read_claimed(row) for row in rows]


def _read_claimed(row: Any) -> Claimed:
    return Claimed(
        bucket=row["bucket"],
        session_id=row["session_id"],
        timer_state=row["timer_state"],
        timer_since=row["timer_since"],
        due_at=row["due_at"],
        idle_close_s=row["idle_close_s"],
        fence=row["fence"],
        session=None if row["session"] is None else read_session(row["session"]),
    )


async def rearm_timers(pool: asyncpg.Pool, rearmed: Sequence[Rearmed]) -> None:
    """Set timers anew, but for those that a change of state has set meanwhile."""
    await pool.execute(
        _SQL["rearm"].sql,
        [timer_row(one.timer) for one in rearmed],
        [one.fence for one in rearmed],
        [one.is_overdue for one in rearmed],
    )


async def drop_timers(pool: asyncpg.Pool, claimed: Sequence[Claimed]) -> None:
    """Forget the timers of sessions that are over."""
    columns = [[getattr(one, name) for one in claimed] for name in ("bucket", "session_id", "fence")]
    await pool.execute(_SQL["drop"].sql, *columns)


async def add_missing_timers(pool: asyncpg.Pool, policy: Policy, limit: int) -> int:
    """Give a timer to sessions that are not final and have none; returns how many were found."""
    rows = await pool.fetch(_SQL["sessions_without_timer"].sql, limit)
    found = [(read_session(row["session"]), row["idle_close_s"]) for row in rows]
    armed = [arm(session, session.last_activity_at, policy, idle_s) for session, idle_s in found]
    timers = [timer_row(timer) for timer in armed if timer is not None]
    if timers:
        await pool.execute(_SQL["add_timers"].sql, timers)
    return len(timers)


async def load_state_levels(pool: asyncpg.Pool, *, now: datetime, late_before: datetime) -> list[StateLevel]:
    """How many sessions there are in each state; what was due before `late_before` is overdue."""
    return [StateLevel(*row) for row in await pool.fetch(_SQL["levels"].sql, now, late_before)]


async def count_unknown(pool: asyncpg.Pool) -> int:
    """How many outcomes are unknown now."""
    return int(await pool.fetchval(_SQL["count_unknown"].sql))


async def read_database_clock(pool: asyncpg.Pool) -> datetime:
    """What time it is by the database's clock."""
    found: datetime = await pool.fetchval(_SQL["read_clock"].sql)
    return found
