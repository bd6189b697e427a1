"""The demo as a whole: a deployment, a sandbox process, the players, a crash half way, and the judgement."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from croupier.demo.platform import Platform
from croupier.demo.play import Play
from croupier.demo.proofs import (
    Evidence,
    count_nonces,
    count_sessions,
    find_missing_bets,
    find_unaccounted,
    read_book,
)
from croupier.demo.providers import choose_providers, write_accounts
from croupier.demo.settings import NATIVE, DemoSettings
from croupier.demo.summary import build_summary, merge_counts
from croupier.runtime.config import Config
from croupier.runtime.config.starter import KEYS_FOLDER
from croupier.runtime.database import connect_app, connect_owner
from croupier.runtime.embedded import EmbeddedServer
from croupier.runtime.serving import Deployment
from croupier.runtime.statements import load_statements
from croupier.runtime.supervisor import DATABASE
from croupier.settlement.audit import check_ledger, replay_sessions

_SQL: Final = load_statements("croupier/demo/proofs.sql")
FINAL_S: Final = 60.0
POLL_S: Final = 0.1
STOP_S: Final = 15.0
RETRY_ROUNDS: Final = 20


class DemoFailed(Exception):
    """The demo could not be played to its end; the text says why."""


class Demo:
    """One demo in one folder."""

    def __init__(self, config: Config, folder: Path, settings: DemoSettings, console: Console) -> None:
        self._config = config
        self._folder = folder
        self._settings = settings
        self._console = console
        self._run = os.urandom(3).hex()
        self._crashes = 0
        self._gateway = f"http://{config.http.public}"
        self._sandbox = f"http://{config.sandbox.listen}"
        self.console_url = f"http://{config.http.admin}"
        self.deployment = Deployment(config, folder / "croupier.toml", workers=settings.workers)

    async def play(self) -> dict[str, Any]:
        """Play, judge, and return the summary. The deployment must be running."""
        token = (self._folder / KEYS_FOLDER / "operator.key").read_text().strip()
        async with self._sandbox_process(), Platform(self._gateway, token) as platform:
            started = time.monotonic()
            play = await self._play_with_progress(platform)
            played_s = time.monotonic() - started
            evidence = await self._gather(play)
        summary = build_summary(
            self._settings,
            play.reports,
            evidence,
            played_s=played_s,
            crashes=self._crashes,
            console_url=self.console_url,
        )
        if self.deployment.console is not None:
            self.deployment.console.summary = summary
        return summary

    async def forget_earlier_run(self) -> None:
        """Every demo begins with empty books; those of the one before it are removed. Call before it is deployed."""
        if not self._config.database.is_embedded:
            return
        async with EmbeddedServer(self._config.database.embedded_folder) as server:
            connection = await connect_owner(server.url())
            try:
                await connection.execute(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')
            finally:
                await connection.close()

    async def _play_with_progress(self, platform: Platform) -> Play:
        total = self._settings.players * self._settings.rounds
        columns = (
            TextColumn("playing"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("rounds"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, disable=not self._console.is_terminal) as bar:
            task = bar.add_task("play", total=total)
            done = 0

            def advance(rounds: int) -> None:
                nonlocal done
                done += rounds
                bar.advance(task, rounds)
                if self._crashes == 0 and done * 2 >= total:
                    self._kill_a_worker()

            play = Play(self._settings, platform, self._run, advance)
            await play.run()
        return play

    def _kill_a_worker(self) -> None:
        """SIGKILL, half way: the supervisor starts another one, and the sandbox repeats what was not answered."""
        worker = self.deployment.supervisor.workers[0]
        if worker.pid is not None:
            self._crashes += 1
            self._console.print(f"killing worker {worker.pid} (SIGKILL) while it serves")
            os.kill(worker.pid, signal.SIGKILL)

    async def _gather(self, play: Play) -> Evidence:
        async with aiohttp.ClientSession() as http:
            unresolved = await self._settle_unresolved(http)
            connection = await connect_app(self.deployment.supervisor.database_url)
            try:
                sessions = await self._wait_final(connection)
                acknowledged, unaccounted = await self._account_for_all(http, connection, play)
                return Evidence(
                    ledger=await check_ledger(connection),
                    replay=await replay_sessions(connection),
                    acknowledged=acknowledged,
                    unaccounted=tuple(unaccounted),
                    repeat_violations=sum(report["repeat_violations"] for report in play.reports),
                    unexpected=sum(report["unexpected"] for report in play.reports),
                    planted=dict(merge_counts(play.reports, "attacks", "planted")),
                    refused=dict(merge_counts(play.reports, "attacks", "refused")),
                    nonces_spent=await count_nonces(connection),
                    unresolved=unresolved,
                    sessions=sessions,
                    examples=tuple(example for report in play.reports for example in report["wrong"])[:10],
                )
            finally:
                await connection.close()

    async def _account_for_all(
        self, http: aiohttp.ClientSession, connection: Any, play: Play
    ) -> tuple[int, list[str]]:
        """How many decisions were acknowledged, and which of them, or whose wallets, the books do not bear out."""
        acknowledged, unaccounted = 0, []
        for provider in choose_providers():
            find = find_unaccounted if provider is NATIVE else find_missing_bets
            async for page in read_book(http, self._sandbox, provider.id):
                acknowledged += len(page)
                play.wallets.add_page(page)
                unaccounted += await find(connection, provider.id, page)
        return acknowledged, unaccounted + await play.wallets.find_wrong(connection)

    async def _settle_unresolved(self, http: aiohttp.ClientSession) -> int:
        """Have the sandbox ask again for what nobody answered; how many calls stay undecided."""
        left = 0
        for _ in range(RETRY_ROUNDS):
            async with http.post(f"{self._sandbox}/control/retry") as reply:
                left = int((await reply.json(content_type=None))["left"])
            if left == 0:
                break
        return left

    async def _wait_final(self, connection: Any) -> dict[str, int]:
        deadline = time.monotonic() + FINAL_S
        while True:
            sessions = await count_sessions(connection)
            open_ones = set(sessions) - {"settled", "cancelled", "failed"}
            if not open_ones or time.monotonic() > deadline:
                return sessions
            await asyncio.sleep(POLL_S)

    @contextlib.asynccontextmanager
    async def _sandbox_process(self) -> AsyncIterator[None]:
        """The sandbox as a process of its own, ended when play is over."""
        keys = (self._folder / KEYS_FOLDER).resolve()
        accounts = write_accounts(self._folder.resolve(), self._gateway)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "croupier.cli.sandbox",
            "serve",
            "--listen",
            self._config.sandbox.listen,
            "--gateway",
            self._gateway,
            "--key-id",
            "sandbox-in-1",
            "--secret",
            f"file:{keys / 'sandbox-in-1.key'}",
            "--launch-key-id",
            "sandbox-out-1",
            "--launch-secret",
            f"file:{keys / 'sandbox-out-1.key'}",
            "--seed",
            str(self._settings.seed),
            *(() if accounts is None else ("--accounts", str(accounts))),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None, "the sandbox's output is a pipe"  # noqa: S101 (narrowing)
        line = (await process.stdout.readline()).decode().strip()
        if "listening" not in line:
            raise DemoFailed(f"the sandbox did not start: {line or 'it said nothing'}")
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_S)


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Write the document to a file, with its schema."""
    document = {"schema": {"name": "croupier.demo", "version": 1}, **summary}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
