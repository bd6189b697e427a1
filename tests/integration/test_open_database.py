"""Commands that open the embedded database themselves: whether it runs or not, and never a new one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.runtime import migrations
from croupier.runtime.database import connect_owner, ensure_database
from croupier.runtime.embedded import EmbeddedServer
from croupier.runtime.embedded_processes import server_processes
from croupier.runtime.open_database import EMBEDDED_DATABASE


async def run_check(data_dir: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and document of `ledger check` on the embedded database of a folder."""
    result = await asyncio.to_thread(
        CliRunner().invoke,
        app,
        ["ledger", "check", "--json"],
        env={"CROUPIER_DATABASE_DATA_DIR": str(data_dir)},
    )
    return result.exit_code, json.loads(result.stdout)


async def test_the_embedded_database_is_opened_whether_it_runs_or_not(tmp_path: Path) -> None:
    exit_code, document = await run_check(tmp_path)
    assert exit_code == 1
    assert "there is no database" in document["error"]
    assert not (tmp_path / "postgres").exists()

    async with EmbeddedServer(tmp_path / "postgres") as server:
        exit_code, document = await run_check(tmp_path)
        assert (exit_code, "croupier migrate" in document["error"]) == (1, True)
        connection = await connect_owner(await ensure_database(server.url(), EMBEDDED_DATABASE))
        await migrations.apply(connection)
        await connection.close()
        assert (await run_check(tmp_path))[0] == 0
        again = await connect_owner(server.url())
        assert await again.fetchval("SELECT 1") == 1, "a command that only attached leaves the server running"
        await again.close()

    assert (await run_check(tmp_path))[0] == 0
    assert server_processes(server._started()) == [], "a command that started the server ends it"
