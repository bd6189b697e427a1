"""Pages of the statement and of the book."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from croupier.sandbox.wallet.books import Books
from croupier.sandbox.wallet.clock import Clock
from croupier.sandbox.wallet.orders import Period
from croupier.sandbox.wallet.trouble import malformed

BOOK_PAGE: Final = 1_000
_CURSOR: Final = re.compile(r"([0-9]{1,17})-([0-9]{1,18})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


async def load_statement(books: Books, clock: Clock, period: Period) -> dict[str, Any]:
    """One page of what was moved in a period. Raises Trouble: 400 for an impossible period or cursor, 503.

    A page ends at the moment at which it was asked for, and waits until everything before that is committed: nothing
    can come to stand before a cursor that was handed out.
    """
    if period.starts_at > period.ends_at:
        raise malformed("from is after to")
    after = (period.starts_at, 0) if period.cursor is None else _parse_cursor(period.cursor)
    ends_at = min(period.ends_at, clock.stamp())
    rows = await books.load_settled(
        "list_statement", period.starts_at, ends_at, after[0], after[1], period.limit + 1
    )
    page = rows[: period.limit]
    return {
        "movements": [_render_movement(row) for row in page],
        "next_cursor": _render_cursor(page[-1]) if len(rows) > period.limit else None,
    }


async def load_book(books: Books, after: int) -> dict[str, Any]:
    """One page of everything decided, of numbers above `after`; `next_after` is null on the last.

    Raises Trouble (503).
    """
    rows = await books.load_settled("list_book", after, BOOK_PAGE + 1)
    page = rows[:BOOK_PAGE]
    return {
        "movements": [dict(row) | {"recorded_at": _render_moment(row["recorded_at"])} for row in page],
        "next_after": page[-1]["number"] if len(rows) > BOOK_PAGE else None,
    }


async def load_totals(books: Books) -> dict[str, Any]:
    """Sums by asset: what players have, and what each operation changed. Raises Trouble (503).

    `is_balanced` is whether the balances are what was moved, and none is below zero.
    """
    changes = await books.load_settled("sum_changes")
    balances = await books.load_settled("sum_balances")
    return {"assets": {row["asset"]: _render_total(row, changes) for row in balances}}


def _render_total(held: asyncpg.Record, changes: Sequence[asyncpg.Record]) -> dict[str, Any]:
    own = [row for row in changes if row["asset"] == held["asset"]]
    is_balanced = sum(int(row["change"]) for row in own) == int(held["balance"]) and held["overdrawn"] == 0
    return {
        "wallets": held["wallets"],
        "balance": held["balance"],
        "is_balanced": is_balanced,
        "changes": {row["operation"]: row["change"] for row in own},
        "movements": {row["operation"]: row["movements"] for row in own},
    }


def _render_movement(row: asyncpg.Record) -> dict[str, Any]:
    shown = dict(row)
    return shown | {
        "wallet_reference": f"w-{shown.pop('number')}",
        "recorded_at": _render_moment(row["recorded_at"]),
    }


def _render_moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _render_cursor(row: asyncpg.Record) -> str:
    return f"{(row['recorded_at'] - _EPOCH) // _MICROSECOND}-{row['number']}"


def _parse_cursor(text: str) -> tuple[datetime, int]:
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise malformed("this is no cursor of ours")
    return _EPOCH + int(found[1]) * _MICROSECOND, int(found[2])
