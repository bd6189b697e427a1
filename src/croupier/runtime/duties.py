"""Duties: what somebody must do now and then. Safe to run on any number of hosts at once; none of them moves money."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import structlog

from croupier.errors import CroupierError
from croupier.ids import REQUEST, IdSource, render_id
from croupier.moneypath.commands import Call, Report
from croupier.moneypath.outcomes import Outcome
from croupier.play.session import FINAL
from croupier.runtime.statements import load_statements

_log = structlog.get_logger("croupier.duties")
_SQL: Final = load_statements("croupier/runtime/duties.sql")

Submit = Callable[[Call], Awaitable[tuple[Outcome, ...]]]

PURGE_BATCH: Final = 5000
"""Most rows deleted by one statement."""
BREAK_BATCH: Final = 200
"""Most breaks opened in one turn."""
PERIOD_S: Final = 5.0

TOKENS_EVERY: Final = timedelta(hours=1)
"""How often spent tokens are looked for: each look passes over the old tokens of sessions that did not end, too."""
ENDED_TOKENS_FOR: Final = timedelta(days=30)
"""How long a session rests before its tokens are forgotten: a late credit may come under one until then."""
REPLACED_TOKENS_FOR: Final = timedelta(days=1)
"""How long a replaced token is kept at least; its bets that are not settled yet keep it longer."""


async def run_duties(
    pool: asyncpg.Pool, submit: Submit, ids: IdSource, now: Callable[[], datetime], stop: asyncio.Event
) -> None:
    """Do every duty, again and again, until told to stop. A database that is away is tried again next time."""
    tokens_due_at = now()
    while not stop.is_set():
        try:
            await do_duties(pool, submit, ids, now())
            if now() >= tokens_due_at:
                await purge_tokens(pool, now())
                tokens_due_at = now() + TOKENS_EVERY
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, CroupierError) as error:
            _log.warning("duties_failed", error=repr(error))
        try:
            await asyncio.wait_for(stop.wait(), PERIOD_S)
        except TimeoutError:
            continue


async def do_duties(pool: asyncpg.Pool, submit: Submit, ids: IdSource, now: datetime) -> None:
    """One turn of the duties that cannot wait."""
    await _purge(pool, "purge_nonces", now)
    await _purge(pool, "purge_answers", now)
    await open_due_breaks(pool, submit, ids, now)


async def _purge(pool: asyncpg.Pool, statement: str, now: datetime) -> None:
    more = f"DELETE {PURGE_BATCH}"
    while more == f"DELETE {PURGE_BATCH}":
        more = await pool.execute(_SQL[statement].sql, now, PURGE_BATCH)


async def purge_tokens(pool: asyncpg.Pool, now: datetime) -> int:
    """Forget the tokens that open nothing any more, a bounded number at a time; returns how many there were."""
    ended = await _purge_pages(pool, "tokens_of_ended_sessions", now - ENDED_TOKENS_FOR, sorted(FINAL))
    return ended + await _purge_pages(pool, "replaced_tokens", now - REPLACED_TOKENS_FOR)


async def _purge_pages(pool: asyncpg.Pool, statement: str, before: datetime, *arguments: Any) -> int:
    """Look through a list from its oldest entry, so that entries which must stay are passed only once."""
    last: tuple[Any, ...] = (datetime.min.replace(tzinfo=UTC), 0, "")
    purged = 0
    while True:
        page = await pool.fetch(_SQL[statement].sql, before, *last, PURGE_BATCH, *arguments)
        if spent := [row for row in page if row["is_spent"]]:
            buckets, hashes = ([row[name] for row in spent] for name in ("bucket", "token_hash"))
            purged += int((await pool.execute(_SQL["delete_tokens"].sql, buckets, hashes)).split()[-1])
        if len(page) < PURGE_BATCH:
            return purged
        last = tuple(page[-1][name] for name in ("at", "bucket", "token_hash"))


async def open_due_breaks(pool: asyncpg.Pool, submit: Submit, ids: IdSource, now: datetime) -> int:
    """Have a break opened for every round that was paid and whose bet is overdue; returns how many were found.

    The money path opens it, so that whoever is told of breaks is told of this one too.
    """
    rows: list[Any] = await pool.fetch(_SQL["rounds_paid_without_bet"].sql, now, BREAK_BATCH)
    await asyncio.gather(*(submit(_report(row, ids)) for row in rows))
    return len(rows)


def _report(row: Any, ids: IdSource) -> Call:
    bucket: int = row["bucket"]
    request_id = ids.new(bucket)
    report = Report(
        player_id=row["player_id"],
        kind="win_without_bet",
        subject=f"{row['session_id']}:{row['provider_round_id']}",
        explanation="a win of this round was paid and its bet did not come by the deadline",
        session_id=row["session_id"],
        round_id=row["provider_round_id"],
        asset=row["asset"],
        amount=int(row["won"]),
    )
    return Call(
        provider=row["provider"],
        player_id=row["player_id"],
        bucket=bucket,
        request_id=request_id,
        correlation_id=render_id(REQUEST, request_id),
        actions=(report,),
        time_source="croupier",
    )
