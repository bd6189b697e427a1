"""What people look at: recent events, what became of one of them, how the consumers are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.ids import bucket_of_id
from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/operator/outbox/reads.sql")

WAITING: Final = "waiting"
_ALL: Final = UUID(int=2**128 - 1)


class Progress(Struct, frozen=True):
    """Where an event is at one consumer: `waiting`, or how the last attempt ended; `at` is when it is due, or was."""

    event_id: UUID
    consumer: str
    state: str
    attempts: int
    at: datetime


class EventLine(Struct, frozen=True):
    """One event of a list. `is_new` while it was given to no consumer."""

    bucket: int
    id: UUID
    type: str
    session_id: UUID | None
    player_id: str | None
    recorded_at: datetime
    is_new: bool
    progress: tuple[Progress, ...] = ()


class Attempt(Struct, frozen=True):
    """One attempt to hand an event to a consumer."""

    consumer: str
    attempt: int
    result: str
    status: int | None
    error: str | None
    excerpt: str | None
    duration_ms: int
    at: datetime


class EventStory(Struct, frozen=True):
    """An event with its payload and everything that was tried."""

    line: EventLine
    payload: str
    attempts: tuple[Attempt, ...]


class ConsumerState(Struct, frozen=True):
    """What is known of a consumer; all None of one that nothing was sent to yet."""

    consumer: str
    pending: int
    oldest_at: datetime | None
    last_ok_at: datetime | None
    failing_since: datetime | None
    last_error: str | None
    disabled_at: datetime | None
    disabled_because: str | None


async def load_recent_events(
    connection: asyncpg.Connection,
    *,
    type_: str | None = None,
    session_id: UUID | None = None,
    is_undelivered: bool = False,
    before: UUID | None = None,
    limit: int = 50,
) -> list[EventLine]:
    """Events, newest first; `before` continues below an id."""
    page = (before or _ALL, type_, limit)
    if is_undelivered:
        rows = await connection.fetch(_SQL["list_undelivered_events"].sql, *page, session_id)
    elif session_id is not None:
        bucket = bucket_of_id(session_id)
        rows = await connection.fetch(_SQL["list_session_events"].sql, *page, bucket, session_id)
    else:
        rows = await connection.fetch(_SQL["list_events"].sql, *page)
    return await _with_progress(connection, rows)


async def load_story(connection: asyncpg.Connection, event_id: UUID) -> EventStory | None:
    """An event with all that was tried; None for an id that no event has, or has any more."""
    bucket = bucket_of_id(event_id)
    row = await connection.fetchrow(_SQL["load_event"].sql, bucket, event_id)
    if row is None:
        return None
    (line,) = await _with_progress(connection, [row])
    attempts = await connection.fetch(_SQL["load_attempts"].sql, bucket, event_id)
    return EventStory(line, row["payload"], tuple(Attempt(*one) for one in attempts))


async def _with_progress(connection: asyncpg.Connection, rows: Sequence[Any]) -> list[EventLine]:
    buckets, ids = [row["bucket"] for row in rows], [row["id"] for row in rows]
    found: dict[UUID, list[Progress]] = {event_id: [] for event_id in ids}
    for state in await connection.fetch(_SQL["load_states"].sql, buckets, ids):
        found[state["event_id"]].append(Progress(*state))
    return [
        EventLine(
            row["bucket"],
            row["id"],
            row["type"],
            row["session_id"],
            row["player_id"],
            row["recorded_at"],
            row["fanned_at"] is None,
            tuple(found[row["id"]]),
        )
        for row in rows
    ]


async def load_consumers(connection: asyncpg.Connection, names: Sequence[str]) -> list[ConsumerState]:
    """The consumers of these names, and those that only the database knows."""
    rows = await connection.fetch(_SQL["load_endpoints"].sql, list(names))
    return [
        ConsumerState(
            consumer=row["endpoint"],
            **{name: row[name] for name in ConsumerState.__struct_fields__ if name != "consumer"},
        )
        for row in rows
    ]
