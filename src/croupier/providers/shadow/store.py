"""What shadows have found, in the database: added in batches by the shadow process, read by commands."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

import asyncpg
import msgspec
from msgspec import Struct

from croupier.ids import bucket_of
from croupier.providers.shadow.tally import COUNTED, EXAMPLES, Example, Group, Kind, Tally
from croupier.runtime.statements import load_statements

_SQL: Final = {name: one.sql for name, one in load_statements("croupier/providers/shadow/store.sql").items()}
_READ_EXAMPLES: Final = msgspec.json.Decoder(tuple[Example, ...])


class Comparison(Struct, frozen=True):
    """What is compared: an account's calls, with a candidate, in one state of the code of both adapters."""

    provider: str
    candidate: str
    digest: str

    @property
    def key(self) -> tuple[int, str, str, str]:
        return bucket_of(self.provider), self.provider, self.candidate, self.digest


class Day(Struct, frozen=True, kw_only=True):
    """The counts of one day, in UTC."""

    day: date
    same: int
    different: int
    refused: int
    failed: int
    hung: int
    skipped: int
    dropped: int
    first_at: datetime
    last_at: datetime


async def insert_tally(
    connection: asyncpg.Connection, comparison: Comparison, tally: Tally, now: datetime
) -> None:
    """Add a tally to what is written already, all of it or nothing."""
    days = sorted({day for day, _ in tally.counts})
    counts = [(*comparison.key, day, *(tally.counts[day, name] for name in COUNTED), now) for day in days]
    groups = [
        (*comparison.key, *_kind_values(kind), *_group_values(group), EXAMPLES)
        for kind, group in sorted(tally.groups.items())
    ]
    async with connection.transaction():
        await connection.executemany(_SQL["add_tally"], counts)
        await connection.executemany(_SQL["add_difference"], groups)


async def load_tallies(connection: Any, comparison: Comparison) -> list[Day]:
    """The counts of each day on which something was compared."""
    return [Day(**row) for row in await connection.fetch(_SQL["load_tallies"], *comparison.key)]


async def load_differences(connection: Any, comparison: Comparison) -> dict[Kind, Group]:
    """Every kind of difference with its count and examples, the most frequent first."""
    rows = await connection.fetch(_SQL["load_differences"], *comparison.key)
    return {
        _read_kind(row): Group(
            row["count"], row["first_at"], row["last_at"], _READ_EXAMPLES.decode(row["examples"])
        )
        for row in rows
    }


async def load_kinds(connection: Any, comparison: Comparison) -> frozenset[Kind]:
    """The kinds that are written: the bound on their number holds over all processes."""
    return frozenset(_read_kind(row) for row in await connection.fetch(_SQL["load_kinds"], *comparison.key))


def _read_kind(row: Any) -> Kind:
    return Kind(row["operation"], row["path"], row["live_class"], row["candidate_class"])


def _kind_values(kind: Kind) -> tuple[str, ...]:
    return kind.operation, kind.path, kind.live, kind.candidate


def _group_values(group: Group) -> tuple[Any, ...]:
    examples = msgspec.json.encode(group.examples).decode()
    return group.count, group.first_at, group.last_at, examples
