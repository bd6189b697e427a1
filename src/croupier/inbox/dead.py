"""Dead letters: what the pipeline could not process, grouped by cause, and the way back to the queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.governance.audit import Detail, Entry, insert_record
from croupier.ids import DELIVERY, bucket_of_id, render_id
from croupier.inbox.process import DECODE_FAILED, UNKNOWN_PROVIDER, UNKNOWN_TYPE, WORKER_LOST
from croupier.runtime.statements import load_statements

REDRIVE_BATCH: Final = 5000
"""Most dead letters put back by one statement; all of a redrive are one transaction."""
MOST_NAMED: Final = 20
"""How many ids the audit record of a redrive names."""

_SQL: Final = load_statements("croupier/inbox/dead.sql")

_AWAY: Final = (
    "the database or the lanes were away for longer than the attempts lasted: redrive once they are well"
)
_BUG: Final = "a decision failed: find its cause in the log by the correlation id, then redrive"
ADVICE: Final[Mapping[str, str]] = {
    DECODE_FAILED: "the adapter cannot read what it read when it came: mend what changed in it, then redrive",
    UNKNOWN_TYPE: "the protocol's text knows no such type: ask the provider; redrive after an upgrade that knows it",
    UNKNOWN_PROVIDER: "a background process had no such account: configure it on every host, then redrive",
    WORKER_LOST: "workers ended while they had it in hand: find out why in their logs, then redrive a single one",
    "unavailable": _AWAY,
    "overloaded": _AWAY,
    "in_flight": _AWAY,
    "internal": _BUG,
}
"""What a person does about a cause."""
OTHERWISE: Final = "find the cause in the log by the correlation id, then redrive"


class Stake(Struct, frozen=True):
    """Money that dead letters are about, in minor units of one asset; `unknown` of them do not say how much."""

    asset: str | None
    amount: int
    unknown: int


class Group(Struct, frozen=True, kw_only=True):
    """Dead letters of one provider, cause and type. The times say when the oldest and the newest came."""

    provider: str
    cause: str
    type: str
    letters: int
    stakes: tuple[Stake, ...]
    oldest_at: datetime
    newest_at: datetime
    last_died_at: datetime
    example: UUID
    detail: str

    @property
    def advice(self) -> str:
        """What to do about it."""
        return ADVICE.get(self.cause, OTHERWISE)


async def load_groups(connection: asyncpg.Connection, provider: str | None = None) -> list[Group]:
    """Every group of dead letters, of one provider or of all."""
    found: dict[tuple[str, str, str], list[asyncpg.Record]] = {}
    for row in await connection.fetch(_SQL["load_groups"].sql, provider):
        found.setdefault((row["provider"], row["cause"], row["type"]), []).append(row)
    examples = [min(row["example"] for row in rows) for rows in found.values()]
    buckets = [bucket_of_id(example) for example in examples]
    details = dict(await connection.fetch(_SQL["load_details"].sql, buckets, examples))
    return [
        _read_group(rows, example, details.get(example, ""))
        for rows, example in zip(found.values(), examples, strict=True)
    ]


def _read_group(rows: list[asyncpg.Record], example: UUID, detail: str) -> Group:
    first = rows[0]
    stakes = [
        Stake(row["asset"], int(row["amount"]), row["letters"] - row["with_amount"])
        for row in rows
        if row["asset"] is not None or row["with_amount"]
    ]
    return Group(
        provider=first["provider"],
        cause=first["cause"],
        type=first["type"],
        letters=sum(row["letters"] for row in rows),
        stakes=tuple(stakes),
        oldest_at=min(row["oldest_at"] for row in rows),
        newest_at=max(row["newest_at"] for row in rows),
        last_died_at=max(row["last_died_at"] for row in rows),
        example=example,
        detail=detail,
    )


class Selection(Struct, frozen=True, kw_only=True):
    """Which dead letters go back, at most `limit` of them, oldest first; what is None is not asked for."""

    ids: tuple[UUID, ...] | None = None
    provider: str | None = None
    cause: str | None = None
    type: str | None = None
    limit: int | None = None

    def details(self) -> dict[str, Detail]:
        """The selection as the audit log keeps it."""
        shown = [render_id(DELIVERY, one) for one in (self.ids or ())[:MOST_NAMED]]
        return {
            "ids": list(shown) if self.ids is not None else None,
            "provider": self.provider,
            "cause": self.cause,
            "type": self.type,
            "limit": self.limit,
        }


async def redrive(
    connection: asyncpg.Connection, wanted: Selection, *, actor: str, reason: str, now: datetime
) -> list[UUID]:
    """Put dead letters back in the queue, as if nobody had tried them, and say so in the audit log.

    One transaction: all of them and the record, or none. Returns which went back, in the order of their arrival.
    """
    moved: list[UUID] = []
    async with connection.transaction():
        while wanted.limit is None or len(moved) < wanted.limit:
            size = REDRIVE_BATCH if wanted.limit is None else min(REDRIVE_BATCH, wanted.limit - len(moved))
            ids = None if wanted.ids is None else list(wanted.ids)
            rows = await connection.fetch(
                _SQL["redrive_letters"].sql, ids, wanted.provider, wanted.cause, wanted.type, size, now
            )
            moved += sorted(row["id"] for row in rows)
            if len(rows) < size:
                break
        if moved:
            details = wanted.details() | {"redriven": len(moved)}
            entry = Entry(
                actor=actor, action="inbox.redriven", subject="inbox", reason=reason, details=details
            )
            await insert_record(connection, entry, now)
    return moved
