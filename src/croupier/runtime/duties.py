"""Duties: what somebody must do now and then. Safe to run on any number of hosts at once; none of them moves money."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import asyncpg
import structlog

from croupier.ids import IdSource
from croupier.runtime.statements import load_statements

_log = structlog.get_logger("croupier.duties")
_SQL: Final = load_statements("croupier/runtime/duties.sql")

PURGE_BATCH: Final = 5000
"""Most rows deleted by one statement."""
BREAK_BATCH: Final = 200
"""Most breaks opened in one turn."""
PERIOD_S: Final = 5.0


async def run_duties(
    pool: asyncpg.Pool, ids: IdSource, now: Callable[[], datetime], stop: asyncio.Event
) -> None:
    """Do every duty, again and again, until told to stop. A database that is away is tried again next time."""
    while not stop.is_set():
        try:
            await do_duties(pool, ids, now())
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            _log.warning("duties_failed", error=repr(error))
        try:
            await asyncio.wait_for(stop.wait(), PERIOD_S)
        except TimeoutError:
            continue


async def do_duties(pool: asyncpg.Pool, ids: IdSource, now: datetime) -> None:
    """One turn of every duty."""
    await _purge(pool, "purge_nonces", now)
    await _purge(pool, "purge_answers", now)
    await open_due_breaks(pool, ids, now)


async def _purge(pool: asyncpg.Pool, statement: str, now: datetime) -> None:
    more = f"DELETE {PURGE_BATCH}"
    while more == f"DELETE {PURGE_BATCH}":
        more = await pool.execute(_SQL[statement].sql, now, PURGE_BATCH)


async def open_due_breaks(pool: asyncpg.Pool, ids: IdSource, now: datetime) -> int:
    """Open a break for every round that was paid and whose bet is overdue; returns how many were found."""
    rows: list[Any] = await pool.fetch(_SQL["rounds_paid_without_bet"].sql, now, BREAK_BATCH)
    for row in rows:
        subject = f"{row['session_id']}:{row['provider_round_id']}"
        await pool.execute(
            _SQL["open_break"].sql,
            row["bucket"],
            ids.new(row["bucket"]),
            subject,
            row["provider"],
            row["player_id"],
            row["session_id"],
            row["provider_round_id"],
            row["asset"],
            row["won"],
            now,
        )
    return len(rows)
