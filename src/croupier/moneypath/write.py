"""Writing: everything a batch decided, in one statement, with one row for each state that several decisions touched."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from croupier.ids import IdSource, bucket_of
from croupier.moneypath.announce import announce
from croupier.moneypath.facts import Effects, Fact, Facts, Opened, Stamp
from croupier.moneypath.load import Connection
from croupier.moneypath.rows import (
    Row,
    account_row,
    answer_row,
    break_row,
    entry_row,
    event_row,
    noticed_row,
    posting_rows,
    reference_row,
    resolution_row,
    restriction_row,
    round_row,
    ruling_row,
    session_row,
    terms_row,
    timer_row,
    token_row,
    told_row,
    unknown_row,
    wallet_call_row,
)
from croupier.moneypath.timing import Timing, plan_timing
from croupier.wallet.accounts import AccountKey

_WRITE: Final = (
    "SELECT write_effects($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
)
_WRITE_REMOTE: Final = _WRITE + ", write_wallet($18, $19, $20, $17)"
"""Both in one round trip, and in this order."""
_WRITE_RESTRICTIONS: Final = "SELECT write_restrictions($1)"
_WRITE_OPENINGS: Final = "SELECT write_openings($1, $2)"
_WRITE_TIMING: Final = "SELECT write_timing($1, $2, $3, $4)"
_WRITE_WALLET: Final = "SELECT write_wallet($1, $2, $3, $4)"
"""What is asked and answered where nothing is booked with it: no more than that crosses to the database."""


class Rows:
    """The rows of a batch, by table."""

    __slots__ = (
        "accounts",
        "answers",
        "breaks",
        "buckets",
        "claims",
        "entries",
        "events",
        "marks",
        "noticed",
        "opened",
        "outbox",
        "postings",
        "references",
        "restrictions",
        "rounds",
        "sessions",
        "settled",
        "tokens",
    )

    def __init__(self) -> None:
        self.buckets: set[int] = set()
        self.references: list[Row] = []
        self.claims: list[Row] = []
        self.marks: dict[tuple[str, str], tuple[str | None, str | None]] = {}
        self.entries: list[Row] = []
        self.postings: list[Row] = []
        self.accounts: dict[tuple[int, AccountKey], None] = {}
        self.sessions: dict[UUID, None] = {}
        self.rounds: dict[tuple[UUID, str], None] = {}
        self.settled: dict[tuple[int, UUID], None] = {}
        self.events: list[Row] = []
        self.breaks: list[Row] = []
        self.answers: list[Row] = []
        self.tokens: dict[str, None] = {}
        self.noticed: dict[tuple[Fact, str], Row] = {}
        self.outbox: list[Row] = []
        self.restrictions: dict[UUID, Row] = {}
        self.opened: list[Opened] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing for `write_effects`; an entry and a change of state have a reference or an event."""
        return not (
            self.references
            or self.claims
            or self.marks
            or self.entries
            or self.sessions
            or self.rounds
            or self.events
            or self.breaks
            or self.answers
            or self.tokens
            or self.noticed
            or self.outbox
        )

    def add(self, facts: Facts, effects: Effects, ids: IdSource) -> None:
        """Collect one decision's effects, and the events that tell of them."""
        self.outbox.extend(announce(effects, facts.posted, ids))
        if effects.noticed is not None:
            # A row is written once: paid and told again within a batch is one change.
            self.noticed[effects.noticed.fact, effects.noticed.reference] = noticed_row(effects.noticed)
        if effects.restriction is not None:
            # Placed and lifted within a batch is one row.
            self.restrictions[effects.restriction.id] = restriction_row(effects.restriction)
        if effects.opened is not None:
            self.opened.append(effects.opened)
        for reference in (effects.reference, effects.tombstone):
            if reference is not None:
                self.buckets.add(reference.bucket)
                self.references.append(reference_row(reference))
        if effects.claim is not None:
            self.claims.append(reference_row(effects.claim))
        for mark in effects.marks:
            # A row is written once: what several decisions of a batch made of it is one change.
            key = (mark.provider, mark.reference)
            was = self.marks[key][0] if key in self.marks else mark.was
            self.marks[key] = (was, mark.by)
        for token in effects.tokens:
            self.tokens[token.token_hash] = None
        for entry in effects.entries:
            posted = facts.posted[entry.id]
            self.buckets.add(entry.bucket)
            self.entries.append(entry_row(entry))
            self.postings.extend(posting_rows(entry, posted))
            for one in posted:
                if one.balance_after is not None:
                    self.accounts[entry.bucket, one.leg.account_in(entry.bucket)] = None
        self._add_states(effects)

    def _add_states(self, effects: Effects) -> None:
        session = effects.session
        if session is not None:
            self.buckets.add(session.bucket)
            self.sessions[session.id] = None
            if effects.settles_rounds:
                self.settled[session.bucket, session.id] = None
        if effects.round is not None:
            self.rounds[effects.round.session_id, effects.round.provider_round_id] = None
        self.events.extend(event_row(event) for event in effects.events)
        self.breaks.extend(break_row(found) for found in effects.breaks)
        if effects.answer is not None:
            self.answers.append(answer_row(effects.answer))


async def write_effects(connection: Connection, facts: Facts, stamp: Stamp) -> bool:
    """Write what was decided, under the stamp of the decisions; False when there is nothing to write.

    Raises the driver's errors: SQLSTATE CR001 when a reference was decided elsewhere meanwhile (load and decide
    again), CR004 when an entry does not sum to zero.
    """
    if not facts.applied:
        return False
    rows = Rows()
    for effects in facts.applied:
        rows.add(facts, effects, stamp.ids)
    await _write_rows(connection, facts, rows, stamp.now)
    if rows.restrictions:
        await connection.fetchrow(_WRITE_RESTRICTIONS, list(rows.restrictions.values()))
    if rows.opened:
        terms = [terms_row(one.ruling, one.terms) for one in rows.opened]
        await connection.fetchrow(_WRITE_OPENINGS, [ruling_row(one.ruling) for one in rows.opened], terms)
    timing = plan_timing(facts.applied, facts.sessions, facts.terms, stamp)
    if not timing.is_empty:
        await connection.fetchrow(_WRITE_TIMING, *_timing_arguments(timing))
    return True


async def _write_rows(connection: Connection, facts: Facts, rows: Rows, now: datetime) -> None:
    wallet = None if facts.wallet is None else _wallet_arguments(facts)
    if wallet is None:
        await connection.fetchrow(_WRITE, *_arguments(facts, rows, now))
    elif rows.is_empty:
        await connection.fetchrow(_WRITE_WALLET, *wallet, now)
    else:
        await connection.fetchrow(_WRITE_REMOTE, *_arguments(facts, rows, now), *wallet)


def _wallet_arguments(facts: Facts) -> tuple[list[Row], list[Row], list[Row]] | None:
    """What is asked of the operator's wallet and what it said, each call and balance as it stands after the batch.

    None when there is nothing of it to write.
    """
    changed = {call.id for effects in facts.applied for call in effects.wallet_calls}
    told = facts.changed_told()
    shown = [effects.shown for effects in facts.applied if effects.shown is not None]
    if not (changed or told):
        return None
    return (
        # Sorted, so that two processes which write the same rows wait for each other in one order.
        [wallet_call_row(facts.wallet_calls[call_id]) for call_id in sorted(changed)],
        [told_row(bucket_of(key.owner), key, balance) for key, balance in _in_order(told)],
        [reference_row(one) for one in shown],
    )


def _in_order(told: dict[AccountKey, int]) -> list[tuple[AccountKey, int]]:
    return sorted(told.items(), key=lambda one: (one[0].owner, one[0].asset, one[0].fund))


def _timing_arguments(timing: Timing) -> tuple[Any, ...]:
    return (
        [timer_row(timer) for timer in timing.timers],
        list(timing.over),
        [unknown_row(unknown) for unknown in timing.unknowns],
        [resolution_row(resolution) for resolution in timing.resolutions],
    )


def _arguments(facts: Facts, rows: Rows, now: datetime) -> tuple[Any, ...]:
    accounts = [account_row(bucket, key, facts.balances[key]) for bucket, key in rows.accounts]
    return (
        sorted(rows.buckets),
        # Sorted, so that two processes inserting the same references wait for each other in one order.
        sorted(rows.references, key=lambda row: row[:2]),
        sorted(rows.claims, key=lambda row: row[:2]),
        [(*key, was, by) for key, (was, by) in sorted(rows.marks.items()) if was != by],
        rows.entries,
        rows.postings,
        accounts,
        [session_row(facts.sessions[session_id]) for session_id in rows.sessions],
        [round_row(facts.rounds[key]) for key in rows.rounds],
        list(rows.settled),
        rows.events,
        rows.breaks,
        rows.answers,
        [token_row(facts.tokens[token_hash]) for token_hash in rows.tokens],
        list(rows.noticed.values()),
        rows.outbox,
        now,
    )
