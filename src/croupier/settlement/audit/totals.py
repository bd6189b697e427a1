"""Totals of the ledger with a digest, to prove that something changed nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import asyncpg
from msgspec import Struct

from croupier.runtime.statements import load_statements
from croupier_signing import payload_digest

_STATEMENTS: Final = load_statements("croupier/settlement/audit/totals.sql")


class LedgerTotals(Struct, frozen=True):
    """What the ledger holds: minor units as text by asset and account kind, and how much was ever written.

    `digest` is a SHA-256 over the totals of every bucket, its last entry and all counts: equal digests mean that
    no entry, posting, decided reference or event was added in between.
    """

    assets: dict[str, dict[str, str]]
    entries: int
    postings: int
    references: int
    events: int
    digest: str


async def load_ledger_totals(connection: asyncpg.Connection) -> LedgerTotals:
    """The totals as the connection sees them; two calls agree on their moment only inside one snapshot."""
    totals = await connection.fetch(_STATEMENTS["load_totals"].sql)
    marks = await connection.fetch(_STATEMENTS["load_marks"].sql)
    return LedgerTotals(
        assets=_by_asset(totals),
        entries=sum(row["entries"] for row in marks),
        postings=sum(row["postings"] for row in totals),
        references=sum(row["decided"] for row in marks),
        events=sum(row["events"] for row in marks),
        digest=payload_digest(_render_canonical(totals, marks).encode()),
    )


def _by_asset(totals: Iterable[Any]) -> dict[str, dict[str, str]]:
    sums: dict[str, dict[str, int]] = {}
    for row in totals:
        kinds = sums.setdefault(row["asset"], {})
        kinds[row["kind"]] = kinds.get(row["kind"], 0) + int(row["total"])
    return {
        asset: {kind: str(total) for kind, total in sorted(kinds.items())}
        for asset, kinds in sorted(sums.items())
    }


def _render_canonical(totals: Iterable[Any], marks: Iterable[Any]) -> str:
    lines = ["croupier ledger totals 1"]
    lines += [
        f"{row['bucket']} {row['asset']} {row['kind']} {row['total']} {row['postings']}" for row in totals
    ]
    lines += [
        f"{row['bucket']} {row['entries']} {row['last_entry'] or '-'} {row['decided']} {row['events']}"
        for row in marks
    ]
    return "\n".join(lines)
