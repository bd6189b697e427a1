"""Connections to PostgreSQL: settings, roles and limits of each kind of connection, in one place.

Application connections act as `croupier_app`, which holds no right to change history (see `migrations`);
the login in the URL only has to be a member of that role.
"""

from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

import asyncpg

SCHEMA: Final = "croupier"
APP_ROLE: Final = "croupier_app"
OWNER_ROLE: Final = "croupier_owner"

CONNECT_TIMEOUT_S: Final = 10.0
SILENCE_S: Final = 5.0
APP_STATEMENT_TIMEOUT_MS: Final = 10_000
APP_LOCK_TIMEOUT_MS: Final = 5_000
LANE_LOCK_TIMEOUT_MS: Final = 1_000
APP_IDLE_IN_TRANSACTION_TIMEOUT_MS: Final = 15_000
OWNER_LOCK_TIMEOUT_MS: Final = 5_000
OWNER_IDLE_IN_TRANSACTION_TIMEOUT_MS: Final = 60_000

_MASK: Final = "***"
_SECRET_PARAMETERS: Final = frozenset({"password", "sslpassword"})

# Stable plans whatever the batch: plans cached on empty tables made the same code swing by a factor of two.
# Every statement of a lane looks rows up by key, so a nested loop over the batch is always the right join.
_LANE_SETTINGS: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_material": "off",
    "jit": "off",
    # A stuck wallet is found by halving the batch, and each half waits once: keep the wait short.
    "lock_timeout": str(LANE_LOCK_TIMEOUT_MS),
    # What is acknowledged is durable, whatever a role or a database sets as its default.
    "synchronous_commit": "on",
}


class DatabaseUrlError(ValueError):
    """The configured database URL cannot be used; the text hides its password."""


def require_database_url(url: str) -> str:
    """The URL itself if it is a PostgreSQL URL; raises DatabaseUrlError which says what would be right."""
    parts = _split(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise DatabaseUrlError(
            f"database url {redact_url(url)!r} must begin with postgresql:// "
            '(for example postgresql://user@host:5432/croupier), or be "embedded"'
        )
    return url


def redact_url(url: str) -> str:
    """The URL without passwords, for logs and error texts; total: any text gives something harmless."""
    if "://" not in url:
        return url if url.isalnum() else _MASK
    try:
        parts = urlsplit(url)
    except ValueError:
        return _MASK
    account, at, host = parts.netloc.rpartition("@")
    user, colon, _ = account.partition(":")
    query = [(name, _MASK if name in _SECRET_PARAMETERS else value) for name, value in parse_qsl(parts.query)]
    netloc = f"{user}{colon}{_MASK if colon else ''}{at}{host}"
    return urlunsplit((parts.scheme, netloc, parts.path, urlencode(query, safe="*/:"), ""))


def with_database(url: str, database: str) -> str:
    """The same server and login, another database."""
    return urlunsplit(_split(require_database_url(url))._replace(path="/" + quote(database, safe="")))


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise DatabaseUrlError(f"database url is malformed: {error}") from None


def app_settings(*, lane: bool, application_name: str) -> dict[str, str]:
    """Server settings of an application connection; `lane` adds the plan settings of the money path."""
    settings = {
        "application_name": application_name,
        "role": APP_ROLE,
        "search_path": SCHEMA,
        "timezone": "UTC",
        "statement_timeout": str(APP_STATEMENT_TIMEOUT_MS),
        "lock_timeout": str(APP_LOCK_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(APP_IDLE_IN_TRANSACTION_TIMEOUT_MS),
    }
    return settings | _LANE_SETTINGS if lane else settings


def owner_settings() -> dict[str, str]:
    """Server settings of the migrating connection: the login's own role, no limit on a statement's time."""
    return {
        "application_name": "croupier-migrate",
        "search_path": SCHEMA,
        "timezone": "UTC",
        "statement_timeout": "0",
        "lock_timeout": str(OWNER_LOCK_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(OWNER_IDLE_IN_TRANSACTION_TIMEOUT_MS),
    }


async def connect_app(
    url: str, *, lane: bool = False, application_name: str = "croupier", wallet_mode: str = "builtin"
) -> asyncpg.Connection:
    """One connection as croupier_app; a lane's connection plans the same way whatever the tables hold.

    `wallet_mode` says what the wallets are that it makes: `builtin`, or mirrors of the operator's own (`remote`).
    Raises DatabaseUrlError, OSError, TimeoutError or asyncpg.PostgresError.
    """
    settings = app_settings(lane=lane, application_name=application_name)
    settings["croupier.wallet_mode"] = wallet_mode
    return await asyncpg.connect(
        require_database_url(url),
        timeout=CONNECT_TIMEOUT_S,
        # A server that is gone without a word is noticed by us, a little later than it would notice by itself.
        command_timeout=APP_STATEMENT_TIMEOUT_MS / 1000 + SILENCE_S if lane else None,
        server_settings=settings,
    )


async def create_pool(
    url: str, *, min_size: int, max_size: int, application_name: str = "croupier-read"
) -> asyncpg.Pool:
    """An open pool of application connections for reads and for work outside the lanes."""
    settings = app_settings(lane=False, application_name=application_name)
    return await asyncpg.create_pool(
        require_database_url(url),
        min_size=min_size,
        max_size=max_size,
        timeout=CONNECT_TIMEOUT_S,
        server_settings=settings,
    )


async def connect_owner(url: str) -> asyncpg.Connection:
    """One connection as the login itself, for roles, migrations and `ledger check`; no role is taken yet."""
    return await asyncpg.connect(
        require_database_url(url), timeout=CONNECT_TIMEOUT_S, server_settings=owner_settings()
    )


async def ensure_database(admin_url: str, database: str) -> str:
    """Create the database unless it exists (two at once are fine) and return its URL."""
    connection = await asyncpg.connect(require_database_url(admin_url), timeout=CONNECT_TIMEOUT_S)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
            quoted = database.replace('"', '""')
            await connection.execute(f'CREATE DATABASE "{quoted}"')
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        pass  # Somebody else made it between our look and our command.
    finally:
        await connection.close()
    return with_database(admin_url, database)
