"""The database's own rules: history is append-only, entries sum to zero, rights are few (I1, I5)."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from lane_desk import open_desk, require_sound_books

from croupier.runtime.database import connect_app, connect_owner
from model.calls import NOW

HISTORY = ("journal_entry", "posting", "session_event")
EDITS = ("UPDATE {} SET bucket = bucket", "DELETE FROM {}", "TRUNCATE {} CASCADE")
APPEND_ONLY = "CR003"
IMBALANCE = "CR004"
NO_RIGHT = "42501"
POST = (
    "INSERT INTO posting (bucket, entry_id, seq, kind, owner, asset, fund, session_id, amount) "
    "SELECT 0, $1, row_number() OVER (), 'player_wallet', 'player-1', p.asset, 'cash', NULL, p.amount "
    "FROM unnest($2::text[], $3::numeric[]) AS p (asset, amount)"
)


@pytest.fixture
async def played_url(database_url: str) -> AsyncIterator[str]:
    """A database with a little history."""
    async with open_desk(database_url) as desk:
        seat = await desk.seat("player-1")
        assert (await desk.ask(seat.bet("bet"))).is_approved
    yield database_url
    await require_sound_books(database_url)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("table", HISTORY)
async def test_the_application_may_not_edit_history(played_url: str, table: str, edit: str) -> None:
    connection = await connect_app(played_url)
    try:
        with pytest.raises(asyncpg.PostgresError) as refused:
            await connection.execute(edit.format(table))
        assert refused.value.sqlstate == NO_RIGHT
    finally:
        await connection.close()


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("table", HISTORY)
async def test_not_even_the_owner_edits_history_by_accident(played_url: str, table: str, edit: str) -> None:
    connection = await connect_owner(played_url)
    try:
        with pytest.raises(asyncpg.PostgresError) as refused:
            await connection.execute(edit.format(table))
        assert refused.value.sqlstate == APPEND_ONLY
    finally:
        await connection.close()


@pytest.mark.parametrize("table", ["account", "money_reference", "session", "round", "break_item"])
async def test_the_application_never_deletes_state(played_url: str, table: str) -> None:
    connection = await connect_app(played_url)
    try:
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE", f"DROP TABLE {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("column", ["provider", "reference", "journal_id"])
async def test_the_application_may_not_change_what_a_reference_moved(played_url: str, column: str) -> None:
    connection = await connect_app(played_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(f"UPDATE money_reference SET {column} = {column}")
    finally:
        await connection.close()


@pytest.mark.parametrize("statement", [
    "ALTER TABLE posting DISABLE TRIGGER ALL",
    "SET session_replication_role = replica",
    "CREATE TABLE croupier.mine (id int)",
    "CREATE OR REPLACE FUNCTION croupier.refuse_edit() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
    "ALTER ROLE croupier_app SUPERUSER",
])  # fmt: skip
async def test_the_application_may_not_put_the_guards_away(played_url: str, statement: str) -> None:
    connection = await connect_app(played_url)
    try:
        with pytest.raises(asyncpg.PostgresError) as refused:
            await connection.execute(statement)
        assert refused.value.sqlstate in (NO_RIGHT, "42601", "42P13"), refused.value
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("assets", "amounts"),
    [
        (["EUR"], [1]),
        (["EUR", "EUR"], [100, -99]),
        (["EUR", "USD"], [100, -100]),
        (["EUR", "EUR", "USD", "USD"], [5, -5, 7, -8]),
        (["EUR", "EUR"], [10**37, 1 - 10**37]),
    ],
)
@pytest.mark.parametrize("connect", [connect_app, connect_owner])
async def test_postings_that_do_not_sum_to_zero_for_each_asset_are_refused(
    played_url: str, connect: object, assets: list[str], amounts: list[int]
) -> None:
    connection = await connect(played_url)  # type: ignore[operator]
    try:
        with pytest.raises(asyncpg.PostgresError) as refused:
            await connection.execute(POST, uuid4(), assets, amounts)
        assert refused.value.sqlstate == IMBALANCE
    finally:
        await connection.close()


async def test_two_entries_of_one_statement_do_not_balance_each_other(played_url: str) -> None:
    statement = (
        "INSERT INTO posting (bucket, entry_id, seq, kind, owner, asset, fund, amount) VALUES "
        "(0, $1, 0, 'player_wallet', 'player-1', 'EUR', 'cash', 5), "
        "(0, $2, 0, 'player_wallet', 'player-1', 'EUR', 'cash', -5)"
    )
    connection = await connect_app(played_url)
    try:
        with pytest.raises(asyncpg.PostgresError) as refused:
            await connection.execute(statement, uuid4(), uuid4())
        assert refused.value.sqlstate == IMBALANCE
    finally:
        await connection.close()


async def test_a_wallet_below_zero_is_refused_by_the_database_itself(played_url: str) -> None:
    connection = await connect_app(played_url)
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="wallet_is_never_negative"):
            await connection.execute("UPDATE account SET balance = -1 WHERE kind = 'player_wallet'")
    finally:
        await connection.close()


async def test_clearing_without_its_session_is_refused(played_url: str) -> None:
    statement = (
        "INSERT INTO posting (bucket, entry_id, seq, kind, owner, asset, fund, amount) VALUES "
        "(0, $1, 0, 'operator_clearing', '', 'EUR', '', 5), (0, $1, 1, 'player_wallet', 'player-1', 'EUR', 'cash', -5)"
    )
    connection = await connect_app(played_url)
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="clearing_carries_its_session"):
            await connection.execute(statement, uuid4())
    finally:
        await connection.close()


async def test_a_reference_exists_once(played_url: str) -> None:
    statement = (
        "INSERT INTO money_reference "
        "(provider, reference, bucket, action, player_id, status, code, request_id, recorded_at) "
        "SELECT provider, reference, 3, 'win', 'player-2', 'approved', 'ok', $1, $2 FROM money_reference LIMIT 1"
    )
    connection = await connect_app(played_url)
    try:
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(statement, uuid4(), NOW)
    finally:
        await connection.close()
