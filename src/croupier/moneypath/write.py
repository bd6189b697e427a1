"""Writing: everything a batch decided, in one statement, with one row for each state that several decisions touched."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from croupier.moneypath.facts import Effects, Facts
from croupier.moneypath.load import Connection
from croupier.moneypath.rows import (
    Row,
    account_row,
    answer_row,
    break_row,
    entry_row,
    event_row,
    posting_rows,
    reference_row,
    round_row,
    session_row,
)
from croupier.wallet.accounts import AccountKey

_WRITE: Final = "SELECT write_effects($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"


class Rows:
    """The rows of a batch, by table."""

    __slots__ = (
        "accounts",
        "answers",
        "breaks",
        "claims",
        "entries",
        "events",
        "marks",
        "new_rounds",
        "new_sessions",
        "postings",
        "references",
        "rounds",
        "sessions",
        "settled",
    )

    def __init__(self) -> None:
        self.references: list[Row] = []
        self.claims: list[Row] = []
        self.marks: list[Row] = []
        self.entries: list[Row] = []
        self.postings: list[Row] = []
        self.accounts: dict[tuple[int, AccountKey], None] = {}
        self.sessions: dict[UUID, None] = {}
        self.rounds: dict[tuple[UUID, str], None] = {}
        self.settled: dict[tuple[int, UUID], None] = {}
        self.events: list[Row] = []
        self.breaks: list[Row] = []
        self.answers: list[Row] = []

    def add(self, facts: Facts, effects: Effects) -> None:
        """Collect one decision's effects."""
        for reference in (effects.reference, effects.tombstone):
            if reference is not None:
                self.references.append(reference_row(reference))
        if effects.claim is not None:
            self.claims.append(reference_row(effects.claim))
        if effects.mark is not None:
            self.marks.append(effects.mark)
        for entry in effects.entries:
            posted = facts.posted[entry.id]
            self.entries.append(entry_row(entry))
            self.postings.extend(posting_rows(entry, posted))
            for one in posted:
                if one.balance_after is not None:
                    self.accounts[entry.bucket, one.leg.account] = None
        self._add_states(effects)

    def _add_states(self, effects: Effects) -> None:
        session = effects.session
        if session is not None:
            self.sessions[session.id] = None
            if effects.settles_rounds:
                self.settled[session.bucket, session.id] = None
        if effects.round is not None:
            self.rounds[effects.round.session_id, effects.round.provider_round_id] = None
        self.events.extend(event_row(event) for event in effects.events)
        self.breaks.extend(break_row(found) for found in effects.breaks)
        if effects.answer is not None:
            self.answers.append(answer_row(effects.answer))


def _split(facts: Facts, rows: Rows) -> tuple[list[Row], list[Row], list[Row], list[Row]]:
    """New and changed sessions, new and changed rounds, each as it stands after the whole batch."""
    new_sessions: list[Row] = []
    sessions: list[Row] = []
    for session_id in rows.sessions:
        session = facts.sessions[session_id]
        (new_sessions if session_id in facts.new_sessions else sessions).append(session_row(session))
    new_rounds: list[Row] = []
    rounds: list[Row] = []
    for key in rows.rounds:
        (new_rounds if key in facts.new_rounds else rounds).append(round_row(facts.rounds[key]))
    return new_sessions, sessions, new_rounds, rounds


async def write_effects(connection: Connection, facts: Facts, buckets: Iterable[int], now: datetime) -> bool:
    """Write what was decided; False when there is nothing to write.

    Raises the driver's errors: SQLSTATE CR001 when a reference was decided elsewhere meanwhile (load and decide
    again), CR002 when a state row is missing, CR004 when an entry does not sum to zero.
    """
    if not facts.applied:
        return False
    rows = Rows()
    for effects in facts.applied:
        rows.add(facts, effects)
    await connection.fetchrow(_WRITE, *_arguments(facts, rows, buckets, now))
    return True


def _arguments(facts: Facts, rows: Rows, buckets: Iterable[int], now: datetime) -> tuple[Any, ...]:
    new_sessions, sessions, new_rounds, rounds = _split(facts, rows)
    accounts = [account_row(bucket, key, facts.balances[key]) for bucket, key in rows.accounts]
    return (
        sorted(buckets),
        # Sorted, so that two processes inserting the same references wait for each other in one order.
        sorted(rows.references, key=lambda row: row[:2]),
        rows.claims,
        rows.marks,
        rows.entries,
        rows.postings,
        accounts,
        new_sessions,
        sessions,
        new_rounds,
        rounds,
        list(rows.settled),
        rows.events,
        rows.breaks,
        rows.answers,
        now,
    )
