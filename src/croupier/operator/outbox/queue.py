"""The queue of deliveries: claimed by lease, settled by fence, and the turns that one process holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.ids import bucket_of
from croupier.operator.outbox.settings import NATS
from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/operator/outbox/queue.sql")

TURN_BUCKET: Final = 0

IN_ORDER: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""When deliveries to JetStream are due: all at the same time, so that only their position orders them."""

DELIVERED: Final = "delivered"
FAILED: Final = "failed"
GIVEN_UP: Final = "given_up"


class Claimed(Struct, frozen=True, gc=False):
    """A delivery that is ours until its lease ends; `attempts` were made on the schedule before."""

    bucket: int
    event_id: UUID
    fence: int
    attempts: int
    type: str
    payload: str


class Waiting(Struct, frozen=True, gc=False):
    """A delivery to JetStream. Those of one `order_key` must arrive in their order."""

    bucket: int
    event_id: UUID
    fence: int
    type: str
    payload: str
    order_key: str


class Made(Struct, frozen=True, gc=False, kw_only=True):
    """An attempt that was made under a claim; `next_at` of a failed one is when it is due again."""

    bucket: int
    event_id: UUID
    fence: int
    result: str
    duration_ms: int
    at: datetime
    status: int | None = None
    error: str | None = None
    excerpt: str | None = None
    next_at: datetime | None = None


class Failing(Struct, frozen=True, gc=False):
    """Since when an endpoint takes nothing, and whether it is switched off."""

    since: datetime
    is_disabled: bool


async def claim_deliveries(
    pool: asyncpg.Pool, endpoint: str, now: datetime, *, lease: timedelta, limit: int
) -> list[Claimed]:
    """Take what is due for an endpoint, oldest first; whoever else looks gets other deliveries until the lease ends."""
    rows = await pool.fetch(
        _SQL["claim_deliveries"].sql, endpoint, bucket_of(endpoint), now, now + lease, limit
    )
    return [Claimed(**row) for row in rows]


async def settle_attempts(pool: asyncpg.Pool, endpoint: str, made: Sequence[Made]) -> int:
    """Write attempts down; how many counted. One whose lease ran out and was claimed again changes nothing."""
    columns: list[list[Any]] = [[getattr(one, name) for one in made] for name in _COLUMNS]
    return len(await pool.fetch(_SQL["settle_attempts"].sql, endpoint, *columns))


_COLUMNS: Final = (
    "bucket",
    "event_id",
    "fence",
    "result",
    "status",
    "error",
    "excerpt",
    "duration_ms",
    "at",
    "next_at",
)


async def note_success(pool: asyncpg.Pool, endpoint: str, now: datetime) -> datetime | None:
    """The endpoint takes events; since when it had not, if it had not."""
    return await pool.fetchval(  # type: ignore[no-any-return]
        _SQL["note_success"].sql, bucket_of(endpoint), endpoint, now
    )


async def note_failure(pool: asyncpg.Pool, endpoint: str, error: str, now: datetime) -> Failing:
    """The endpoint does not take events, as `error` says."""
    row = await pool.fetchrow(_SQL["note_failure"].sql, bucket_of(endpoint), endpoint, now, error)
    return Failing(row["failing_since"], row["disabled_at"] is not None)


async def claim_turn(pool: asyncpg.Pool, name: str, holder: UUID, now: datetime, *, lease: timedelta) -> bool:
    """Whether the turn is ours until the lease ends; asking again in time keeps it."""
    return bool(await pool.fetchval(_SQL["claim_turn"].sql, TURN_BUCKET, name, holder, now, now + lease))


async def release_turn(pool: asyncpg.Pool, name: str, holder: UUID) -> None:
    """Give a turn up before its lease ends."""
    await pool.execute(_SQL["release_turn"].sql, TURN_BUCKET, name, holder)


async def load_head(pool: asyncpg.Pool, *, held: Sequence[str], limit: int) -> list[Waiting]:
    """What is next for JetStream, in order, leaving out the order keys that are held back."""
    rows = await pool.fetch(_SQL["load_head"].sql, NATS, IN_ORDER, list(held), bucket_of(NATS), limit)
    return [Waiting(**row) for row in rows]
