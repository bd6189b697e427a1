"""The audit log: one append-only chain in which the hash of each record covers the record before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from croupier.runtime.statements import load_statements
from croupier_signing import payload_digest

_SQL: Final = load_statements("croupier/governance/audit.sql")

GENESIS: Final = "0" * 64
"""What the first record has in place of the hash before it."""

# The letters AUDITLOG as one number; advisory locks are per database, so one constant is enough.
CHAIN_LOCK: Final = 0x41554449544C4F47
VERIFY_BATCH: Final = 1000
MOST_FAULTS: Final = 20

Detail = str | int | bool | None | list["Detail"] | dict[str, "Detail"]
"""What details may hold: JSON without fractions, whose form would be anybody's guess."""


class Entry(Struct, frozen=True, kw_only=True):
    """What is to be remembered: who did what to which subject, why, and what changed."""

    actor: str
    action: str
    subject: str
    reason: str
    details: Mapping[str, Detail] = {}


class Record(Struct, frozen=True, kw_only=True):
    """One link of the chain as it is stored; `details` is its JSON text, `at` is in UTC."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str
    details: str
    previous_hash: str
    hash: str


class Head(Struct, frozen=True):
    """The end of a chain: note it elsewhere, and a chain that was cut off later is found."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


class ChainReport(Struct, frozen=True):
    """How many records were read, where the chain ends, and the first faults in words."""

    records: int
    head: Head
    faults: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        return not self.faults


def render_hash(record: Record) -> str:
    """The hash a record must have: SHA-256 over the canonical JSON of everything in it but the hash itself."""
    body = {
        "seq": record.seq,
        "at": record.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": record.actor,
        "action": record.action,
        "subject": record.subject,
        "reason": record.reason,
        "details": json.loads(record.details),
        "previous_hash": record.previous_hash,
    }
    return payload_digest(msgspec.json.encode(body, order="sorted"))


async def lock_chain(connection: asyncpg.Connection) -> None:
    """Let no other writer of the log in until the transaction ends; facts loaded after this stay true."""
    await connection.execute(_SQL["lock_chain"].sql, CHAIN_LOCK)


async def insert_record(connection: asyncpg.Connection, entry: Entry, at: datetime) -> Record:
    """Append within the caller's transaction, so that an act and its record are there together or not at all.

    Raises asyncpg.PostgresError; ValueError for details that JSON has no exact form for.
    """
    if not connection.is_in_transaction():
        raise ValueError("a record is written in the transaction of what it records")
    await lock_chain(connection)
    head = await load_head(connection)
    unsealed = Record(
        seq=head.seq + 1,
        at=at,
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        reason=entry.reason,
        details=_render_details(entry.details),
        previous_hash=head.hash,
        hash="",
    )
    record = msgspec.structs.replace(unsealed, hash=render_hash(unsealed))
    await connection.execute(_SQL["insert_record"].sql, *msgspec.structs.astuple(record))
    return record


def _render_details(details: Mapping[str, Detail]) -> str:
    text = json.dumps(details, ensure_ascii=False, sort_keys=True, default=_refuse)
    if "\\u0000" in text or json.loads(text, parse_float=_refuse) != details:
        raise ValueError("details hold text, whole numbers, true, false and null only")
    return text


def _refuse(value: object) -> Any:
    raise ValueError(f"details hold no {type(value).__name__}")


async def load_head(connection: asyncpg.Connection) -> Head:
    """Where the chain ends; the genesis of an empty one."""
    row = await connection.fetchrow(_SQL["load_head"].sql)
    return Head(0, GENESIS) if row is None else Head(row["seq"], row["hash"])


async def load_records(
    connection: asyncpg.Connection,
    *,
    subject: str | None = None,
    action: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Record]:
    """Records, newest first; `before` continues below a number."""
    rows = await connection.fetch(_SQL["list_newest"].sql, subject, action, before, limit)
    return [Record(**row) for row in rows]


async def verify_chain(connection: asyncpg.Connection, expected: Head | None = None) -> ChainReport:
    """Read the whole chain in order and name what was edited, removed or put in.

    `expected` is a head noted earlier: the chain must still contain it, which shows a chain that was cut off.
    """
    judge = _ChainJudge(expected)
    while rows := await connection.fetch(_SQL["load_after"].sql, judge.read_to, VERIFY_BATCH):
        for row in rows:
            judge.take(Record(**row))
    return judge.report()


class _ChainJudge:
    """Takes the records in order and remembers what does not fit."""

    def __init__(self, expected: Head | None) -> None:
        self._expected = expected
        self._head = Head(0, GENESIS)
        self._faults: list[str] = []
        self._has_expected = expected is None or expected == self._head
        self.read_to = 0
        self._count = 0

    def take(self, record: Record) -> None:
        if record.seq != self._head.seq + 1:
            self._blame(record.seq, f"records {self._head.seq + 1} to {record.seq - 1} are missing before it")
        elif record.previous_hash != self._head.hash:
            self._blame(record.seq, "it does not continue the record before it")
        if record.hash != render_hash(record):
            self._blame(record.seq, f"its content does not fit its hash ({record.action} {record.subject})")
        self._head = Head(record.seq, record.hash)
        self._has_expected = self._has_expected or self._head == self._expected
        self.read_to = record.seq
        self._count += 1

    def _blame(self, seq: int, what: str) -> None:
        if len(self._faults) < MOST_FAULTS:
            self._faults.append(f"record {seq}: {what}")

    def report(self) -> ChainReport:
        faults = list(self._faults)
        if not self._has_expected:
            faults.append(f"the chain does not contain {self._expected}: its end was cut off or rewritten")
        return ChainReport(self._count, self._head, tuple(faults))
