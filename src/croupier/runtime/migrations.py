"""Schema migrations: plain SQL files in two phases, one migrator at a time, bounded waits for locks.

Files are `migrations/NNNN_name.pre.sql` (before the new code is deployed) and `NNNN_name.post.sql` (after
it), made of the named blocks of `statements`. Every statement is its own message, so that a hook may act
between two of them. A file is one transaction, unless its first line is `-- transaction: none`: such a file
may be interrupted between two statements and is then run again from its first, so write it to be repeatable
(`DROP INDEX CONCURRENTLY IF EXISTS …` before `CREATE INDEX CONCURRENTLY …`). Files run in the order of
their numbers, pre before post.

An applied file never changes: its SHA-256 is kept and compared. The migrating connection must be direct
(not through a transaction pooler), because the lock which keeps a second migrator waiting belongs to the
session.
"""

import asyncio
import importlib.resources
import random
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources.abc import Traversable
from typing import Final, Literal

import asyncpg
import msgspec

from croupier.runtime.database import APP_ROLE, OWNER_ROLE, SCHEMA
from croupier.runtime.database_roles import ensure_roles
from croupier.runtime.statements import Statement, StatementFileError, parse_statements
from croupier_signing.digest import payload_digest

Phase = Literal["pre", "post"]
PhaseChoice = Literal["pre", "post", "all"]

LOCK_TIMEOUT_S: Final = 5.0
LOCK_ATTEMPTS: Final = 5
RETRY_PAUSE_S: Final = 1.0
MIGRATOR_WAIT_S: Final = 120.0
MIGRATOR_POLL_S: Final = 0.1
# The letters CROUPIER as one number; advisory locks are per database, so one constant is enough.
MIGRATOR_LOCK: Final = 0x43524F5550494552

_FILE_NAME = re.compile(r"(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.(?P<phase>pre|post)\.sql")
_TRANSACTION_LINE = re.compile(r"\A\s*--[ \t]*transaction:[ \t]*(\S*)")
_PHASE_ORDER: Final[dict[Phase, int]] = {"pre": 0, "post": 1}

_CREATE_TABLE: Final = f"""
CREATE TABLE IF NOT EXISTS {SCHEMA}.croupier_migration (
    version    integer NOT NULL,
    phase      text NOT NULL CHECK (phase IN ('pre', 'post')),
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (version, phase)
)"""
_GRANT_TABLE: Final = f"GRANT SELECT ON {SCHEMA}.croupier_migration TO {APP_ROLE}"
_SELECT_APPLIED: Final = f"SELECT version, phase, name, checksum FROM {SCHEMA}.croupier_migration"
_INSERT_APPLIED: Final = (
    f"INSERT INTO {SCHEMA}.croupier_migration (version, phase, name, checksum) VALUES ($1, $2, $3, $4)"
)


class MigrationError(Exception):
    """A migration cannot be read or applied; the text names file and statement."""


class ChangedMigrationError(MigrationError):
    """A file differs from what was applied under its number."""


class BlockedMigrationError(MigrationError):
    """A statement did not get its lock within all its attempts, or another migrator did not finish."""


class MigrationOrderError(MigrationError):
    """The asked phase cannot run before a pending file of the other phase."""


class Migration(msgspec.Struct, frozen=True):
    """One migration file; `checksum` is the SHA-256 of its bytes."""

    version: int
    phase: Phase
    name: str
    file: str
    checksum: str
    is_transactional: bool
    statements: tuple[Statement, ...]

    @property
    def key(self) -> tuple[int, int]:
        return self.version, _PHASE_ORDER[self.phase]


def packaged_migrations() -> tuple[Migration, ...]:
    """Croupier's own migrations, in order."""
    return read_migrations(importlib.resources.files("croupier.runtime").joinpath("migrations"))


def read_migrations(folder: Traversable) -> tuple[Migration, ...]:
    """Read a folder of migration files, in order; MigrationError on a stray name or a number used twice."""
    found: dict[tuple[int, int], Migration] = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if not path.name.endswith(".sql"):
            continue
        migration = parse_migration(path.name, path.read_bytes())
        if migration.key in found:
            raise MigrationError(
                f"{migration.file} and {found[migration.key].file} share a number and a phase"
            )
        found[migration.key] = migration
    return tuple(found[key] for key in sorted(found))


def parse_migration(file: str, content: bytes) -> Migration:
    """Decode one file from its name and bytes; raises MigrationError."""
    match = _FILE_NAME.fullmatch(file)
    if match is None:
        raise MigrationError(f"{file}: migrations are named NNNN_name.pre.sql or NNNN_name.post.sql")
    text = content.decode("utf-8")
    mode = _TRANSACTION_LINE.match(text)
    if mode is not None and mode[1] != "none":
        raise MigrationError(f"{file}: `-- transaction: {mode[1]}` is unknown; only `none` can be asked for")
    try:
        statements = tuple(parse_statements(text, source=file).values())
    except StatementFileError as error:
        raise MigrationError(str(error)) from error
    return Migration(
        version=int(match["version"]),
        phase="pre" if match["phase"] == "pre" else "post",
        name=match["name"],
        file=file,
        checksum=payload_digest(content),
        is_transactional=mode is None,
        statements=statements,
    )


async def plan(
    connection: asyncpg.Connection, *, migrations: Sequence[Migration] | None = None
) -> tuple[Migration, ...]:
    """The files still to be applied, in order; reads only.

    Raises ChangedMigrationError. Rows without a file are left alone: during a deploy old code runs
    on a newer schema.
    """
    known = packaged_migrations() if migrations is None else migrations
    applied = await _load_applied(connection)
    changed = [m.file for m in known if applied.get((m.version, m.phase), m.checksum) != m.checksum]
    if changed:
        raise ChangedMigrationError(
            f"changed since it was applied: {', '.join(changed)}; restore it and write a new file instead"
        )
    return tuple(m for m in known if (m.version, m.phase) not in applied)


check = plan


async def apply(
    connection: asyncpg.Connection,
    *,
    phase: PhaseChoice = "all",
    migrations: Sequence[Migration] | None = None,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    attempts: int = LOCK_ATTEMPTS,
    retry_pause_s: float = RETRY_PAUSE_S,
    wait_s: float = MIGRATOR_WAIT_S,
) -> tuple[Migration, ...]:
    """Make roles and schema, then apply as croupier_owner what is pending of the phase; return that.

    A second migrator waits `wait_s` at most and then finds nothing to do. Raises MigrationError,
    RolesMissingError, asyncpg.PostgresError for a statement that is wrong (with a note naming it).
    """
    async with _migrator_lock(connection, wait_s):
        await ensure_roles(connection)
        async with _as_owner(connection, lock_timeout_s):
            if not await _table_exists(connection):
                await connection.fetch(_CREATE_TABLE)
                await connection.fetch(_GRANT_TABLE)
            chosen = choose_phase(await plan(connection, migrations=migrations), phase)
            runner = _Runner(connection, attempts=attempts, retry_pause_s=retry_pause_s)
            for migration in chosen:
                await runner.run_file(migration)
    return chosen


def choose_phase(pending: Sequence[Migration], phase: PhaseChoice) -> tuple[Migration, ...]:
    """The pending files of one phase; MigrationOrderError when one of the other phase must come first."""
    if phase == "all":
        return tuple(pending)
    chosen = tuple(m for m in pending if m.phase == phase)
    for before in pending:
        if before.phase != phase and chosen and before.key < chosen[-1].key:
            raise MigrationOrderError(
                f"{before.file} comes before {chosen[-1].file}: finish the earlier deployment first, "
                "or apply all phases while nothing else runs"
            )
    return chosen


class _Runner:
    """Applies files on one connection, retrying what a lock delays."""

    def __init__(self, connection: asyncpg.Connection, *, attempts: int, retry_pause_s: float) -> None:
        self._connection = connection
        self._attempts = attempts
        self._retry_pause_s = retry_pause_s

    async def run_file(self, migration: Migration) -> None:
        if migration.is_transactional:
            await self._with_retries(partial(self._apply_in_transaction, migration))
            return
        for statement in migration.statements:
            await self._with_retries(partial(self._execute, migration, statement))
        await self._insert_applied(migration)

    async def _apply_in_transaction(self, migration: Migration) -> None:
        async with self._connection.transaction():
            for statement in migration.statements:
                await self._execute(migration, statement)
            await self._insert_applied(migration)

    async def _execute(self, migration: Migration, statement: Statement) -> None:
        """Run one statement through the extended protocol, which refuses a second one in the same message."""
        where = f"{migration.file}, statement {statement.name}"
        try:
            await self._connection.fetch(statement.sql)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            raise BlockedMigrationError(f"{where}: {error}") from error
        except asyncpg.PostgresError as error:
            error.add_note(where)
            raise

    async def _with_retries(self, step: Callable[[], Awaitable[None]]) -> None:
        for attempt in range(1, self._attempts + 1):
            try:
                return await step()
            except BlockedMigrationError as error:
                if attempt == self._attempts:
                    raise BlockedMigrationError(
                        f"{error}, {attempt} times; end the transactions that hold the table "
                        "(pg_stat_activity, pg_blocking_pids) and migrate again"
                    ) from error
            await asyncio.sleep(self._retry_pause_s * attempt * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
        raise ValueError("attempts must be at least 1")

    async def _insert_applied(self, migration: Migration) -> None:
        facts = (migration.version, migration.phase, migration.name, migration.checksum)
        await self._connection.execute(_INSERT_APPLIED, *facts)


@asynccontextmanager
async def _migrator_lock(connection: asyncpg.Connection, wait_s: float) -> AsyncIterator[None]:
    """Hold the migrator's session lock; asks again and again, since a waiting statement's snapshot would make
    the other migrator's CREATE INDEX CONCURRENTLY wait for us."""
    deadline = time.monotonic() + wait_s
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", MIGRATOR_LOCK):
        if time.monotonic() > deadline:
            raise BlockedMigrationError(f"another migrator has been at work for {wait_s:g} s")
        await asyncio.sleep(MIGRATOR_POLL_S)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATOR_LOCK)


@asynccontextmanager
async def _as_owner(connection: asyncpg.Connection, lock_timeout_s: float) -> AsyncIterator[None]:
    """Act as croupier_owner in schema croupier, then give the connection back as it was."""
    await connection.execute(f"SET ROLE {OWNER_ROLE}")
    await connection.execute(f"SET search_path = {SCHEMA}")
    await connection.execute(f"SET lock_timeout = {round(lock_timeout_s * 1000)}")
    try:
        yield
    finally:
        if not connection.is_closed():
            for setting in ("lock_timeout", "search_path", "role"):
                await connection.execute(f"RESET {setting}")


async def _table_exists(connection: asyncpg.Connection) -> bool:
    found = await connection.fetchval(
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = $1 AND c.relname = 'croupier_migration'",
        SCHEMA,
    )
    return found is not None


async def _load_applied(connection: asyncpg.Connection) -> dict[tuple[int, str], str]:
    """(version, phase) → checksum of what is applied."""
    if not await _table_exists(connection):
        return {}
    rows = await connection.fetch(_SELECT_APPLIED)
    return {(row["version"], row["phase"]): row["checksum"] for row in rows}
