"""The reference wallet for the demo, benchmarks and tests: a process of its own, its cashier and its switches."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import aiohttp
from msgspec import Struct

DATABASE_VARIABLE: Final = "CROUPIER_SANDBOX_WALLET_DATABASE_URL"
READY: Final = "listening on "
STOP_S: Final = 20.0
ASK_S: Final = 60.0


class WalletProcessFailed(Exception):
    """The reference wallet did not start, or answers its own operator with an error; the text says why."""


class WalletStart(Struct, frozen=True, kw_only=True):
    """How to start one: its books' database, and the key of which Croupier signs, by reference (`env:` or `file:`).

    `environment` is added to this process's own, for a secret that stands in it. Port 0 takes a free one.
    """

    database_url: str
    secret: str
    key_id: str = "wallet"
    listen: str = "127.0.0.1:0"
    latency_ms: int = 0
    seed: str | None = None
    environment: Mapping[str, str] = {}


class WalletService:
    """A reference wallet that runs: `url` is what Croupier is given; the methods are what its operator does."""

    def __init__(self, url: str, http: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
        self.url = url
        self.process = process
        self._http = http

    async def deposit(self, player_id: str, asset: str, amount: int, reference: str) -> dict[str, Any]:
        """Put money into a wallet, and make it if need be; the same reference does nothing more."""
        return await self._move("deposit", player_id, asset, amount, reference)

    async def withdraw(self, player_id: str, asset: str, amount: int, reference: str) -> dict[str, Any]:
        """Take money out, if it is there; `status` says whether it was."""
        return await self._move("withdraw", player_id, asset, amount, reference)

    async def balance(self, player_id: str, asset: str) -> int:
        """What a player has, in minor units. Raises WalletProcessFailed when there is no such wallet."""
        query = {"player_id": player_id, "asset": asset}
        found = await self._ask("GET", "/cashier/balance", query=query)
        if found["status"] != "approved":
            raise WalletProcessFailed(f"{player_id} has no wallet in {asset}: {found['code']}")
        return int(found["balance"])

    async def block(self, player_id: str, *, is_blocked: bool = True) -> None:
        """Refuse a player's debits from now on, or not."""
        await self._ask("POST", "/cashier/block", {"player_id": player_id, "is_blocked": is_blocked})

    async def control(self, **order: Any) -> dict[str, Any]:
        """Set switches, members of the body of `POST /control`, or only read them."""
        return await self._ask("POST", "/control", order) if order else await self._ask("GET", "/control")

    async def totals(self) -> dict[str, Any]:
        """By asset: what players have, what was changed, and whether the two agree."""
        return dict((await self._ask("GET", "/totals"))["assets"])

    async def book(self, after: int = 0) -> list[dict[str, Any]]:
        """Everything that was decided, in the order of its number, above `after`."""
        found: list[dict[str, Any]] = []
        following: int | None = after
        while following is not None:
            page = await self._ask("GET", "/book", query={"after": str(following)})
            found.extend(page["movements"])
            following = page["next_after"]
        return found

    async def _move(
        self, what: str, player_id: str, asset: str, amount: int, reference: str
    ) -> dict[str, Any]:
        body = {"player_id": player_id, "asset": asset, "amount": str(amount), "reference": reference}
        return await self._ask("POST", f"/cashier/{what}", body)

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=ASK_S)
        async with self._http.request(
            method, self.url + path, params=query, json=body, timeout=timeout
        ) as reply:
            document: dict[str, Any] = await reply.json(content_type=None)
            if reply.status != 200:
                raise WalletProcessFailed(f"{method} {path} is answered with {reply.status}: {document}")
            return document


@contextlib.asynccontextmanager
async def wallet_process(order: WalletStart) -> AsyncIterator[WalletService]:
    """The reference wallet as a process of its own, ended on leaving.

    Raises WalletProcessFailed when it does not start.
    """
    process = await asyncio.create_subprocess_exec(
        *_command(order),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # Not among the arguments, which other users of the machine can read: a URL may hold a password.
        env={**os.environ, **order.environment, DATABASE_VARIABLE: order.database_url},
    )
    assert process.stdout is not None, "the wallet's output is a pipe"  # noqa: S101 (narrowing)
    draining: asyncio.Task[bytes] | None = None
    try:
        line = (await process.stdout.readline()).decode().strip()
        if READY not in line:
            raise WalletProcessFailed(f"the reference wallet did not start: {line or 'it said nothing'}")
        # What it says later is read and dropped: a full pipe would stop it.
        draining = asyncio.create_task(process.stdout.read())
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            yield WalletService(line.partition(READY)[2], http, process)
    finally:
        await _end(process)
        if draining is not None:
            await draining


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _command(order: WalletStart) -> list[str]:
    """The command line; the process also ends when this one does, whose end it reads from."""
    options = {
        "--listen": order.listen,
        "--key-id": order.key_id,
        "--secret": order.secret,
        "--latency-ms": str(order.latency_ms),
    }
    if order.seed is not None:
        options["--seed"] = order.seed
    given = [text for option in options.items() for text in option]
    return [sys.executable, "-m", "croupier.sandbox.wallet", "serve", *given, "--until-eof"]
