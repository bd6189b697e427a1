"""The shadow process: receives copies of answered calls, has them tried by candidates, writes what differs.

The supervisor starts it beside the workers when a shadow is configured. Nobody waits for it: workers throw their copies
into a socket that holds a few dozen and loses the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg
import msgspec
import structlog
import uvloop

from croupier import __version__
from croupier.governance.keyring import load_key_states
from croupier.governance.keys import KeyFacts
from croupier.providers.shadow.sample import read_sample
from croupier.runtime.config import Config, load_config
from croupier.runtime.database import app_settings, create_pool
from croupier.runtime.orders import Orders, follow_orders, read_first_orders, tell_ready
from croupier.runtime.provider_keys import KeyReader
from croupier.runtime.shadow_desk import Material, ShadowDesk, read_material
from croupier.runtime.shadow_runner import CHILD
from croupier.telemetry.logs import set_up_logs
from croupier.telemetry.metrics import Metrics

_log = structlog.get_logger("croupier.shadow")

COURTESY: Final = 10
"""How much this process steps back for the others (`nice`); the candidate's own process steps back further."""
LOOK_S: Final = 1.0
"""How often what was found is written, and keys are looked at."""
ANSWER_S: Final = 10.0
"""How long the database may take for that."""
READ_AT_ONCE: Final = 64
"""Most copies read before anything else has its turn."""
LARGEST_COPY: Final = 256 * 1024
PATIENCE_S: Final = 3.0
"""How long calls that wait may still be tried once the process was asked to end."""
APPLICATION: Final = "croupier-shadow"


class ShadowProcess:
    """Every configured shadow, fed from one socket. `is_away`: what was found could not be written the last time."""

    def __init__(self, config: Config, link: socket.socket, *, command: Sequence[str] = CHILD) -> None:
        link.setblocking(False)
        self._config = config
        self._link = link
        self._metrics = Metrics(config.environment)
        self._metrics.note_build(__version__)
        self.desks = {
            one.provider: ShadowDesk(config, one, metrics=self._metrics.shadow, now=_now, command=command)
            for one in config.shadows
        }
        self._reader = KeyReader(config, os.environ)
        self._facts: tuple[KeyFacts, ...] | None = None
        self.is_away = False
        self._stop = asyncio.Event()

    def ask_to_stop(self) -> None:
        """Take no more copies; write what was found."""
        self._stop.set()

    async def run(self, pool: asyncpg.Pool, on_ready: Callable[[], None]) -> None:
        """Work until asked to stop. Raises what the database does when it is not there at the beginning."""
        async with pool.acquire() as connection:
            for desk in self.desks.values():
                await desk.start(connection)
            await self._follow_keys(connection)
        loop = asyncio.get_running_loop()
        tasks = [asyncio.create_task(desk.run(), name=name) for name, desk in self.desks.items()]
        loop.add_reader(self._link, self._read)
        try:
            on_ready()
            while not (self._stop.is_set() or any(task.done() for task in tasks)):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), LOOK_S)
                await self._look(pool)
            loop.remove_reader(self._link)
            await self._finish(pool)
        finally:
            loop.remove_reader(self._link)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for one in ended:
                if isinstance(one, Exception):
                    _log.error("shadow_died", error=repr(one))

    async def _look(self, pool: asyncpg.Pool) -> None:
        """Write and look at the keys; a database that is away loses nothing but time."""
        try:
            async with asyncio.timeout(ANSWER_S), pool.acquire() as connection:
                await self._follow_keys(connection)
                for desk in self.desks.values():
                    await desk.write(connection)
            self.is_away = False
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            if not self.is_away:
                _log.warning("shadow_not_written", error=repr(error))
            self.is_away = True

    async def _finish(self, pool: asyncpg.Pool) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                for desk in self.desks.values():
                    await desk.finish()
        await self._look(pool)

    async def _follow_keys(self, connection: asyncpg.Connection) -> None:
        facts = await load_key_states(connection)
        if facts == self._facts:
            return
        found = await asyncio.to_thread(self._read_keys, facts)
        for provider, keys in found.items():
            self.desks[provider].use_keys(keys)
        self._facts = facts

    def _read_keys(self, facts: tuple[KeyFacts, ...]) -> dict[str, Material]:
        return {provider: read_material(facts, self._reader, provider, os.environ) for provider in self.desks}

    def _read(self) -> None:
        for _ in range(READ_AT_ONCE):
            try:
                datagram = self._link.recv(LARGEST_COPY)
            except (BlockingIOError, InterruptedError):
                return
            try:
                sample = read_sample(datagram)
            except msgspec.DecodeError as error:
                _log.warning("shadow_copy_not_read", error=str(error))
                continue
            desk = self.desks.get(sample.provider)
            # A worker that read another configuration may still send for an account that has no shadow any more.
            if desk is not None and desk.comparison.candidate == sample.candidate:
                desk.take(sample, datagram)


def _now() -> datetime:
    return datetime.now(UTC)


async def _serve(config: Config, orders: Orders, link: socket.socket) -> None:
    process = ShadowProcess(config, link)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, process.ask_to_stop)
    pool = await create_pool(orders.database_url, min_size=1, max_size=2, application_name=APPLICATION)

    async def move(later: Orders) -> None:
        """Go where the database has moved."""
        settings = app_settings(lane=False, application_name=APPLICATION)
        pool.set_connect_args(later.database_url, server_settings=settings)
        await pool.expire_connections()

    watch = asyncio.create_task(_as_coroutine(follow_orders(move)))
    try:
        await process.run(pool, tell_ready)
    finally:
        pool.terminate()
        watch.cancel()


async def _as_coroutine(waited: Awaitable[None]) -> None:
    await waited


def main() -> None:
    """Run the shadow process: the socket's number is the argument, the orders are the first line of input."""
    orders = read_first_orders()
    config = load_config(None if orders.config_path is None else Path(orders.config_path), os.environ)
    set_up_logs(log_format=config.telemetry.log_format, level=config.telemetry.log_level)
    os.nice(COURTESY)
    uvloop.run(_serve(config, orders, socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
