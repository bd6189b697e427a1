"""What is stuck, read in one snapshot: money, sessions, and calls to providers. Ready for JSON, and bounded."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
from msgspec import Struct

from croupier.cli.reads import Document, render_row
from croupier.ids import SESSION, UNKNOWN
from croupier.inbox.search import load_depths
from croupier.providers.breakers.machine import BreakerState
from croupier.providers.breakers.store import load_breakers
from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/cli/stuck.sql")

MOST_GROUPS: Final = 200
"""Most lines of a summary: its groups are providers, assets, states and teams, which are few."""
LATE_AFTER: Final = timedelta(minutes=1)
"""How long a due session may wait for its turn before it is called overdue."""


class StuckQuery(Struct, frozen=True):
    """What counts as stuck: rounds open for longer than this, and how many single things are shown at most."""

    now: datetime
    older_than_s: int
    limit: int


async def load_stuck(connection: asyncpg.Connection, query: StuckQuery) -> Document:
    """The three answers as of one moment."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        late_before = query.now - LATE_AFTER
        return {
            "as_of": query.now,
            "older_than_s": query.older_than_s,
            "money": await _load_money(connection, query, late_before),
            "sessions": {
                "states": await _rows(connection, "session_states", late_before, MOST_GROUPS),
                "overdue": await _rows(
                    connection, "overdue_sessions", late_before, query.limit, prefix=SESSION
                ),
                "without_timer": await connection.fetchval(_SQL["count_without_timer"].sql),
            },
            "provider_calls": {
                "unknown_count": await connection.fetchval(_SQL["count_unknown"].sql),
                "unknown": await _rows(connection, "unknown_outcomes", query.limit, prefix=UNKNOWN),
                "breakers": await _held_back(connection),
            },
        }


async def _load_money(connection: asyncpg.Connection, query: StuckQuery, late_before: datetime) -> Document:
    opened_before = query.now - timedelta(seconds=query.older_than_s)
    depths = await load_depths(connection)
    return {
        "open_rounds": await _rows(connection, "open_rounds", opened_before, MOST_GROUPS),
        "pending_settlement": await _rows(connection, "pending_settlement", late_before, MOST_GROUPS),
        "breaks": await _rows(connection, "open_breaks", MOST_GROUPS),
        "webhooks": [
            {
                "provider": one["provider"],
                "queued": one["depth"],
                "dead": one["dead"],
                "oldest_at": one["oldest_at"],
            }
            for one in depths
            if one["depth"] or one["dead"]
        ],
    }


async def _rows(
    connection: asyncpg.Connection, statement: str, *arguments: Any, prefix: str = ""
) -> list[Document]:
    rows = await connection.fetch(_SQL[statement].sql, *arguments)
    return [render_row(row, prefix=prefix) for row in rows]


async def _held_back(connection: asyncpg.Connection) -> list[Document]:
    known = await load_breakers(connection)
    return [
        {
            "provider": endpoint.provider,
            "operation": endpoint.operation,
            "state": breaker.state.value,
            "is_held": breaker.is_held,
            "since": breaker.since,
            "retry_at": breaker.retry_at,
        }
        for endpoint, breaker in known.items()
        if breaker.state is not BreakerState.CLOSED
    ]
