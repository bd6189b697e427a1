"""Sending events once more, by command: single ones, those of a window, those that were given up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.ids import BUCKETS, bucket_of_id, first_id
from croupier.operator.outbox.queue import IN_ORDER
from croupier.operator.outbox.settings import ANY_TYPE, NATS
from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/operator/outbox/redelivery.sql")

PAGE: Final = 2000
"""Most events that one statement puts on their way."""

CLOCKS: Final = timedelta(minutes=10)
"""How far the time in an event's id may be from the time it was recorded at."""

_FIRST: Final = UUID(int=0)


class Target(Struct, frozen=True):
    """A consumer and the types it takes."""

    consumer: str
    types: tuple[str, ...] = (ANY_TYPE,)


class Window(Struct, frozen=True):
    """From a time on, and before another."""

    start: datetime
    end: datetime


async def send_events_again(
    connection: asyncpg.Connection, event_ids: Sequence[UUID], targets: Sequence[Target], now: datetime
) -> int:
    """Put these events on their way to the consumers that take them; how many deliveries that makes.

    Within the caller's transaction, as everything here. What is on its way already becomes due at once.
    """
    consumers = [
        (one.consumer, type_, IN_ORDER if one.consumer == NATS else now)
        for one in targets
        for type_ in ((ANY_TYPE,) if ANY_TYPE in one.types else one.types)
    ]
    columns = [[row[place] for row in consumers] for place in range(3)]
    buckets = [bucket_of_id(event_id) for event_id in event_ids]
    rows = await connection.fetch(_SQL["send_again"].sql, now, buckets, list(event_ids), *columns)
    return len(rows)


async def send_window_again(
    connection: asyncpg.Connection, window: Window, targets: Sequence[Target], now: datetime
) -> int:
    """The same for all events that were recorded in a window, bucket by bucket."""
    sent = 0
    low, high = first_id(window.start - CLOCKS), first_id(window.end + CLOCKS)
    for bucket in range(BUCKETS):
        last: UUID | None = _FIRST
        while last is not None:
            rows = await connection.fetch(
                _SQL["find_in_window"].sql, bucket, window.start, window.end, low, high, last, PAGE
            )
            found = [row["id"] for row in rows]
            sent += await send_events_again(connection, found, targets, now)
            last = found[-1] if len(found) == PAGE else None
    return sent


async def send_given_up_again(
    connection: asyncpg.Connection, window: Window, targets: Sequence[Target], now: datetime
) -> int:
    """The same for events whose last attempt at a consumer, made in a window, was the last of the schedule."""
    sent = 0
    for target in targets:
        last: UUID | None = _FIRST
        while last is not None:
            rows = await connection.fetch(
                _SQL["find_given_up"].sql, target.consumer, window.start, window.end, last, PAGE
            )
            found = [row["id"] for row in rows]
            sent += await send_events_again(connection, found, [Target(target.consumer)], now)
            last = found[-1] if len(found) == PAGE else None
    return sent
