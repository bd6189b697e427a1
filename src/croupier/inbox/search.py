"""Finding deliveries: lists by what their bodies say and what became of them, and all there is about one."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.ids import bucket_of, bucket_of_id
from croupier.runtime.statements import load_statements

QUEUED: Final = "queued"
WAITING: Final = "waiting"
DEAD: Final = "dead"
DONE: Final = "done"
STATES: Final = (QUEUED, WAITING, DONE, DEAD)

_SQL: Final = load_statements("croupier/inbox/search.sql")
_BY_STATE: Final = {QUEUED: "list_queued", WAITING: "list_queued", DEAD: "list_dead"}
"""States that few deliveries are in have a list of their own."""


class DeliveryFilter(Struct, frozen=True, kw_only=True):
    """Which deliveries are wanted, and how many at most; ids are ordered by time, `first_id` to before `last_id`."""

    provider: str | None = None
    type: str | None = None
    round_id: str | None = None
    session_id: UUID | None = None
    player_id: str | None = None
    first_id: UUID | None = None
    last_id: UUID | None = None
    state: str | None = None
    result: str | None = None
    limit: int = 20


async def load_deliveries(connection: asyncpg.Connection, wanted: DeliveryFilter) -> list[asyncpg.Record]:
    """Deliveries, newest first, each with its state and its first result."""
    name = _BY_STATE.get(wanted.state or "", "list_deliveries")
    rows: list[asyncpg.Record] = await connection.fetch(
        _SQL[name].sql,
        wanted.provider,
        wanted.type,
        wanted.round_id,
        wanted.session_id,
        wanted.player_id,
        wanted.first_id,
        wanted.last_id,
        wanted.state,
        wanted.result,
        wanted.limit,
    )
    return rows


async def load_refused(connection: asyncpg.Connection, wanted: DeliveryFilter) -> list[asyncpg.Record]:
    """Webhooks that were turned away, newest first; of the filter only provider, ids and limit count."""
    rows: list[asyncpg.Record] = await connection.fetch(
        _SQL["list_refused"].sql, wanted.provider, wanted.first_id, wanted.last_id, wanted.limit
    )
    return rows


class Story(Struct, frozen=True):
    """One delivery with everything that became of it; `queued` and `dead` are None when it is neither."""

    delivery: asyncpg.Record
    queued: asyncpg.Record | None
    dead: asyncpg.Record | None
    results: list[asyncpg.Record]

    @property
    def state(self) -> str:
        """Where it is now."""
        if self.queued is not None:
            return WAITING if self.queued["is_waiting"] else QUEUED
        return DONE if self.dead is None else DEAD


async def load_stories(connection: asyncpg.Connection, id_: UUID | None, delivery_id: str) -> list[Story]:
    """Deliveries by our id, or else by the sender's, as they are at one moment; several providers may use one id."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found: list[asyncpg.Record] = []
        if id_ is not None:
            found = await connection.fetch(_SQL["find_by_id"].sql, bucket_of_id(id_), id_)
        if not found:
            found = await connection.fetch(_SQL["find_by_sender"].sql, bucket_of(delivery_id), delivery_id)
        return [await _load_story(connection, row) for row in found]


async def _load_story(connection: asyncpg.Connection, row: asyncpg.Record) -> Story:
    key = (row["bucket"], row["id"])
    return Story(
        row,
        await connection.fetchrow(_SQL["load_queue_row"].sql, *key),
        await connection.fetchrow(_SQL["load_dead_row"].sql, *key),
        await connection.fetch(_SQL["load_results"].sql, *key),
    )


async def load_refused_ones(
    connection: asyncpg.Connection, id_: UUID | None, delivery_id: str
) -> list[asyncpg.Record]:
    """Refused webhooks by our id, or by the one they claimed."""
    rows: list[asyncpg.Record] = await connection.fetch(_SQL["find_refused"].sql, id_, delivery_id)
    return rows


async def load_depths(connection: asyncpg.Connection, provider: str | None = None) -> list[Any]:
    """What is queued and dead for each provider now, with the drain rate as it was measured last."""
    rows: list[Any] = await connection.fetch(_SQL["load_depths"].sql, provider)
    return rows
