"""The verdict after a crash test: what the provider was told against what the database holds (I1, I2, I3, I5, I6)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import asyncpg
import msgspec

from croupier.ids import JOURNAL, parse_id
from croupier.settlement.audit import check_ledger, replay_sessions

PROVIDER: Final = "sandbox"
FINAL: Final = frozenset({"settled", "cancelled", "failed"})
_SIGNS: Final = {"bet": -1, "win": 1, "rollback_bet": 1, "rollback_win": -1}

_STORED: Final = """
SELECT reference, status, code, journal_id, balance::text AS balance, rolled_back_by
  FROM money_reference WHERE provider = $1
"""
_HELD: Final = """
SELECT owner, sum(balance)::numeric AS held FROM account
 WHERE kind IN ('player_wallet', 'player_receivable') GROUP BY owner
"""
_TWICE: Final = """
SELECT provider, reference FROM journal_entry WHERE kind <> 'settlement'
 GROUP BY provider, reference HAVING count(*) > 1
"""
_CLEARING: Final = """
SELECT session_id FROM posting WHERE kind = 'operator_clearing' GROUP BY session_id, asset HAVING sum(amount) <> 0
"""
Entry = dict[str, Any]


async def read_book(http: aiohttp.ClientSession, sandbox: str) -> list[Entry]:
    """Everything that was ever acknowledged to the provider."""
    return [entry async for page in _pages(http, sandbox) for entry in page]


async def _pages(http: aiohttp.ClientSession, sandbox: str) -> AsyncIterator[list[Entry]]:
    since = 0
    while True:
        async with http.get(f"{sandbox}/book", params={"since": str(since)}) as reply:
            assert reply.status == 200, await reply.text()
            page: list[Entry] = [msgspec.json.decode(line) for line in (await reply.read()).splitlines()]
        if not page:
            return
        yield page
        since = page[-1]["seq"]


async def require_everything_acknowledged(connection: asyncpg.Connection, book: list[Entry]) -> None:
    """I3: every decision the provider read is stored, with the same journal id, code and balance."""
    stored = {row["reference"]: row for row in await connection.fetch(_STORED, PROVIDER)}
    missing = [entry["reference"] for entry in book if entry["reference"] not in stored]
    assert missing == []
    for entry in book:
        row = stored[entry["reference"]]
        told = (entry["status"], entry["code"], _journal(entry), entry["balance"])
        kept = (row["status"], row["code"], row["journal_id"], row["balance"])
        assert told == kept or (entry["balance"] is None and told[:3] == kept[:3]), entry
    # What moved money without the provider knowing must have been taken back by it.
    known = {entry["reference"] for entry in book}
    unknown = [name for name, row in stored.items() if row["journal_id"] is not None and name not in known]
    assert [name for name in unknown if stored[name]["rolled_back_by"] not in known] == []


def _journal(entry: Entry) -> object:
    return None if entry["journal_id"] is None else parse_id(JOURNAL, entry["journal_id"])


async def require_balances(
    connection: asyncpg.Connection, book: list[Entry], deposited: Counter[str]
) -> None:
    """Every player holds, or owes, exactly what the two sides were told (I6)."""
    expected: defaultdict[str, int] = defaultdict(int, deposited)
    moved = {entry["reference"]: entry for entry in book}.values()
    for entry in moved:
        if entry["status"] == "approved" and entry["code"] == "ok":
            expected[entry["player_id"]] += _SIGNS.get(entry["action"], 0) * int(entry["amount"])
    held = {row["owner"]: int(row["held"]) for row in await connection.fetch(_HELD)}
    assert held == dict(expected)


async def require_sound_books(connection: asyncpg.Connection) -> None:
    """I1, I2 and I5 over the whole database."""
    report = await check_ledger(connection)
    assert report.is_held, report.invariants()
    replayed = await replay_sessions(connection)
    assert replayed.is_held, replayed.differences
    assert await connection.fetch(_TWICE) == []


async def require_all_final(connection: asyncpg.Connection) -> None:
    """Every session rests, with nothing left in clearing."""
    rows = await connection.fetch("SELECT state, count(*) AS sessions FROM session GROUP BY state")
    assert {row["state"] for row in rows} <= FINAL, rows
    assert await connection.fetch(_CLEARING) == []
