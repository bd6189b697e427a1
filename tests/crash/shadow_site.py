"""A deployment with an account at Beexar that a candidate reads along with, and players at the sandbox's Beexar."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
from crash_site import READY_S, CrashSite, command_line, end

from croupier.bench.site import descendants
from croupier.demo.providers import add_providers, write_accounts
from croupier.runtime.config import load_config
from croupier_signing import SigningKey, sign_raw_hmac

ACCOUNT: Final = "softswiss"
SHADOW: Final = "croupier.runtime.shadow "
CANDIDATE: Final = "croupier.runtime.shadow_child"
ORDER: Final = {
    "rounds": 6,
    "stake": "100",
    "misbehaviour": {"bet_win": 25, "early_rollback": 10, "late_rollback": 15, "duplicate": 15},
}
Document = dict[str, Any]


class ShadowSite(CrashSite):
    """The account's tables are the demo's; `shadow` is text for the table of the shadow."""

    def __init__(self, folder: Path, shadow: str = "") -> None:
        super().__init__(folder)
        tables = add_providers(folder, load_config(self.config_path, {}))
        table = f'\n[[shadows]]\nprovider = "{ACCOUNT}"\nadapter = "softswiss_v3"\n{shadow}'
        with self.config_path.open("a") as file:
            file.write(tables.replace("127.0.0.1:8702", f"127.0.0.1:{self._ports[2]}") + table)
        self._accounts = write_accounts(folder, self.gateway)
        secret = (self._keys / f"{ACCOUNT}-in-1.key").read_text().strip().encode()
        self.beexar = SigningKey(f"{ACCOUNT}-in-1", secret)

    @contextlib.asynccontextmanager
    async def sandbox_process(self, *, seed: int = 1) -> AsyncIterator[None]:
        """The sandbox with all of the demo's accounts, ended at the end of the block."""
        options = {
            "--seed": str(seed),
            "--listen": f"127.0.0.1:{self._ports[2]}",
            "--gateway": self.gateway,
            "--key-id": "sandbox-in-1",
            "--secret": f"file:{self._keys / 'sandbox-in-1.key'}",
            "--accounts": str(self._accounts),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "croupier.cli.sandbox", "serve"),
            *(text for option in options.items() for text in option),
            env=self._environment(),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(READY_S):
                assert b"listening" in await process.stdout.readline()
            yield
        finally:
            await end(process)

    def shadow_pids(self, what: str = SHADOW) -> list[int]:
        """The shadow process, or the candidate's."""
        assert self.supervisor is not None
        return [pid for pid in descendants(self.supervisor.pid) if what in command_line(pid)]

    async def call(self, http: aiohttp.ClientSession, path: str, body: Document) -> tuple[int, Document]:
        """One signed call of the account's, beside what the sandbox sends."""
        data = json.dumps(body).encode()
        headers = {"content-type": "application/json", "x-request-sign": sign_raw_hmac(self.beexar, data)}
        async with http.post(
            f"{self.gateway}/providers/{ACCOUNT}{path}", data=data, headers=headers
        ) as reply:
            return reply.status, await reply.json()

    async def failed_requests(self, http: aiohttp.ClientSession) -> list[str]:
        """The lines of the metrics that count answers of 5xx."""
        async with http.get(f"http://127.0.0.1:{self._ports[1]}/metrics") as reply:
            text = await reply.text()
        name = "croupier_http_request_duration_seconds_count"
        return [one for one in text.splitlines() if one.startswith(name) and 'status_class="5xx"' in one]

    async def ask_shadow(self) -> Document:
        """What `croupier provider shadow` says."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "croupier.cli.main", "--config", str(self.config_path), "--json"),
            *("provider", "shadow", ACCOUNT),
            env=self._environment(),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        document: Document = json.loads(output)
        return document


class Players:
    """Plays sessions of the account at the sandbox until told to stop; nothing may go wrong."""

    def __init__(self, site: ShadowSite, http: aiohttp.ClientSession) -> None:
        self._site, self._http = site, http
        self.reports: list[Document] = []
        self._is_over = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, count: int) -> None:
        """Let so many players in."""
        self._tasks = [asyncio.create_task(self._play(f"player-{number}")) for number in range(count)]

    async def finish(self) -> None:
        """Have everybody play to the end of the session; raises what ended a player before."""
        self._is_over = True
        await asyncio.gather(*self._tasks)

    def has_played(self, count: int) -> bool:
        """Whether there are so many reports; raises what ended a player."""
        for task in self._tasks:
            if task.done():
                task.result()
        return len(self.reports) >= count

    async def _play(self, player: str) -> None:
        async with self._site.platform() as platform:
            while not self._is_over:
                await self.play_once(platform, f"{player}-{len(self.reports)}")

    async def play_once(self, platform: Any, player: str) -> Document:
        """One session; what was opened."""
        await platform.deposit(player, "EUR", 20_000, f"deposit-{player}")
        session: Document = await platform.open_session(player, f"{ACCOUNT}-dice", "EUR", "MT")
        async with self._http.post(session["launch_url"], json=ORDER) as reply:
            report = await reply.json()
        assert reply.status == 200, report
        self.reports.append(report)
        return session
