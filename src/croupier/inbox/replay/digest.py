"""A digest of the ledger that does not depend on order and can be added to, so that what came in between is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.runtime.statements import load_statements
from croupier_signing import payload_digest

SETTLED_FOR: Final = timedelta(minutes=1)
"""Entries older than this when a replay begins are certainly written: no transaction and no clock is so late."""

_SQL: Final = load_statements("croupier/inbox/replay/proof.sql")
_HEAD: Final = "croupier ledger digest 1"


class Sums(Struct, frozen=True):
    """Rows and the sums of two 64-bit hashes over each of them."""

    rows: int = 0
    a: int = 0
    b: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.rows + other.rows, self.a + other.a, self.b + other.b)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.rows - other.rows, self.a - other.a, self.b - other.b)


NONE: Final = Sums()


class Part(Struct, frozen=True):
    """A part of the ledger: its digest (SHA-256 over the sums of every bucket) and its size in entries and postings."""

    digest: str
    entries: Sums
    postings: Sums

    @property
    def sums(self) -> tuple[Sums, Sums]:
        """What can be added and subtracted."""
        return self.entries, self.postings


class LedgerDigest(Struct, frozen=True):
    """The ledger at one moment: the whole, what was there long before, and what one replay added to it."""

    whole: Part
    kept: Part
    own: Part


def settled_id(at: datetime) -> UUID:
    """The first id that is not certainly written when a replay begins at this moment."""
    return UUID(int=int((at - SETTLED_FOR).timestamp() * 1000) << 80)


async def load_digest(
    connection: asyncpg.Connection, *, settled: UUID, via: str, replay: UUID
) -> LedgerDigest:
    """Digest what the connection sees: `settled` parts what is kept from what is new, `via` and `replay` name a job."""
    entries = await connection.fetch(_SQL["digest_entries"].sql, settled, via, replay)
    postings = await connection.fetch(_SQL["digest_postings"].sql, settled, via, replay)
    return LedgerDigest(*(_part(entries, postings, prefix) for prefix in ("", "kept_", "own_")))


def _part(entries: Sequence[Any], postings: Sequence[Any], prefix: str) -> Part:
    lines, totals = [_HEAD], []
    for name, rows in (("entries", entries), ("postings", postings)):
        by_bucket = [(row["bucket"], _sums(row, prefix)) for row in rows]
        lines += [f"{bucket} {name} {one.rows} {one.a} {one.b}" for bucket, one in by_bucket if one.rows]
        totals.append(_total(one for _, one in by_bucket))
    return Part(payload_digest("\n".join(lines).encode()), totals[0], totals[1])


def _sums(row: Any, prefix: str) -> Sums:
    return Sums(row[f"{prefix}rows"], int(row[f"{prefix}a"]), int(row[f"{prefix}b"]))


def _total(sums: Iterable[Sums]) -> Sums:
    total = NONE
    for one in sums:
        total += one
    return total


def render_part(part: Part) -> dict[str, Any]:
    """A part as it is kept in JSON, its sums as text."""
    return {
        "digest": part.digest,
        "entries": _render_sums(part.entries),
        "postings": _render_sums(part.postings),
    }


def parse_part(document: dict[str, Any]) -> Part:
    """A part from its JSON."""
    return Part(document["digest"], _parse_sums(document["entries"]), _parse_sums(document["postings"]))


def _render_sums(sums: Sums) -> dict[str, Any]:
    return {"rows": sums.rows, "a": str(sums.a), "b": str(sums.b)}


def _parse_sums(document: dict[str, Any]) -> Sums:
    return Sums(document["rows"], int(document["a"]), int(document["b"]))
