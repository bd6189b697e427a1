"""Replay: sessions rebuilt from their events alone and compared with what is stored, field by field (I5)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import MsgspecError, Struct

from croupier.ids import SESSION, bucket_of_id, render_id
from croupier.moneypath.rows import read_event, read_round, read_session
from croupier.play.replay import Story
from croupier.play.round import Round
from croupier.play.session import IllegalTransition, Session
from croupier.runtime.statements import load_statements
from croupier.settlement.audit.snapshot import one_snapshot

MOST_DIFFERENCES: Final = 20
CHUNK: Final = 200
"""How many rebuilt sessions wait to be compared; with one session's rounds, the bound of the memory used."""

PREFETCH: Final = 1000

_STATEMENTS: Final = load_statements("croupier/settlement/audit/replay.sql")
_JSON_FIELDS: Final = ("outcome", "fairness")


class ReplayReport(Struct, frozen=True):
    """What was replayed, how many differences there are, and the first of them in words."""

    sessions: int
    rounds: int
    events: int
    count: int
    differences: tuple[str, ...]

    @property
    def is_held(self) -> bool:
        """Whether history alone gives exactly what is stored."""
        return self.count == 0


class _Told:
    """A session's id and its story, which may have ended early because an event cannot follow."""

    __slots__ = ("bucket", "events", "fault", "id", "story")

    def __init__(self, bucket: int, session_id: UUID) -> None:
        self.bucket = bucket
        self.id = session_id
        self.story = Story()
        self.events = 0
        self.fault: str | None = None

    def take(self, row: Mapping[str, Any]) -> None:
        self.events += 1
        if self.fault is not None:
            return
        try:
            self.story.apply(read_event(row))
        except IllegalTransition as error:
            self.fault = str(error)
        except (KeyError, TypeError, ValueError, MsgspecError) as error:
            self.fault = f"event {row['seq']} cannot be read ({type(error).__name__}: {error})"


class _Tally:
    """What the report counts while sessions stream by."""

    __slots__ = ("count", "differences", "events", "rounds", "sessions")

    def __init__(self) -> None:
        self.sessions = self.rounds = self.events = self.count = 0
        self.differences: list[str] = []

    def note(self, difference: str) -> None:
        self.count += 1
        if len(self.differences) < MOST_DIFFERENCES:
            self.differences.append(difference)


async def replay_sessions(
    connection: asyncpg.Connection,
    session_id: UUID | None = None,
    *,
    on_progress: Callable[[int], None] = lambda _: None,
) -> ReplayReport:
    """Replay one session, or all of them, in one snapshot; `on_progress` hears how many are done.

    An id that has neither events nor a stored session counts as no session. Raises asyncpg.PostgresError.
    """
    tally = _Tally()
    async with one_snapshot(connection):
        chunk: list[_Told] = []
        async for told in _load_stories(connection, session_id):
            chunk.append(told)
            if len(chunk) == CHUNK:
                await _compare(connection, chunk, tally)
                chunk.clear()
                on_progress(tally.sessions)
        await _compare(connection, chunk, tally)
        await _note_without_history(connection, session_id, tally)
    on_progress(tally.sessions)
    return ReplayReport(
        tally.sessions, tally.rounds, tally.events, tally.count, differences=tuple(tally.differences)
    )


async def _load_stories(connection: asyncpg.Connection, session_id: UUID | None) -> AsyncIterator[_Told]:
    """Stream events with a server-side cursor; yields each session once its last event is read."""
    told: _Told | None = None
    async for row in connection.cursor(
        _STATEMENTS["load_events"].sql, *_scope(session_id), prefetch=PREFETCH
    ):
        if told is None or told.id != row["session_id"]:
            if told is not None:
                yield told
            told = _Told(row["bucket"], row["session_id"])
        told.take(row)
    if told is not None:
        yield told


def _scope(session_id: UUID | None) -> tuple[UUID | None, int | None]:
    return session_id, None if session_id is None else bucket_of_id(session_id)


async def _compare(connection: asyncpg.Connection, chunk: list[_Told], tally: _Tally) -> None:
    keys = ([told.bucket for told in chunk], [told.id for told in chunk])
    stored = {
        row["id"]: read_session(tuple(row))
        for row in await connection.fetch(_STATEMENTS["load_sessions"].sql, *keys)
    }
    rounds: dict[UUID, dict[str, Round]] = {}
    for row in await connection.fetch(_STATEMENTS["load_rounds"].sql, *keys):
        rounds.setdefault(row["session_id"], {})[row["provider_round_id"]] = read_round(tuple(row))
    for told in chunk:
        tally.sessions += 1
        tally.events += told.events
        tally.rounds += len(told.story.rounds)
        for difference in _differences(told, stored.get(told.id), rounds.get(told.id, {})):
            tally.note(f"session {render_id(SESSION, told.id)}: {difference}")


async def _note_without_history(
    connection: asyncpg.Connection, session_id: UUID | None, tally: _Tally
) -> None:
    rows = await connection.fetch(
        _STATEMENTS["load_without_history"].sql, *_scope(session_id), MOST_DIFFERENCES
    )
    for row in rows:
        tally.note(f"session {render_id(SESSION, row['id'])}: is stored, but no event tells of it")
    if rows:
        tally.sessions += rows[0]["found"]
        tally.count += rows[0]["found"] - len(rows)


def _differences(told: _Told, stored: Session | None, rounds: dict[str, Round]) -> Iterator[str]:
    if told.fault is not None:
        yield f"its history breaks off: {told.fault}"
        return
    if stored is None:
        yield "has a history, but is not stored"
        return
    yield from _fields_that_differ("", told.story.session, stored)
    for name in sorted(told.story.rounds.keys() | rounds.keys()):
        if name not in rounds:
            yield f"round {name} is in the history, but not stored"
        elif name not in told.story.rounds:
            yield f"round {name} is stored, but not in the history"
        else:
            yield from _fields_that_differ(f"round {name}: ", told.story.rounds[name], rounds[name])


def _fields_that_differ(
    prefix: str, replayed: Session | Round | None, stored: Session | Round
) -> Iterator[str]:
    for field in stored.__struct_fields__:
        was, now = getattr(replayed, field), getattr(stored, field)
        if was != now and not (field in _JSON_FIELDS and _is_same_json(was, now)):
            yield f"{prefix}{field} is stored as {_shown(now)}, history says {_shown(was)}"


def _is_same_json(one: str | None, other: str | None) -> bool:
    """Whether two texts mean the same: the database keeps what a provider sent in a form of its own."""
    return one is not None and other is not None and _read_json(one) == _read_json(other)


def _read_json(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def _shown(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 120 else text[:120] + "…"
