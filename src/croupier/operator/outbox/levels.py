"""How much waits for each consumer, measured now and then by whoever works."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import asyncpg

from croupier.ids import bucket_of
from croupier.operator.outbox.records import LagRecord, LevelRecord, Observe
from croupier.operator.outbox.settings import NATS, Outbox
from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/operator/outbox/levels.sql")

MOST_COUNTED: Final = 100_000
"""Beyond so many waiting events of one consumer the exact number is of no use to anybody."""


async def observe_levels(pool: asyncpg.Pool, outbox: Outbox, now: datetime, observe: Observe) -> None:
    """Tell how much waits for each consumer, and how far behind giving events to them is."""
    names = [one.id for one in outbox.endpoints] + ([] if outbox.jetstream is None else [NATS])
    buckets = [bucket_of(name) for name in names]
    for row in await pool.fetch(_SQL["load_levels"].sql, names, buckets, MOST_COUNTED):
        oldest_s = _age_s(row["oldest_at"], now)
        observe(LevelRecord(row["endpoint"], row["pending"], oldest_s, row["is_disabled"]))
    observe(LagRecord(_age_s(await pool.fetchval(_SQL["load_lag"].sql), now)))


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
