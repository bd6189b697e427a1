"""The configured database opened by a command: an existing one, running or not, and never a new one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from croupier.runtime.config import Config
from croupier.runtime.database import DatabaseUrlError, connect_app, redact_url
from croupier.runtime.embedded import EmbeddedServer, EmbeddedServerError

EMBEDDED_DATABASE: Final = "croupier"
APPLICATION: Final = "croupier-command"

_NOT_MIGRATED: Final = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)


class DatabaseUnavailable(Exception):
    """The database cannot be used as it is; the text says why and what to do, and holds no password."""


@asynccontextmanager
async def open_database_url(config: Config) -> AsyncIterator[str]:
    """The URL of the deployment's database; an embedded server that nobody runs is started meanwhile.

    Raises DatabaseUnavailable when an embedded one was never made, or does not start.
    """
    if not config.database.is_embedded:
        yield config.database.url
        return
    folder = config.database.embedded_folder
    if not folder.is_dir():
        raise DatabaseUnavailable(
            f"there is no database in {folder}; `croupier serve` makes one, "
            "--config names another configuration"
        )
    server = EmbeddedServer(folder)
    try:
        await server.start()
    except EmbeddedServerError as error:
        raise DatabaseUnavailable(str(error)) from error
    try:
        yield server.url(EMBEDDED_DATABASE)
    finally:
        await server.stop("smart")


@asynccontextmanager
async def open_database(config: Config) -> AsyncIterator[asyncpg.Connection]:
    """One connection to the deployment's database with the application's rights.

    Raises DatabaseUnavailable for whatever prevents that, also for a schema that turns out to be missing.
    """
    async with open_database_url(config) as url, open_connection(url) as connection:
        yield connection


@asynccontextmanager
async def open_connection(url: str) -> AsyncIterator[asyncpg.Connection]:
    """The same for a URL that is open already."""
    connection = await _connect(url)
    try:
        yield connection
    except _NOT_MIGRATED as error:
        raise DatabaseUnavailable(f"the schema is not there ({error}); run `croupier migrate`") from error
    except (asyncpg.PostgresConnectionError, ConnectionError) as error:
        raise DatabaseUnavailable(f"{redact_url(url)} went away: {error}") from error
    finally:
        await connection.close()


async def _connect(url: str) -> asyncpg.Connection:
    try:
        return await connect_app(url, application_name=APPLICATION)
    except asyncpg.InvalidCatalogNameError as error:
        raise DatabaseUnavailable(
            f"{redact_url(url)}: there is no such database; run `croupier migrate`"
        ) from error
    except asyncpg.InvalidParameterValueError as error:
        raise DatabaseUnavailable(
            f"{redact_url(url)} is not set up ({error}); run `croupier migrate`"
        ) from error
    except (OSError, TimeoutError, DatabaseUrlError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = str(error) or type(error).__name__
        raise DatabaseUnavailable(f"{redact_url(url)} cannot be used: {reason}") from error
