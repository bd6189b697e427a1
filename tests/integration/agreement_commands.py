"""Commands as somebody types them, about what was played with a wallet in a process of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from agreement_stage import AGO, OWNER, SECRET, AgreementStage, now, open_agreement_stage
from click.testing import Result
from msgspec import Struct
from typer.testing import CliRunner

from croupier.cli.main import app

CONFIG = """
environment = "test"

[wallet]
mode = "remote"
url = "{url}"
secret = "env:WALLET_KEY"
owner = "{owner}"
"""


class Site(Struct, frozen=True):
    """What was played, and how commands are run about it."""

    stage: AgreementStage
    config: Path

    async def run(self, *arguments: str) -> Result:
        """A command as somebody types it."""
        return await asyncio.to_thread(
            CliRunner().invoke,
            app,
            ["--config", str(self.config), *arguments],
            env={"CROUPIER_DATABASE_URL": self.stage.url, "WALLET_KEY": SECRET},
            catch_exceptions=False,
        )

    async def reconcile(self, *options: str) -> Result:
        """A comparison of everything that was played, by the wallet's right time."""
        await self.stage.service.control(reset=True, clock_skew_s=0)
        starts = now() - AGO - timedelta(minutes=30)
        return await self.run(*options, "reconcile", "wallet", "--from", starts.isoformat())

    async def document(self, code: int) -> dict[str, Any]:
        """The comparison's document."""
        ended = await self.reconcile("--json")
        assert ended.exit_code == code, ended.output
        read: dict[str, Any] = json.loads(ended.stdout)
        return read


@asynccontextmanager
async def open_command_site(url: str, folder: Path) -> AsyncIterator[Site]:
    """A stage, and a configuration in this folder that says of it."""
    async with open_agreement_stage(url) as stage:
        path = folder / "croupier.toml"
        path.write_text(CONFIG.format(url=stage.service.url, owner=OWNER))
        yield Site(stage, path)
