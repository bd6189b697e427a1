"""Rows of the books ready for JSON: ids with prefixes, times as text, money as text of minor units."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.cli.present import shown_id, shown_time
from croupier.ids import JOURNAL, ROUND, SESSION, MalformedId, bucket_of, bucket_of_id, parse_id
from croupier.runtime.statements import load_statements

Document = dict[str, Any]

_STATEMENTS: Final = load_statements("croupier/cli/reads.sql")
_PREFIXES: Final = {"session_id": SESSION, "journal_id": JOURNAL, "entry_id": JOURNAL}
_HIDDEN: Final = frozenset({"bucket"})
_JSON: Final = frozenset({"details", "outcome", "fairness"})


class JournalFilter(Struct, frozen=True, kw_only=True):
    """Which entries of the journal are wanted, and how many at most."""

    player_id: str | None = None
    session_id: UUID | None = None
    reference: str | None = None
    limit: int = 20


class SessionFilter(Struct, frozen=True, kw_only=True):
    """Which sessions are wanted, and how many at most; `before` continues after the last one shown."""

    player_id: str | None = None
    state: str | None = None
    before: UUID | None = None
    limit: int = 20


def render_row(row: Mapping[str, Any], *, prefix: str = "") -> Document:
    """A row ready for JSON; `prefix` is that of its `id`."""
    return {name: _render_value(name, value, prefix) for name, value in row.items() if name not in _HIDDEN}


def _render_value(name: str, value: Any, prefix: str) -> Any:
    if isinstance(value, UUID):
        return shown_id(prefix if name == "id" else _PREFIXES[name], value)
    if isinstance(value, datetime):
        return shown_time(value)
    if name == "journal_ids":
        return [shown_id(JOURNAL, one) for one in value]
    if name in _JSON and value is not None:
        return json.loads(value)
    return value


async def load_balances(connection: asyncpg.Connection, player_id: str, asset: str | None) -> list[Document]:
    """The materialised accounts of a player."""
    rows = await connection.fetch(_STATEMENTS["load_balances"].sql, bucket_of(player_id), player_id, asset)
    return [render_row(row) for row in rows]


async def load_journal(connection: asyncpg.Connection, wanted: JournalFilter) -> list[Document]:
    """Entries, newest first, each with its postings."""
    arguments: list[Any] = [wanted.player_id, wanted.session_id, wanted.limit]
    name = "load_entries"
    if wanted.reference is not None:
        name = "load_entries_by_reference"
        arguments.append(wanted.reference)
    rows = await connection.fetch(_STATEMENTS[name].sql, *arguments)
    keys = ([row["bucket"] for row in rows], [row["id"] for row in rows])
    postings: dict[UUID, list[Document]] = {}
    for posting in await connection.fetch(_STATEMENTS["load_postings"].sql, *keys):
        document = render_row(posting)
        del document["entry_id"]
        postings.setdefault(posting["entry_id"], []).append(document)
    return [{**render_row(row, prefix=JOURNAL), "postings": postings.get(row["id"], [])} for row in rows]


async def load_session_list(connection: asyncpg.Connection, wanted: SessionFilter) -> list[Document]:
    """Sessions, newest first."""
    rows = await connection.fetch(
        _STATEMENTS["list_sessions"].sql, wanted.player_id, wanted.state, wanted.before, wanted.limit
    )
    return [render_row(row, prefix=SESSION) for row in rows]


async def load_sessions_of(connection: asyncpg.Connection, text: str) -> list[UUID]:
    """Sessions found by anything: ses_, rnd_ or jrn_ id, a provider's reference or round id."""
    for prefix in (SESSION, ROUND, JOURNAL):
        try:
            value = parse_id(prefix, text)
        except MalformedId:
            continue
        if prefix == SESSION:
            return [value]
        rows = await connection.fetch(_STATEMENTS["find_sessions_by_id"].sql, bucket_of_id(value), value)
        return [row["id"] for row in rows]
    rows = await connection.fetch(_STATEMENTS["find_sessions"].sql, text)
    return [row["id"] for row in rows]


async def load_session(
    connection: asyncpg.Connection, session_id: UUID, *, most_rounds: int
) -> Document | None:
    """A session with its first rounds; None when there is none."""
    key = (bucket_of_id(session_id), session_id)
    row = await connection.fetchrow(_STATEMENTS["load_session"].sql, *key)
    if row is None:
        return None
    rounds = await connection.fetch(_STATEMENTS["load_session_rounds"].sql, *key, most_rounds)
    return {**render_row(row, prefix=SESSION), "rounds": [render_row(one, prefix=ROUND) for one in rounds]}


async def load_timeline(
    connection: asyncpg.Connection, session_id: UUID, *, after: int, limit: int
) -> list[Document]:
    """Events of a session after a number, in order."""
    rows = await connection.fetch(
        _STATEMENTS["load_timeline"].sql, bucket_of_id(session_id), session_id, after, limit
    )
    return [render_row(row) for row in rows]


async def load_rounds_of(
    connection: asyncpg.Connection, text: str, provider: str | None, *, most_events: int
) -> list[Document]:
    """Rounds by our id or the provider's, each with the events that touched it."""
    try:
        ours = parse_id(ROUND, text)
    except MalformedId:
        ours = None
    found = []
    for row in await connection.fetch(_STATEMENTS["find_rounds"].sql, ours, text, provider):
        events = await connection.fetch(
            _STATEMENTS["load_round_events"].sql,
            bucket_of_id(row["session_id"]),
            row["session_id"],
            row["provider_round_id"],
            most_events,
        )
        found.append({**render_row(row, prefix=ROUND), "events": [render_row(event) for event in events]})
    return found
