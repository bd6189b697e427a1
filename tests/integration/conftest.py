"""Databases for tests: a migrated template made once per run, cloned for each test and dropped after it."""

import asyncio
import fcntl
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest

from croupier.runtime import migrations
from croupier.runtime.database import connect_owner, ensure_database, with_database
from croupier.runtime.embedded import EmbeddedServer

# This server holds nothing that must survive. Crash tests start servers of their own with the defaults.
TEST_SERVER_SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}

# Kept until the process ends: the server outlives the worker that started it, and the session stops it.
HELD_SERVERS: list[EmbeddedServer] = []


@pytest.fixture(scope="session")
def postgres_url(run_folder: Path) -> str:
    """URL of the maintenance database of the run's server, as a login that may create databases and roles."""
    if given := os.environ.get("DATABASE_URL"):
        return with_database(given, "postgres")
    return asyncio.run(_start_server(run_folder / "postgres"))


async def _start_server(folder: Path) -> str:
    server = EmbeddedServer(folder, settings=TEST_SERVER_SETTINGS)
    await server.start()
    HELD_SERVERS.append(server)
    return server.url()


@pytest.fixture(scope="session")
def template_database(postgres_url: str, run_folder: Path) -> str:
    """Name of a migrated database without connections; the first worker makes it, the session drops it."""
    name = f"template_of_{run_folder.name}"
    with _exclusive(run_folder / "template.lock"):
        marker = run_folder / "template.made"
        if not marker.exists():
            asyncio.run(_make_template(postgres_url, name))
            marker.touch()
    return name


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def _make_template(postgres_url: str, name: str) -> None:
    connection = await connect_owner(await ensure_database(postgres_url, name))
    try:
        await migrations.apply(connection)
    finally:
        await connection.close()


@pytest.fixture
async def database_url(postgres_url: str, template_database: str) -> AsyncIterator[str]:
    """URL of a fresh database with the whole schema; dropped after the test."""
    async with _temporary_database(postgres_url, f'TEMPLATE "{template_database}"') as url:
        yield url


@pytest.fixture
async def empty_database_url(postgres_url: str) -> AsyncIterator[str]:
    """URL of a fresh database without anything in it; dropped after the test."""
    async with _temporary_database(postgres_url, "TEMPLATE template0") as url:
        yield url


@asynccontextmanager
async def _temporary_database(postgres_url: str, options: str) -> AsyncIterator[str]:
    name = f"test_{secrets.token_hex(8)}"
    await _execute(postgres_url, f'CREATE DATABASE "{name}" {options}')
    try:
        yield with_database(postgres_url, name)
    finally:
        await _drop_database(postgres_url, name)


async def _drop_database(postgres_url: str, name: str) -> None:
    await _execute(postgres_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.fixture
def wait_until() -> Callable[..., Awaitable[None]]:
    """`await wait_until(condition)`: poll an awaitable condition until it is true, at most ten seconds."""

    async def wait(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while True:
                answer = condition()
                if await answer if asyncio.iscoroutine(answer) else answer:
                    return
                await asyncio.sleep(0.01)

    return wait
