"""The migration runner: order, one at a time, bounded locks, immutable files, roles."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from croupier.runtime import database_roles, migrations
from croupier.runtime.database import (
    DatabaseUrlError,
    connect_app,
    connect_owner,
    create_pool,
    redact_url,
    require_database_url,
)
from croupier.runtime.database_roles import RolesMissingError, ensure_roles, render_request
from croupier.runtime.migrations import (
    BlockedMigrationError,
    ChangedMigrationError,
    Migration,
    MigrationError,
    MigrationOrderError,
    read_migrations,
)

TABLE = "-- name: create_toy\n-- A table to change.\nCREATE TABLE toy (id integer PRIMARY KEY);\n"
COLUMN = "-- name: add_colour\n-- A column.\nALTER TABLE toy ADD COLUMN colour text;\n"


@pytest.fixture
async def owner(empty_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect_owner(empty_database_url)
    yield connection
    await connection.close()


def files(folder: Path, **contents: str) -> tuple[Migration, ...]:
    """Write `v0001_name_pre="…"` as 0001_name.pre.sql and read the folder."""
    for key, text in contents.items():
        stem, _, phase = key.removeprefix("v").rpartition("_")
        (folder / f"{stem}.{phase}.sql").write_text(text)
    return read_migrations(folder)


def names(applied: tuple[Migration, ...]) -> list[str]:
    return [migration.file for migration in applied]


async def test_own_migrations_apply_to_an_empty_database_and_then_nothing_is_left(
    owner: asyncpg.Connection,
) -> None:
    known = migrations.packaged_migrations()
    assert await migrations.plan(owner) == known
    assert await migrations.apply(owner) == known
    assert await migrations.check(owner) == ()
    assert await migrations.apply(owner) == ()


async def test_a_cloned_database_is_already_migrated(database_url: str) -> None:
    connection = await connect_app(database_url)
    assert await migrations.check(connection) == ()
    await connection.close()


async def test_phases_run_in_the_order_of_their_numbers(owner: asyncpg.Connection, tmp_path: Path) -> None:
    known = files(tmp_path, v0002_colour_pre=COLUMN, v0001_toy_pre=TABLE)
    assert names(known) == ["0001_toy.pre.sql", "0002_colour.pre.sql"]
    known = files(tmp_path, v0002_drop_post="-- name: drop\n-- Clean up.\nALTER TABLE toy DROP COLUMN colour")
    assert names(await migrations.apply(owner, phase="pre", migrations=known)) == names(known[:2])
    assert await migrations.plan(owner, migrations=known) == known[2:]
    assert await migrations.apply(owner, phase="post", migrations=known) == known[2:]
    rows = await owner.fetch(
        "SELECT version, phase, name FROM croupier.croupier_migration ORDER BY applied_at"
    )
    assert [tuple(row) for row in rows] == [(1, "pre", "toy"), (2, "pre", "colour"), (2, "post", "drop")]


async def test_a_phase_does_not_overtake_the_other(owner: asyncpg.Connection, tmp_path: Path) -> None:
    later = {"v0002_colour_pre": COLUMN, "v0001_note_post": "-- name: note\n-- Nothing.\nSELECT 1"}
    known = files(tmp_path, v0001_toy_pre=TABLE, **later)
    with pytest.raises(MigrationOrderError, match=r"0001_note.post.sql comes before 0002_colour.pre.sql"):
        await migrations.apply(owner, phase="pre", migrations=known)
    with pytest.raises(MigrationOrderError, match=r"0001_toy.pre.sql comes before 0001_note.post.sql"):
        await migrations.apply(owner, phase="post", migrations=known)
    assert await migrations.plan(owner, migrations=known) == known


async def test_a_failing_file_leaves_nothing_and_names_the_statement(
    owner: asyncpg.Connection, tmp_path: Path
) -> None:
    wrong = "-- name: fail\n-- Divide.\nSELECT 1 / 0;\n"
    known = files(tmp_path, v0001_toy_pre=TABLE + wrong)
    with pytest.raises(asyncpg.DivisionByZeroError) as caught:
        await migrations.apply(owner, migrations=known)
    assert caught.value.__notes__ == ["0001_toy.pre.sql, statement fail"]
    assert await owner.fetchval("SELECT to_regclass('croupier.toy')") is None
    assert await migrations.plan(owner, migrations=known) == known
    assert await owner.fetchval("SELECT current_user = session_user")


async def test_one_block_holds_one_statement_and_is_one_message(
    owner: asyncpg.Connection, tmp_path: Path
) -> None:
    known = files(tmp_path, v0001_toy_pre="-- name: two\n-- Two.\nSELECT 1; SELECT 2;")
    with pytest.raises(asyncpg.PostgresSyntaxError, match="multiple commands"):
        await migrations.apply(owner, migrations=known)
    seen: list[str] = []
    known = files(tmp_path, v0001_toy_pre=TABLE + COLUMN)
    with owner.query_logger(lambda record: seen.append(record.query)):
        await migrations.apply(owner, migrations=known)
    wanted = [statement.sql for statement in known[0].statements]
    assert [query for query in seen if "toy" in query] == wanted


async def test_a_changed_file_is_refused_by_name(owner: asyncpg.Connection, tmp_path: Path) -> None:
    await migrations.apply(owner, migrations=files(tmp_path, v0001_toy_pre=TABLE))
    known = files(tmp_path, v0001_toy_pre=TABLE + "-- changed\n", v0002_colour_pre=COLUMN)
    for act in (migrations.apply, migrations.plan, migrations.check):
        with pytest.raises(ChangedMigrationError, match=r"0001_toy\.pre\.sql"):
            await act(owner, migrations=known)


async def test_old_code_accepts_a_newer_schema(owner: asyncpg.Connection, tmp_path: Path) -> None:
    newer = files(tmp_path, v0001_toy_pre=TABLE, v0002_colour_pre=COLUMN)
    await migrations.apply(owner, migrations=newer)
    assert await migrations.check(owner, migrations=newer[:1]) == ()


async def test_two_migrators_at_once_apply_each_file_once(empty_database_url: str, tmp_path: Path) -> None:
    slow = "-- name: wait\n-- Long enough to overlap.\nSELECT pg_sleep(0.2)\n"
    known = files(tmp_path, v0001_toy_pre=TABLE + slow, v0002_colour_pre=COLUMN)
    first, second = await connect_owner(empty_database_url), await connect_owner(empty_database_url)
    applied = await asyncio.gather(*(migrations.apply(one, migrations=known) for one in (first, second)))
    await first.close()
    await second.close()
    assert sorted(applied, key=len) == [(), known]


async def test_waiting_for_another_migrator_is_bounded(
    owner: asyncpg.Connection, empty_database_url: str
) -> None:
    other = await connect_owner(empty_database_url)
    await other.execute("SELECT pg_advisory_lock($1)", migrations.MIGRATOR_LOCK)
    with pytest.raises(BlockedMigrationError, match="another migrator"):
        await migrations.apply(owner, migrations=(), wait_s=0.2)
    await other.close()


@asynccontextmanager
async def holding_toy(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Another session with an open transaction that read the table."""
    other = await connect_owner(url)
    try:
        await other.execute("BEGIN; SELECT * FROM croupier.toy")
        yield other
    finally:
        await other.close()


@pytest.mark.parametrize("mode", ["", "-- transaction: none\n"])
async def test_a_held_lock_ends_in_an_error_that_names_the_statement(
    owner: asyncpg.Connection, empty_database_url: str, tmp_path: Path, mode: str
) -> None:
    known = files(tmp_path, v0001_toy_pre=TABLE, v0002_colour_pre=mode + COLUMN)
    await migrations.apply(owner, migrations=known[:1])
    async with holding_toy(empty_database_url):
        with pytest.raises(
            BlockedMigrationError, match=r"0002_colour\.pre\.sql, statement add_colour.* 2 times"
        ):
            await migrations.apply(
                owner, migrations=known, lock_timeout_s=0.05, attempts=2, retry_pause_s=0.01
            )
    assert await migrations.apply(owner, migrations=known) == known[1:]


async def test_a_lock_released_between_attempts_lets_the_migration_through(
    owner: asyncpg.Connection,
    empty_database_url: str,
    tmp_path: Path,
    wait_until: Callable[..., Awaitable[None]],
) -> None:
    known = files(tmp_path, v0001_toy_pre=TABLE, v0002_colour_pre=COLUMN)
    await migrations.apply(owner, migrations=known[:1])
    async with holding_toy(empty_database_url) as holder:
        work = asyncio.create_task(
            migrations.apply(owner, migrations=known, lock_timeout_s=0.05, attempts=50, retry_pause_s=0.01)
        )
        waiting = (
            "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'croupier.toy'::regclass"
        )
        await wait_until(lambda: holder.fetchval(waiting))
        await holder.execute("ROLLBACK")
        assert await work == known[1:]


async def test_a_file_without_transaction_may_build_indexes_concurrently(
    owner: asyncpg.Connection, tmp_path: Path
) -> None:
    index = (
        "-- transaction: none\n-- name: drop_half_built\n-- After an interruption.\n"
        "DROP INDEX CONCURRENTLY IF EXISTS toy_twice;\n"
        "-- name: create_index\n-- While others write.\nCREATE INDEX CONCURRENTLY toy_twice ON toy ((id * 2))"
    )
    known = files(tmp_path, v0001_toy_pre=TABLE, v0002_index_post=index)
    assert await migrations.apply(owner, migrations=known) == known
    assert await owner.fetchval("SELECT to_regclass('croupier.toy_twice')::text") is not None


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("1_toy.pre.sql", TABLE, "are named NNNN_name"),
        ("0001_toy.sql", TABLE, "are named NNNN_name"),
        ("0001_toy.pre.sql", "-- transaction: maybe\n" + TABLE, "maybe"),
        ("0001_toy.pre.sql", "SELECT 1", "before the first"),
        ("0001_other.post.sql", TABLE, "share a number"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, file: str, text: str, complaint: str) -> None:
    (tmp_path / "0001_taken.post.sql").write_text(TABLE)
    (tmp_path / file).write_text(text)
    with pytest.raises(MigrationError, match=complaint):
        read_migrations(tmp_path)


async def test_the_owner_makes_tables_and_the_application_may_only_use_them(
    owner: asyncpg.Connection, empty_database_url: str, tmp_path: Path
) -> None:
    grant = "-- name: grant\n-- Use.\nGRANT SELECT ON toy TO croupier_app"
    await migrations.apply(owner, migrations=files(tmp_path, v0001_toy_pre=TABLE + grant))
    owned = "SELECT tableowner FROM pg_tables WHERE schemaname = 'croupier' AND tablename = 'toy'"
    assert await owner.fetchval(owned) == "croupier_owner"
    app = await connect_app(empty_database_url)
    assert await app.fetchval("SELECT current_user || ' ' || current_schema()") == "croupier_app croupier"
    assert await app.fetch("SELECT * FROM toy") == []
    for forbidden in ("INSERT INTO toy VALUES (1)", "CREATE TABLE mine (id int)", "DROP TABLE toy"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(forbidden)
    await app.close()


async def test_lanes_plan_stably_and_every_connection_is_bounded(database_url: str) -> None:
    lane = await connect_app(database_url, lane=True)
    shown = {
        name: await lane.fetchval(f"SHOW {name}") for name in ("plan_cache_mode", "enable_seqscan", "jit")
    }
    assert shown == {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "jit": "off"}
    await lane.close()
    pool = await create_pool(database_url, min_size=1, max_size=1)
    for _ in range(2):  # The second time shows that giving a connection back does not lose its settings.
        async with pool.acquire() as read:
            assert await read.fetchval("SELECT current_user") == "croupier_app"
            assert await read.fetchval("SHOW statement_timeout") == "10s"
            assert await read.fetchval("SHOW TimeZone") == "UTC"
            await read.execute("SET statement_timeout = 0")
    await pool.close()


@asynccontextmanager
async def login(admin_url: str, database_url: str, options: str) -> AsyncIterator[str]:
    """URL of the database as a new login which owns it, dropped afterwards with what it owns."""
    name, password = f"login_{secrets.token_hex(6)}", secrets.token_hex(8)
    admin = await connect_owner(admin_url)
    database = urlsplit(database_url).path[1:]
    await admin.execute(f"CREATE ROLE {name} LOGIN NOSUPERUSER PASSWORD '{password}' {options}")
    await admin.execute(f"GRANT {name} TO CURRENT_USER")
    await admin.execute(f'ALTER DATABASE "{database}" OWNER TO {name}')
    parts = urlsplit(database_url)
    address = parts.netloc.rpartition("@")[2]
    try:
        yield urlunsplit(parts._replace(netloc=f"{name}:{password}@{address}"))
    finally:
        await admin.execute(f'ALTER DATABASE "{database}" OWNER TO CURRENT_USER')
        await admin.execute(f"DROP ROLE {name}")
        await admin.close()


async def test_a_login_that_may_not_make_roles_gets_the_sql_for_its_administrator(
    postgres_url: str, empty_database_url: str
) -> None:
    async with login(postgres_url, empty_database_url, "NOCREATEROLE") as url:
        connection = await connect_owner(url)
        try:
            with pytest.raises(RolesMissingError) as caught:
                await ensure_roles(connection)
            name = urlsplit(url).username
            assert f"    GRANT croupier_owner TO {name};\n" in str(caught.value)
            assert "    CREATE SCHEMA croupier AUTHORIZATION croupier_owner;\n" in str(caught.value)
            script = str(caught.value).split(":\n", 1)[1]
            admin = await connect_owner(empty_database_url)
            await admin.execute(script)
            await admin.close()
            await ensure_roles(connection)
            await migrations.apply(connection)
        finally:
            await connection.close()
        app = await connect_app(url)
        assert await migrations.check(app) == ()
        await app.close()


def test_the_administrators_sql_is_one_transaction() -> None:
    text = render_request(["CREATE ROLE a", "GRANT a TO b"], database="shop", reason="permission denied")
    assert text.startswith(
        "permission denied. A superuser has to run this once in database shop:\n    BEGIN;\n"
    )
    assert text.endswith("    CREATE ROLE a;\n    GRANT a TO b;\n    COMMIT;\n")


async def test_a_login_that_may_make_roles_makes_them_even_in_several_sessions_at_once(
    postgres_url: str, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"croupier_{kind}_{secrets.token_hex(6)}" for kind in ("owner", "app")]
    monkeypatch.setattr(database_roles, "OWNER_ROLE", names[0])
    monkeypatch.setattr(database_roles, "APP_ROLE", names[1])
    monkeypatch.setattr(database_roles, "_ROLES", tuple(names))
    async with login(postgres_url, empty_database_url, "CREATEROLE") as url:
        connections = [await connect_owner(url) for _ in range(4)]
        await asyncio.gather(*(ensure_roles(connection) for connection in connections))
        for name in names:
            await connections[0].execute(f"SET ROLE {name}")
            assert await connections[0].fetchval("SELECT has_schema_privilege('croupier', 'USAGE')")
            await connections[0].execute("RESET ROLE")
        await connections[0].execute(f"DROP SCHEMA croupier; DROP ROLE {names[0]}, {names[1]}")
        for connection in connections:
            await connection.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:s3cret@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("postgres://me:s3:cr@et@db/x?sslmode=require", "postgres://me:***@db/x?sslmode=require"),
        (
            "postgresql://me@db/x?password=s3cret&application_name=a",
            "postgresql://me@db/x?password=***&application_name=a",
        ),
        ("postgresql://db/x", "postgresql://db/x"),
        ("me:s3cret@db", "***"),
        ("postgresql://[broken:s3cret", "***"),
    ],
)
def test_no_password_survives_redaction(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@pytest.mark.parametrize(
    "url", ["mysql://me:s3cret@db/x", "embedded", "", "me:s3cret@db", "postgresql://[broken:s3cret"]
)
def test_another_kind_of_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(DatabaseUrlError) as caught:
        require_database_url(url)
    assert "s3cret" not in str(caught.value)
