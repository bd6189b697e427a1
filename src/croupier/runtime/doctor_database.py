"""The part of `croupier doctor` that looks at PostgreSQL: reads only, as the login that Croupier uses."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

from croupier.runtime import migrations
from croupier.runtime.config import Database
from croupier.runtime.database import (
    APP_ROLE,
    OWNER_ROLE,
    SCHEMA,
    DatabaseUrlError,
    connect_owner,
    redact_url,
)
from croupier.runtime.embedded_cluster import (
    SUPERUSER,
    Cluster,
    EmbeddedServerError,
    choose_account,
    installed_binaries,
    read_password,
)
from croupier.runtime.embedded_processes import read_postmaster_file, server_processes
from croupier.runtime.finding import Finding

EMBEDDED_DATABASE: Final = "croupier"
OLDEST_SERVER: Final = 15
SPLIT_MEMBERSHIP_VERSION: Final = 16
MOST_CLOCK_OFFSET_S: Final = 5.0
MIGRATE: Final = "run `croupier migrate`"

HISTORY: Final = (
    "journal_entry",
    "posting",
    "session_event",
    "audit_record",
    "breaker_change",
    "eligibility_decision",
    "play_terms",
    "flag_change",
    "cutover_record",
)
"""Tables that the application may add to and never change."""

TRIGGERS: Final = {
    "journal_entry_is_append_only": "journal_entry",
    "posting_is_append_only": "posting",
    "session_event_is_append_only": "session_event",
    "posting_sums_to_zero": "posting",
    "audit_record_is_append_only": "audit_record",
    "revoked_key_stays_revoked": "provider_key",
    "provider_key_is_kept": "provider_key",
    "delivery_is_kept_as_it_came": "delivery",
    "lifted_restriction_stays_lifted": "player_restriction",
    "player_restriction_is_kept": "player_restriction",
    "breaker_change_is_append_only": "breaker_change",
    "resolved_outcome_stays_resolved": "unknown_outcome",
    "unknown_outcome_is_kept": "unknown_outcome",
    "eligibility_decision_is_append_only": "eligibility_decision",
    "play_terms_are_append_only": "play_terms",
    "flag_change_is_append_only": "flag_change",
    "cutover_record_is_append_only": "cutover_record",
    "wallet_call_is_kept": "wallet_call",
    "settled_call_stays_settled": "wallet_call",
    "wallet_agreement_is_kept": "wallet_agreement",
}
"""The guards in the database itself, with their tables."""

UNREACHABLE: Final = (
    OSError,
    TimeoutError,
    DatabaseUrlError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)

_SELECT_TABLES: Final = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relname = ANY($2)"""

_SELECT_EXCESS_RIGHTS: Final = """
SELECT c.relname AS "table", string_agg(wanted, ', ' ORDER BY wanted) AS rights
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
       unnest(ARRAY['DELETE', 'TRUNCATE', 'UPDATE']) AS wanted
 WHERE n.nspname = $1 AND c.relname = ANY($2)
   AND (has_table_privilege($3, c.oid, wanted)
        OR wanted = 'UPDATE' AND has_any_column_privilege($3, c.oid, 'UPDATE'))
 GROUP BY c.relname ORDER BY c.relname"""

_SELECT_ACTIVE_TRIGGERS: Final = """
SELECT c.relname, t.tgname, t.tgenabled IN ('O', 'A') AS is_enabled
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND NOT t.tgisinternal"""

_SELECT_SETTINGS: Final = """
SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('session_replication_role') AS session_replication_role"""

_DURABLE: Final = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply"),
    "session_replication_role": ("origin",),
}
"""Settings without which a committed answer could be lost, or a guard passed by, and their good values."""


def find_running_url(database: Database) -> str | None:
    """Where the database can be asked now; None for an embedded server that is not running or cannot be judged."""
    if not database.is_embedded:
        return database.url
    try:
        cluster = _existing_cluster(database.embedded_folder)
        return _running_url(cluster) if server_processes(cluster) else None
    except (EmbeddedServerError, OSError):
        return None


async def examine_database(database: Database) -> list[Finding]:
    """Everything about the database; a stopped embedded server is judged by what it needs to start."""
    if not database.is_embedded:
        return await examine_server(database.url, is_embedded=False)
    folder = database.embedded_folder
    try:
        cluster = _existing_cluster(folder)
        if not server_processes(cluster):
            return [_examine_stopped(folder)]
        return await examine_server(_running_url(cluster), is_embedded=True)
    except (EmbeddedServerError, OSError) as error:
        return [Finding.fail("database", str(error), f"repair or remove {folder}, then try again")]


def _existing_cluster(folder: Path) -> Cluster:
    """The embedded server's cluster without making its folder or copying binaries."""
    resolved = folder.resolve()
    return Cluster(folder=resolved, account=choose_account(resolved), bin_folder=installed_binaries())


def _examine_stopped(folder: Path) -> Finding:
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        fix = f"make {place} a folder that this user can write, or set CROUPIER_DATABASE_DATA_DIR"
        return Finding.fail("database", f"the data folder {folder} cannot be written", fix)
    return Finding.ok("database", f"embedded in {folder}, not running now; `croupier serve` starts it")


def _running_url(cluster: Cluster) -> str:
    postmaster = read_postmaster_file(cluster)
    if postmaster is None:
        raise EmbeddedServerError(f"the embedded server in {cluster.folder} is starting or stopping")
    account = f"{SUPERUSER}:{read_password(cluster)}"
    return f"postgresql://{account}@127.0.0.1:{postmaster[1]}/{EMBEDDED_DATABASE}?sslmode=disable"


async def examine_server(url: str, *, is_embedded: bool) -> list[Finding]:
    """Connect and look; one finding when that is impossible."""
    shown = redact_url(url)
    try:
        async with _connected(url) as connection:
            findings = [Finding.ok("database", f"{shown} answers")]
            findings += await _examine_connection(connection, is_embedded=is_embedded)
            return findings
    except asyncpg.InvalidCatalogNameError:
        fix = MIGRATE if is_embedded else f"create the database, then {MIGRATE}"
        return [Finding.fail("database", f"{shown}: there is no such database", fix)]
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        fix = "correct user and password in CROUPIER_DATABASE_URL, or the server's pg_hba.conf"
        return [Finding.fail("database", f"{shown} refuses the login: {error}", fix)]
    except UNREACHABLE as error:
        reason = str(error) or type(error).__name__
        fix = "start PostgreSQL, or correct host and port in [database] url or CROUPIER_DATABASE_URL"
        return [Finding.fail("database", f"{shown} cannot be used: {reason}", fix)]


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect_owner(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _examine_connection(connection: asyncpg.Connection, *, is_embedded: bool) -> list[Finding]:
    findings = [
        _examine_version(connection),
        await _examine_clock(connection),
        *await _examine_durability(connection),
    ]
    roles = await _examine_roles(connection, is_embedded=is_embedded)
    findings += roles
    if any(finding.status == "fail" for finding in roles):
        return findings
    findings.append(await _examine_migrations(connection))
    existing = {row[0] for row in await connection.fetch(_SELECT_TABLES, SCHEMA, list(HISTORY))}
    if missing := [table for table in HISTORY if table not in existing]:
        detail = f"missing tables: {', '.join(missing)}"
        return [*findings, Finding.fail("schema", detail, MIGRATE)]
    findings += await _examine_rights(connection)
    findings += await _examine_triggers(connection)
    return findings


def _examine_version(connection: asyncpg.Connection) -> Finding:
    version = connection.get_server_version()
    shown = f"PostgreSQL {version.major}.{version.minor}"
    if version.major < OLDEST_SERVER:
        return Finding.fail(
            "server version", f"{shown} is too old", f"use PostgreSQL {OLDEST_SERVER} or newer"
        )
    return Finding.ok("server version", shown)


async def _examine_clock(connection: asyncpg.Connection) -> Finding:
    """Compare with the middle of the question's round trip."""
    before = datetime.now(UTC)
    theirs: datetime = await connection.fetchval("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    return judge_clock((theirs - (before + (after - before) / 2)).total_seconds())


def judge_clock(offset_s: float) -> Finding:
    """Signatures and timeouts are judged by our clock, expiry partly by the database's."""
    shown = f"the database's clock is {offset_s:+.3f} s off ours"
    if abs(offset_s) >= MOST_CLOCK_OFFSET_S:
        return Finding.fail("clock", shown, "run a time service (chrony, systemd-timesyncd) on both hosts")
    return Finding.ok("clock", shown)


async def _examine_durability(connection: asyncpg.Connection) -> list[Finding]:
    values = await connection.fetchrow(_SELECT_SETTINGS)
    wrong = [
        Finding.fail(
            "durability",
            f"{name} is {values[name]}",
            f"set {name} = {good[0]} in postgresql.conf and reload, or ALTER ROLE … RESET {name}",
        )
        for name, good in _DURABLE.items()
        if values[name] not in good
    ]
    return wrong or [Finding.ok("durability", "fsync, full_page_writes and synchronous_commit are on")]


async def _examine_roles(connection: asyncpg.Connection, *, is_embedded: bool) -> list[Finding]:
    rows = await connection.fetch("SELECT rolname, rolsuper FROM pg_roles WHERE rolname LIKE 'croupier%'")
    is_super = {row["rolname"]: row["rolsuper"] for row in rows}
    if missing := [role for role in (APP_ROLE, OWNER_ROLE) if role not in is_super]:
        return [Finding.fail("roles", f"missing: {', '.join(missing)}", MIGRATE)]
    login = await connection.fetchval("SELECT session_user::text")
    if not await _may_become(connection, APP_ROLE):
        fix = f'as a superuser run: GRANT {APP_ROLE} TO "{login}"'
        return [Finding.fail("roles", f"login {login} may not act as {APP_ROLE}", fix)]
    wrong = []
    if is_super[APP_ROLE]:
        wrong.append(
            Finding.fail("roles", f"{APP_ROLE} is a superuser", f"run: ALTER ROLE {APP_ROLE} NOSUPERUSER")
        )
    if await connection.fetchval("SELECT pg_has_role($1, $2, 'MEMBER')", APP_ROLE, OWNER_ROLE):
        fix = f"run: REVOKE {OWNER_ROLE} FROM {APP_ROLE}"
        wrong.append(Finding.fail("roles", f"{APP_ROLE} may act as {OWNER_ROLE}", fix))
    if not is_embedded and await _may_become(connection, OWNER_ROLE):
        fix = f"give the url a login with {APP_ROLE} only, and migrations their own in [database] owner_url"
        wrong.append(Finding.warn("roles", f"the serving login {login} may act as {OWNER_ROLE}", fix))
    return wrong or [Finding.ok("roles", f"{APP_ROLE} and {OWNER_ROLE} exist and are separate")]


async def _may_become(connection: asyncpg.Connection, role: str) -> bool:
    right = "SET" if connection.get_server_version().major >= SPLIT_MEMBERSHIP_VERSION else "MEMBER"
    return bool(await connection.fetchval("SELECT pg_has_role(session_user, $1, $2)", role, right))


async def _examine_migrations(connection: asyncpg.Connection) -> Finding:
    """As the application, which may read the list of what is applied whatever the login inherits."""
    await connection.execute(f"SET ROLE {APP_ROLE}")
    try:
        pending = await migrations.check(connection)
    except migrations.ChangedMigrationError as error:
        return Finding.fail("migrations", str(error), "install the version that made this database")
    except asyncpg.PostgresError as error:
        return Finding.fail("migrations", f"cannot be read: {error}", MIGRATE)
    finally:
        await connection.execute("RESET ROLE")
    if pending:
        return Finding.fail("migrations", f"pending: {', '.join(one.file for one in pending)}", MIGRATE)
    return Finding.ok("migrations", "all are applied")


async def _examine_rights(connection: asyncpg.Connection) -> list[Finding]:
    rows = await connection.fetch(_SELECT_EXCESS_RIGHTS, SCHEMA, list(HISTORY), APP_ROLE)
    if not rows:
        return [Finding.ok("append-only rights", f"{APP_ROLE} can add to history and not change it")]
    return [
        Finding.fail(
            "append-only rights",
            f"{APP_ROLE} holds {row['rights']} on {row['table']}",
            f"as {OWNER_ROLE} run: REVOKE {row['rights']} ON {SCHEMA}.{row['table']} FROM {APP_ROLE}, PUBLIC",
        )
        for row in rows
    ]


async def _examine_triggers(connection: asyncpg.Connection) -> list[Finding]:
    rows = await connection.fetch(_SELECT_ACTIVE_TRIGGERS, SCHEMA)
    is_enabled = {(row["tgname"], row["relname"]): row["is_enabled"] for row in rows}
    wrong = [
        _explain_trigger(*guard, exists=guard in is_enabled)
        for guard in TRIGGERS.items()
        if not is_enabled.get(guard)
    ]
    return wrong or [Finding.ok("database guards", "zero-sum and append-only triggers are on")]


def _explain_trigger(name: str, table: str, *, exists: bool) -> Finding:
    if exists:
        command = f"ALTER TABLE {SCHEMA}.{table} ENABLE TRIGGER {name}"
        fix = f"as {OWNER_ROLE} run: {command}; then `croupier ledger check`"
        return Finding.fail("database guards", f"trigger {name} on {table} is disabled", fix)
    fix = f"create {name} again as its migration does (runtime/migrations), then `croupier ledger check`"
    return Finding.fail("database guards", f"trigger {name} on {table} is gone", fix)
