"""What the lanes ask about the operator's wallet is looked up by key, whatever the tables held when it was planned.

The plans of a lane live as long as its connection, which begins on empty tables and may go on through an outage.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
from wallet_stage import NOW

from croupier.ids import bucket_of
from croupier.runtime.database import connect_app, connect_owner

CROWD: Final = 2_000
FEW: Final = 40
"""Rows that a look-up of one player and one call may touch, repeats and index recheck included."""
TABLES: Final = ("account", "wallet_call", "unknown_outcome", "money_reference")
PLAYER: Final = "player-7"
LOAD: Final = (
    "SELECT load_wallet_calls(ARRAY[ROW($1, $2)]::owner_key[], ARRAY[ROW('lab', 'w-7')]::reference_key[], '{}'), "
    "load_told(ARRAY[ROW($1, $2)]::owner_key[])"
)
WRITE: Final = (
    "SELECT write_wallet(ARRAY(SELECT wallet_call_of(w) FROM wallet_call w WHERE bucket = $1 AND player_id = $2 "
    "AND settled_at IS NULL ORDER BY id LIMIT 1), "
    "ARRAY[ROW($1, $2, 'EUR', 'cash', '9', NULL)]::told_row[], '{}', $3)"
)
SETTLE: Final = (
    "SELECT write_wallet(ARRAY(SELECT ROW(c.bucket, c.id, c.player_id, c.asset, c.operation, c.amount, c.action, "
    "c.kind, c.provider, c.reference, c.target_reference, c.target_id, c.if_spent, c.session_id, c.round_id, "
    "c.game_id, c.occurred_at, c.correlation_id, c.booked, c.request, c.request_id, c.asked_at, c.deadline, c.owner, "
    "'approved', 'ok', 2, c.sent_at, NULL, $3, c.amount, '9', c.wallet_reference, false, false)::wallet_call_row "
    "FROM (SELECT (wallet_call_of(w)).* FROM wallet_call w WHERE bucket = $1 AND player_id = $2 "
    "AND settled_at IS NULL ORDER BY id LIMIT 1) c), '{}', '{}', $3)"
)

CALLS: Final[tuple[tuple[str, tuple[Any, ...]], ...]] = ((LOAD, ()), (WRITE, (NOW,)), (SETTLE, (NOW,)))


async def make_crowd(url: str) -> None:
    """Every player has a wallet, a queued credit, a decided reference and an outcome that nobody knows."""
    owner = await connect_owner(url)
    numbers = [f"player-{number}" for number in range(CROWD)]
    players = [(bucket_of(name), name, number) for number, name in enumerate(numbers)]
    try:
        await owner.executemany(
            "INSERT INTO account (bucket, owner, kind, asset, fund, balance, is_mirror, told) "
            "VALUES ($1, $2, 'player_wallet', 'EUR', 'cash', $3, true, 5)",
            players,
        )
        await owner.executemany(
            "INSERT INTO wallet_call (bucket, id, player_id, asset, operation, amount, action, kind, provider, "
            "reference, occurred_at, correlation_id, booked, request_id, asked_at, deadline, owner, state, attempts, "
            "next_at, is_late, is_overdue) VALUES ($1, gen_random_uuid(), $2, 'EUR', 'credit', 5, 'win', 'win', 'lab', "
            "'w-' || $3::int, $4, 'x', 'before', gen_random_uuid(), $4, $4, 'finance', 'queued', 1, $4, false, false)",
            [(*player, NOW) for player in players],
        )
        await owner.execute(
            "INSERT INTO unknown_outcome (bucket, id, kind, subject, provider, player_id, reason, since, attempts, "
            "next_probe_at, deadline, owner) SELECT bucket, gen_random_uuid(), 'wallet', "
            "'wtx_' || translate(id::text, '-', ''), provider, player_id, 'reset', asked_at, 1, asked_at, deadline, "
            "owner FROM wallet_call"
        )
    finally:
        await owner.close()


async def touched(connection: asyncpg.Connection) -> dict[str, int]:
    """How many rows of each table this transaction has read."""
    rows = await connection.fetch(
        "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS read FROM pg_stat_xact_user_tables "
        "WHERE relname = ANY($1)",
        list(TABLES),
    )
    return {row["relname"]: row["read"] for row in rows}


@asynccontextmanager
async def planned_lane(url: str) -> AsyncIterator[Callable[..., Any]]:
    """A lane's connection that has planned everything on empty tables; what it calls tells what a statement reads."""
    lane = await connect_app(url, lane=True, wallet_mode="remote")
    bucket = bucket_of(PLAYER)

    async def reads(sql: str, *more: Any) -> dict[str, int]:
        """Do it, and undo it again."""
        transaction = lane.transaction()
        await transaction.start()
        try:
            before = await touched(lane)
            await lane.fetchrow(sql, bucket, PLAYER, *more)
            after = await touched(lane)
        finally:
            await transaction.rollback()
        return {name: after[name] - before.get(name, 0) for name in after}

    try:
        for sql, more in CALLS:
            await reads(sql, *more)
        yield reads
    finally:
        await lane.close()


async def test_one_players_call_reads_nothing_of_everybody_elses(database_url: str) -> None:
    async with planned_lane(database_url) as reads:
        await make_crowd(database_url)
        for sql, more in CALLS:
            read = await reads(sql, *more)
            assert read, "the tables are looked at"
            assert all(rows <= FEW for rows in read.values()), (sql, read)


async def test_an_outcome_that_was_unknown_is_cleared_up_with_its_call(database_url: str) -> None:
    await make_crowd(database_url)
    lane = await connect_app(database_url, lane=True, wallet_mode="remote")
    try:
        await lane.fetchrow(SETTLE, bucket_of(PLAYER), PLAYER, NOW)
        cleared = await lane.fetch("SELECT player_id FROM unknown_outcome WHERE resolution = 'approved'")
    finally:
        await lane.close()
    assert [row["player_id"] for row in cleared] == [PLAYER]
