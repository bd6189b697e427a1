"""The sandbox in the demo: a process of its own, and its switches."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp

from croupier.demo.providers import write_accounts
from croupier.demo.settings import NATIVE, STORM, DemoSettings
from croupier.runtime.config import Config
from croupier.runtime.config.starter import KEYS_FOLDER

STOP_S: Final = 15.0
RETRY_ROUNDS: Final = 20
STORM_S: Final = 120.0


class DemoFailed(Exception):
    """The demo could not be played to its end; the text says why."""


class Studio:
    """The sandbox's control API, for the native account."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def go_dark(self) -> None:
        """From now on the gateway hears of bets and wins only."""
        await self._ask("POST", "/control/dark")

    async def come_back(self, seed: int) -> dict[str, Any]:
        """The storm: everything that waited arrives. Its report, with what waited in vain in the first place."""
        report = await self._ask("POST", "/control/storm", {**STORM, "seed": seed})
        for _ in range(RETRY_ROUNDS):
            if report["waiting"] == 0:
                break
            report["waiting"] = (await self._ask("POST", "/control/storm", {}))["waiting"]
        return report

    async def count_webhooks(self) -> dict[str, Any]:
        """What became of all webhooks so far, by the studio's own count."""
        return await self._ask("GET", "/control/webhooks")

    async def settle_unresolved(self) -> int:
        """Have it ask again for what nobody answered; how many calls stay undecided."""
        left = 0
        for _ in range(RETRY_ROUNDS):
            left = int((await self._ask("POST", "/control/retry"))["left"])
            if left == 0:
                break
        return left

    async def fail_launches(self, account: str, *, seconds: int) -> None:
        """From now on launches at an account are answered with 503."""
        launch = {"mode": "unavailable", "for_s": seconds, "account": account}
        await self._ask("PUT", "/control", {"launch": launch})

    async def mend_launches(self, account: str) -> None:
        """Launches at an account are answered again."""
        await self._ask("PUT", "/control", {"launch": {"mode": "normal", "account": account}})

    async def count_failed_launches(self, account: str) -> int:
        """How many launches have reached an account and failed."""
        return int((await self._ask("GET", "/control"))["failed_launches"].get(account, 0))

    async def _ask(self, method: str, path: str, order: dict[str, Any] | None = None) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=STORM_S)
        async with self._http.request(
            method, self.url + path, params={"account": NATIVE.id}, json=order, timeout=timeout
        ) as reply:
            document: dict[str, Any] = await reply.json(content_type=None)
            if reply.status != 200:
                raise DemoFailed(f"the sandbox answers {method} {path} with {reply.status}: {document}")
            return document


@contextlib.asynccontextmanager
async def sandbox_process(config: Config, folder: Path, settings: DemoSettings) -> AsyncIterator[None]:
    """The sandbox as a process of its own, ended when play is over. Raises DemoFailed when it does not start."""
    process = await asyncio.create_subprocess_exec(
        *_command(config, folder.resolve(), settings),  # noqa: ASYNC240 (nothing else runs yet)
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


def _command(config: Config, folder: Path, settings: DemoSettings) -> list[str]:
    """The command line; all of the sandbox's accounts but the native one stand in a file that is written here."""
    gateway, keys = f"http://{config.http.public}", folder / KEYS_FOLDER
    options = {
        "--listen": config.sandbox.listen,
        "--gateway": gateway,
        "--key-id": "sandbox-in-1",
        "--secret": f"file:{keys / 'sandbox-in-1.key'}",
        "--launch-key-id": "sandbox-out-1",
        "--launch-secret": f"file:{keys / 'sandbox-out-1.key'}",
        "--seed": str(settings.seed),
    }
    accounts = write_accounts(folder, gateway)
    if accounts is not None:
        options["--accounts"] = str(accounts)
    given = [text for option in options.items() for text in option]
    return [sys.executable, "-m", "croupier.cli.sandbox", "serve", *given]
