"""Beexar in front of real lanes with a shadow beside it: a real socket, real processes, a real database."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lane_desk import Desk, Seat, open_desk, require_sound_books
from msgspec import structs

from croupier.ids import IdSource
from croupier.providers.adapters.softswiss_v2 import ADAPTER
from croupier.providers.callbacks import Callbacks, Edge
from croupier.providers.shadow.store import Comparison, load_differences
from croupier.providers.shadow.tally import Group, Kind
from croupier.providers.shadow.tap import Tap, TapSettings
from croupier.providers.shadow.verdict import ShadowReport, Totals, shadow_report
from croupier.runtime.config import Config, Provider, ProviderKey, Shadow
from croupier.runtime.database import connect_app, create_pool
from croupier.runtime.provider_keys import adopt_keys
from croupier.runtime.shadow import ShadowProcess
from croupier.runtime.shadow_runner import CHILD
from croupier.runtime.supervisor import shadow_link
from unit.adapters.edge_driver import NOW, nobody_sits
from unit.adapters.softswiss_v2_calls import ACCOUNT, BEEXAR, PLAYER, Beexar

MISFIT = Path(__file__).with_name("shadow_misfit.py")
DEADLINE_S = 60.0


def misfit(way: str) -> tuple[str, ...]:
    """The command of a candidate's process that misbehaves."""
    return (sys.executable, str(MISFIT), way)


def shadow_config(folder: Path, **shadow: Any) -> Config:
    """The account of `softswiss_v2_calls` with its key in a file, and a shadow."""
    secret = folder / "beexar-1.key"
    secret.write_bytes(BEEXAR.secret)
    secret.chmod(0o600)
    key = ProviderKey(BEEXAR.id, f"file:{secret}", "inbound")
    return Config(
        providers=(Provider(id=ACCOUNT.id, adapter=ACCOUNT.adapter, keys=(key,)),),
        shadows=(Shadow(**{"provider": ACCOUNT.id, "adapter": "softswiss_v3", **shadow}),),
    )


class ShadowStage:
    """Live calls on one side, the shadow process on the other; `lost` are copies that did not leave."""

    def __init__(self, url: str, config: Config, desk: Desk, seat: Seat) -> None:
        self.url, self.desk, self.seat = url, desk, seat
        (self.shadow,) = config.shadows
        self.config = config
        self.ends = shadow_link()
        self.lost: Counter[str] = Counter()
        self.beexar = Beexar(desk.lanes.submit)
        self.beexar.gateway.app = Callbacks(
            Edge(
                accounts={ACCOUNT.id: (ACCOUNT, ADAPTER)},
                submit=desk.lanes.submit,
                find_seat=nobody_sits,
                new_token=lambda: "",
                ids=IdSource(),
                now=lambda: NOW,
                observe=lambda record: None,
                copies={ACCOUNT.id: self._tap(self.ends[0]).offer},
            )
        )
        self.process: ShadowProcess | None = None

    def _tap(self, link: socket.socket) -> Tap:
        settings = TapSettings(
            provider=ACCOUNT.id, candidate=self.shadow.adapter, percent=100, max_bytes=self.shadow.max_bytes
        )
        return Tap(link, settings, {ACCOUNT.id: (ACCOUNT, ADAPTER)}, lambda why: self.lost.update([why]))

    @asynccontextmanager
    async def shadowing(self, command: Sequence[str] = CHILD) -> AsyncIterator[ShadowProcess]:
        """A shadow process, asked to end after the block; everything it had is written then."""
        pool = await create_pool(self.url, min_size=1, max_size=2)
        end = socket.socket(fileno=os.dup(self.ends[1].fileno()))
        process = self.process = ShadowProcess(self.config, end, command=command)
        is_ready = asyncio.Event()
        task = asyncio.create_task(process.run(pool, is_ready.set))
        try:
            async with asyncio.timeout(DEADLINE_S):
                await is_ready.wait()
            yield process
        finally:
            process.ask_to_stop()
            async with asyncio.timeout(DEADLINE_S):
                await task
            end.close()
            await pool.close()

    async def caught_up(self, count: int) -> None:
        """Until so many calls have come to a result, or were dropped by the shadow, and that is written."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                totals = (await self.report()).totals
                if totals.compared + totals.dropped + totals.skipped >= count:
                    return
                await asyncio.sleep(0.05)

    async def report(self) -> ShadowReport:
        """What is known now."""
        connection = await connect_app(self.url)
        try:
            return await shadow_report(connection, self.comparison, at_least=1)
        finally:
            await connection.close()

    @property
    def comparison(self) -> Comparison:
        assert self.process is not None
        return self.process.desks[ACCOUNT.id].comparison

    async def differences(self) -> dict[Kind, Group]:
        connection = await connect_app(self.url)
        try:
            return dict(await load_differences(connection, self.comparison))
        finally:
            await connection.close()

    def at(self, body: dict[str, Any]) -> dict[str, Any]:
        """A body that names the player's session."""
        return body | {"session_id": str(self.seat.session_id)}


def counts(totals: Totals) -> dict[str, int]:
    """What is not zero."""
    return {name: count for name, count in structs.asdict(totals).items() if count}


@asynccontextmanager
async def shadow_stage(url: str, folder: Path, **shadow: Any) -> AsyncIterator[ShadowStage]:
    """A player with a hundred euros at Beexar; the books are sound afterwards."""
    config = shadow_config(folder, **shadow)
    connection = await connect_app(url)
    try:
        await adopt_keys(connection, config, NOW, actor="test")
    finally:
        await connection.close()
    async with open_desk(url) as desk:
        stage = ShadowStage(url, config, desk, await desk.seat(PLAYER, purse=10_000))
        try:
            yield stage
        finally:
            for end in stage.ends:
                end.close()
    await require_sound_books(url)
