"""A candidate adapter reads along with one account's calls: what is planted in it is found, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import msgspec
from msgspec import Struct

from croupier.demo.platform import Platform
from croupier.demo.providers import game_of
from croupier.demo.settings import FOREIGN, DemoProvider
from croupier.demo.studio import DemoFailed
from croupier.ids import SESSION, parse_id
from croupier.providers.candidates.planted import LONGEST_BATCH, PLANTED
from croupier.providers.shadow.candidates import render_digest
from croupier.providers.shadow.store import Comparison
from croupier.providers.shadow.verdict import ShadowReport, shadow_report
from croupier.runtime.config.starter import KEYS_FOLDER
from croupier_signing import SigningKey, sign_raw_hmac

WATCHED: Final = FOREIGN[0]
"""The account that a candidate reads along with."""
CANDIDATE: Final = "softswiss_v3"
WRITTEN_S: Final = 20.0
"""How long what was found may take to be written."""
POLL_S: Final = 0.25
PURSE: Final = 1_000


class Left(Struct, frozen=True):
    """What the player whose calls were read along with must have left, in minor units."""

    player_id: str
    asset: str
    amount: int


class ReadingAlong(Struct, frozen=True, kw_only=True):
    """What the shadow found: calls compared, kinds of difference found and planted, and those that are not both."""

    left: Left
    provider: str
    candidate: str
    compared: int
    dropped: int
    found: int
    planted: int
    missed: tuple[str, ...]
    strays: tuple[str, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """What should not have been, in words."""
        return (
            *(f"planted in {self.candidate} and not found: {one}" for one in self.missed),
            *(f"found in {self.candidate} and not planted: {one}" for one in self.strays),
        )


def render_shadow() -> str:
    """The configuration's table of the shadow."""
    return f'\n[[shadows]]\nprovider = "{WATCHED.id}"\nadapter = "{CANDIDATE}"\nqueue = 10000\n'


class Caller:
    """The account's studio, as far as single calls need one: signs and sends them."""

    def __init__(self, http: aiohttp.ClientSession, gateway: str, folder: Path) -> None:
        secret = (folder / KEYS_FOLDER / f"{WATCHED.id}-in-1.key").read_text().strip().encode()
        self._key = SigningKey(f"{WATCHED.id}-in-1", secret)
        self._url = f"{gateway}/providers/{WATCHED.id}"
        self._http = http

    async def call(self, path: str, body: dict[str, Any]) -> int:
        """The status of one signed call."""
        data = msgspec.json.encode(body)
        headers = {"content-type": "application/json", "x-request-sign": sign_raw_hmac(self._key, data)}
        async with self._http.post(self._url + path, data=data, headers=headers) as reply:
            await reply.read()
            return reply.status


async def read_along(
    platform: Platform, caller: Caller, connection: asyncpg.Connection, run: str
) -> ReadingAlong:
    """Play what every planted fault needs to show, and wait until the shadow has written what it found."""
    left = await _play(platform, caller, WATCHED, run)
    comparison = Comparison(WATCHED.id, CANDIDATE, render_digest(CANDIDATE, WATCHED.protocol))
    planted = {(one.operation, one.path, one.live, one.candidate) for one in PLANTED}

    async def look() -> ShadowReport:
        return await shadow_report(connection, comparison, at_least=1)

    report = await _until_found(look, len(planted))
    found = {(one.operation, one.path, one.live, one.candidate) for one in report.differences}
    return ReadingAlong(
        left=left,
        provider=WATCHED.id,
        candidate=CANDIDATE,
        compared=report.totals.compared,
        dropped=report.totals.dropped,
        found=len(found),
        planted=len(planted),
        missed=tuple(sorted(" ".join(one) for one in planted - found)),
        strays=tuple(sorted(" ".join(one) for one in found - planted)),
    )


async def _until_found(look: Callable[[], Awaitable[ShadowReport]], count: int) -> ShadowReport:
    deadline = time.monotonic() + WRITTEN_S
    while True:
        report = await look()
        if len(report.differences) >= count or time.monotonic() > deadline:
            return report
        await asyncio.sleep(POLL_S)


async def _play(platform: Platform, caller: Caller, provider: DemoProvider, run: str) -> Left:
    """A session with a win, its end, a rollback, a stake that is too high, and a long batch. Raises DemoFailed."""
    player, asset = f"reader-{run}", provider.assets[0].code
    await platform.deposit(player, asset, PURSE, f"reader-{run}")
    session = await platform.open_session(player, game_of(provider, "dice"), asset, "MT")
    place = {
        "account_id": player,
        "currency": asset,
        "session_id": str(parse_id(SESSION, session["session_id"])),
        "game_id": game_of(provider, "dice"),
    }

    def stake(name: str, amount: str = "0.01", kind: str = "bet") -> dict[str, str]:
        return {"id_provider": f"{run}-{name}", "type": kind, "amount": amount}

    many = [stake(f"many-{number}") for number in range(LONGEST_BATCH + 1)]
    calls: list[tuple[str, dict[str, Any], int]] = [
        ("/betwin", {"round_id": f"{run}-1", "transactions": [stake("bet")]}, 200),
        (
            "/betwin",
            {"round_id": f"{run}-1", "transactions": [stake("win", kind="win")], "finished": True},
            200,
        ),
        ("/betwin", {"round_id": f"{run}-2", "transactions": [stake("undone")]}, 200),
        ("/betwin", {"round_id": f"{run}-3", "transactions": [stake("poor", "100000")]}, 400),
        ("/betwin", {"round_id": f"{run}-4", "transactions": many, "finished": True}, 200),
    ]
    undo = {"id_provider": f"{run}-undo", "type": "rollback", "original_id_provider": f"{run}-undone"}
    calls.append(
        ("/rollback", {"round_id_provider": f"{run}-2", "transactions": [undo], "finished": True}, 200)
    )
    for path, body, expected in calls:
        status = await caller.call(path, {**place, **body})
        if status != expected:
            raise DemoFailed(f"{provider.id}: {path} with {body} was answered with {status}")
    await platform.close_session(session["session_id"])
    return Left(player, asset, PURSE - len(many))
