"""The window of a replay: which deliveries it takes, and in which order they are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.runtime.statements import load_statements

BATCH: Final = 256
"""Most deliveries of one rehearsal or of one step of a run."""
PAGE: Final = 50_000
"""How many keys are read ahead: with one batch of bodies, the bound of the memory a replay uses."""
CLOCK_SLACK: Final = timedelta(minutes=10)
"""How far an id may be from the time of its delivery: its process's clock may have been set meanwhile."""

QUEUED: Final = "queued"
DEAD: Final = "dead"
RESULTS: Final = ("applied", "repeat", "nothing", "refused", "unmatched", QUEUED, DEAD)
"""What may have become of a delivery so far."""

T = TypeVar("T")

_SQL: Final = load_statements("croupier/inbox/replay/window.sql")
_MILLISECOND_BITS: Final = 80


class Window(Struct, frozen=True, kw_only=True):
    """Deliveries received from `start` until before `end`, less those that a filter leaves out.

    `results` is what must have become of them (`RESULTS`), none for any. `last_id` is where a limit cuts the window.
    """

    start: datetime
    end: datetime
    provider: str | None = None
    type: str | None = None
    round_id: str | None = None
    session_id: UUID | None = None
    player_id: str | None = None
    results: tuple[str, ...] = ()
    last_id: UUID | None = None

    def arguments(self) -> tuple[Any, ...]:
        """The first arguments of every statement about a window."""
        return (
            _first_id(self.start - CLOCK_SLACK),
            self.last_id or _first_id(self.end + CLOCK_SLACK),
            self.start,
            self.end,
            self.provider,
            self.type,
            self.round_id,
            self.session_id,
            self.player_id,
            list(self.results) or None,
        )


class Extent(Struct, frozen=True):
    """How much a window holds."""

    deliveries: int
    oldest_at: datetime | None
    newest_at: datetime | None
    last_id: UUID | None


class Key(Struct, frozen=True, gc=False, order=True):
    """Where a delivery is in a replay: deliveries of one player stand together, in the order in which they came.

    `player` is empty for those that name nobody.
    """

    player: str
    id: UUID
    bucket: int = 0


START: Final = Key("", UUID(int=0))
"""Before the first delivery of any window."""


class Batch(Struct, frozen=True):
    """Keys in order. No player's deliveries are spread over batches unless they alone are more than a batch holds:

    then the next one `is_continued`, it goes on with the player of the one before.
    """

    keys: tuple[Key, ...]
    is_continued: bool


class Batching:
    """Cuts a stream of keys into batches."""

    __slots__ = ("_is_continued", "_player_from", "_size", "_waiting")

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: list[Key] = []
        self._player_from = 0
        self._is_continued = False

    def take(self, key: Key) -> Batch | None:
        """A batch, once it is known to be complete."""
        waiting = self._waiting
        if waiting and waiting[-1].player != key.player:
            self._player_from = len(waiting)
        waiting.append(key)
        if len(waiting) <= self._size:
            return None
        # One too many: everything before the newest player goes; one who fills the batch alone goes in parts.
        cut = self._player_from or self._size
        batch = Batch(tuple(waiting[:cut]), self._is_continued)
        self._is_continued = self._player_from == 0
        self._player_from = 0
        del waiting[:cut]
        return batch

    def rest(self) -> Batch | None:
        """What is left at the end."""
        return Batch(tuple(self._waiting), self._is_continued) if self._waiting else None


class Delivery(Struct, frozen=True, gc=False):
    """A delivery as the raw store has it, as far as a replay needs it."""

    bucket: int
    id: UUID
    provider: str
    delivery_id: str
    type: str
    path: str
    body: bytes
    body_digest: str
    key_id: str
    signed_at: datetime
    received_at: datetime
    correlation_id: str
    trace_id: str | None


async def load_extent(connection: asyncpg.Connection, window: Window, limit: int | None = None) -> Extent:
    """Count a window's deliveries, at most `limit` of them in the order in which they came."""
    (row,) = await _fetch_at_leisure(connection, "load_extent", *window.arguments(), limit)
    return Extent(**row)


async def load_batches(
    connection: asyncpg.Connection, window: Window, after: Key = START, *, size: int = BATCH
) -> AsyncIterator[Batch]:
    """The keys of a window that follow a key, batch by batch."""
    batching = Batching(size)
    while True:
        rows = await _fetch_at_leisure(
            connection, "load_keys", *window.arguments(), after.player, after.id, PAGE
        )
        for row in rows:
            after = Key(row["player"], row["id"], row["bucket"])
            if (batch := batching.take(after)) is not None:
                yield batch
        if len(rows) < PAGE:
            break
    if (last := batching.rest()) is not None:
        yield last


async def read_ahead(
    batches: AsyncIterator[Batch], load: Callable[[Batch], Coroutine[Any, Any, T]]
) -> AsyncGenerator[tuple[Batch, T], None]:
    """Batches with what was loaded for each; the next one is loaded while the caller works on one.

    Batches and loading may share a connection, the caller's work must use another. Close it if it is not exhausted.
    """
    batch = await anext(batches, None)
    loading = None if batch is None else asyncio.create_task(load(batch))
    try:
        while batch is not None and loading is not None:
            current, loaded = batch, await loading
            batch = await anext(batches, None)
            loading = None if batch is None else asyncio.create_task(load(batch))
            yield current, loaded
    finally:
        if loading is not None:
            await asyncio.wait({loading})


async def load_deliveries(connection: asyncpg.Connection, batch: Batch) -> list[Delivery]:
    """The deliveries of a batch in its order, less those that were forgotten meanwhile."""
    buckets, ids = [key.bucket for key in batch.keys], [key.id for key in batch.keys]
    rows = await connection.fetch(_SQL["load_deliveries"].sql, buckets, ids)
    return [Delivery(*row) for row in rows]


async def _fetch_at_leisure(
    connection: asyncpg.Connection, name: str, *arguments: Any
) -> list[asyncpg.Record]:
    """Read without the time limit of online work: a window may be long."""
    async with connection.transaction(readonly=True):
        await connection.execute("SET LOCAL statement_timeout = 0")
        rows: list[asyncpg.Record] = await connection.fetch(_SQL[name].sql, *arguments)
        return rows


def _first_id(at: datetime) -> UUID:
    """The lowest id that can have been made at a moment, or after it."""
    return UUID(int=max(0, int(at.timestamp() * 1000)) << _MILLISECOND_BITS)
