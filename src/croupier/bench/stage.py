"""Where a bench runs: a PostgreSQL of its own with durable settings, in a folder that is gone at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

import asyncpg
from msgspec import Struct

from croupier.runtime.database import connect_owner, ensure_database
from croupier.runtime.embedded import EmbeddedServer
from croupier.runtime.migrations import apply
from croupier.runtime.statements import load_statements

SQL: Final = load_statements("croupier/bench/stage.sql")
DURABLE: Final[Mapping[str, str]] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
}
"""Every commit is on disk when it is answered, and no checkpoint falls into a turn."""
TOLD: Final = (*DURABLE, "wal_level", "max_connections")
COMMITS: Final = 200


class Stage(Struct, frozen=True):
    """A running server and the folder that everything of the bench is in."""

    server: EmbeddedServer
    folder: Path

    async def make_database(self, name: str) -> str:
        """A new database with Croupier's schema; returns its URL, whose login owns it."""
        url = await ensure_database(self.server.url(), name)
        connection = await connect_owner(url)
        try:
            await apply(connection)
            for statement in SQL.values():
                if statement.name.startswith("create_"):
                    await connection.execute(statement.sql)
        finally:
            await connection.close()
        return url


@contextlib.asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Start the server; stop it and remove the folder at the end, whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="croupier-bench-"))
    try:
        async with EmbeddedServer(folder / "postgres", settings=DURABLE) as server:
            yield Stage(server, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def describe_machine(stage: Stage, url: str) -> dict[str, Any]:
    """What the numbers depend on: processor, memory, versions, settings, the time of one bare commit."""
    connection = await connect_owner(url)
    try:
        settings = {name: await connection.fetchval("SELECT current_setting($1)", name) for name in TOLD}
        version = await connection.fetchval("SELECT current_setting('server_version')")
        commits_us = [await commit_once_us(connection) for _ in range(COMMITS)]
    finally:
        await connection.close()
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "processor": await asyncio.to_thread(_processor),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "postgresql": version,
        "settings": settings,
        "filesystem": await asyncio.to_thread(_filesystem_of, stage.folder),
        "commit_p50_ms": round(median(commits_us) / 1000, 3),
    }


async def commit_once_us(connection: asyncpg.Connection) -> int:
    """Insert one small row and commit it; µs until the reply."""
    begun = time.perf_counter_ns()
    await connection.execute(SQL["insert_probe"].sql)
    return (time.perf_counter_ns() - begun) // 1000


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem_of(folder: Path) -> str:
    """The type of the mount that holds the data: on tmpfs a commit costs nothing and figures mean nothing."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [(len(point), kind) for point, kind in mounts if folder.is_relative_to(point)]
    return max(holding)[1] if holding else "unknown"
