"""The numbers of the console's first page, read from the books themselves."""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/console/reads.sql")


async def load_live(pool: asyncpg.Pool) -> dict[str, Any]:
    """Sessions by state, entries by kind, open breaks, and where the money is (texts of minor units)."""
    sessions = await pool.fetch(_SQL["sessions_by_state"].sql)
    entries = await pool.fetch(_SQL["entries_by_kind"].sql)
    breaks = await pool.fetch(_SQL["open_breaks"].sql)
    money: dict[str, dict[str, str]] = {}
    for row in await pool.fetch(_SQL["money_by_account"].sql):
        money.setdefault(row["asset"], {})[row["kind"]] = row["amount"]
    return {
        "sessions": {row["state"]: row["sessions"] for row in sessions},
        "entries": {row["kind"]: row["entries"] for row in entries},
        "breaks": {row["kind"]: row["breaks"] for row in breaks},
        "money": money,
        "imbalance": {
            asset: str(sum(int(amount) for amount in kinds.values())) for asset, kinds in money.items()
        },
    }
