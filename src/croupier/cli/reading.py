"""Running a reading command's work against the configured database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import typer

from croupier.cli.output import CommandFailed
from croupier.cli.settings import settings_of
from croupier.runtime.open_database import open_database

T = TypeVar("T")


def read_database(ctx: typer.Context, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """What `work` finds in the database of this run's configuration, with the application's rights.

    Raises ConfigProblems, DatabaseUnavailable, and CommandFailed when a statement takes longer than allowed.
    """
    config = settings_of(ctx).read_config()

    async def run() -> T:
        async with open_database(config) as connection:
            return await work(connection)

    try:
        return asyncio.run(run())
    except asyncpg.QueryCanceledError as error:
        raise CommandFailed(f"the database took too long ({error}); narrow the search") from error
