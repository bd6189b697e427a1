"""The numbers of the console's first page, read from the books themselves."""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/console/reads.sql")


async def load_live(pool: asyncpg.Pool) -> dict[str, Any]:
    """Sessions by state, entries by kind, open breaks, keys in use, and where the money is (texts of minor units)."""
    sessions = await pool.fetch(_SQL["sessions_by_state"].sql)
    entries = await pool.fetch(_SQL["entries_by_kind"].sql)
    breaks = await pool.fetch(_SQL["open_breaks"].sql)
    money: dict[str, dict[str, str]] = {}
    for row in await pool.fetch(_SQL["money_by_account"].sql):
        money.setdefault(row["asset"], {})[row["kind"]] = row["amount"]
    keys: dict[str, list[dict[str, Any]]] = {}
    for row in await pool.fetch(_SQL["keys_in_use"].sql):
        keys.setdefault(row["provider"], []).append(_key(row))
    return {
        "keys": keys,
        "sessions": {row["state"]: row["sessions"] for row in sessions},
        "entries": {row["kind"]: row["entries"] for row in entries},
        "breaks": {row["kind"]: row["breaks"] for row in breaks},
        "money": money,
        "imbalance": {
            asset: str(sum(int(amount) for amount in kinds.values())) for asset, kinds in money.items()
        },
    }


def _key(row: Any) -> dict[str, Any]:
    seen = row["last_seen_ok"]
    return {
        "id": row["key_id"],
        "direction": row["direction"],
        "state": row["state"],
        "overdue": row["is_overdue"],
        "last_seen_ok": None if seen is None else f"{seen:%Y-%m-%d %H:%M:%S} UTC",
        "ok": row["ok"],
        "refused": row["refused"],
    }
