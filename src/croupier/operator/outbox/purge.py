"""Forgetting events, and what is known of their deliveries, once they are older than they are kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from croupier.ids import BUCKETS, first_id
from croupier.runtime.statements import load_statements

_log = structlog.get_logger("croupier.outbox")
_SQL: Final = load_statements("croupier/operator/outbox/purge.sql")

PURGE_BATCH: Final = 5000
"""Most rows that one statement deletes."""


async def purge_events(pool: asyncpg.Pool, now: datetime, *, keep_s: int) -> int:
    """Forget what is older than it is kept, bucket by bucket; how many events there were.

    What had not arrived by then never will: that is logged with its number.
    """
    before = first_id(now - timedelta(seconds=keep_s))
    purged = lost = 0
    for bucket in range(BUCKETS):
        lost += await _purge(pool, "purge_deliveries", bucket, before)
        await _purge(pool, "purge_attempts", bucket, before)
        purged += await _purge(pool, "purge_events", bucket, before)
    if lost:
        _log.error("events_forgotten_undelivered", deliveries=lost, kept_s=keep_s)
    return purged


async def _purge(pool: asyncpg.Pool, statement: str, bucket: int, before: object) -> int:
    total, count = 0, PURGE_BATCH
    while count == PURGE_BATCH:
        done: str = await pool.execute(_SQL[statement].sql, bucket, before, PURGE_BATCH)
        count = int(done.split()[-1])
        total += count
    return total
