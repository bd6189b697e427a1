"""`croupier serve`: one supervisor that owns the listening sockets, the database it embeds, and the workers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import structlog
import uvicorn

from croupier.runtime.config import Config, parse_address
from croupier.runtime.database import (
    app_settings,
    connect_app,
    connect_owner,
    create_pool,
    ensure_database,
)
from croupier.runtime.embedded import EmbeddedServer, EmbeddedServerError
from croupier.runtime.migrations import apply, plan
from croupier.runtime.orders import Orders
from croupier.runtime.worker_process import BACKGROUND, SHADOW, WORKER, WorkerProcess

_log = structlog.get_logger("croupier.supervisor")

DATABASE: Final = "croupier"
BACKLOG: Final = 1024
DRAIN_S: Final = 25.0
READY_S: Final = 60.0
WATCH_S: Final = 0.2
SHADOW_BUFFER: Final = 1024 * 1024
"""How much may be on its way to the shadow, in bytes; the system may allow less."""


class NotReady(Exception):
    """The deployment cannot start as it is; the text says what to do."""


@contextlib.asynccontextmanager
async def running_database(
    config: Config, database: str = DATABASE
) -> AsyncIterator[tuple[str, EmbeddedServer | None]]:
    """The URL of the deployment's database, migrated; the embedded server is started if that is what is configured.

    Raises NotReady when another server's schema is behind: `croupier migrate` is a step of its own there.
    """
    if not config.database.is_embedded:
        await _require_migrated(config.database.migration_url)
        await require_wallet_mode(config.database.url, config.wallet.mode)
        yield config.database.url, None
        return
    async with EmbeddedServer(config.database.embedded_folder) as server:
        url = await ensure_database(server.url(), database)
        connection = await connect_owner(url)
        try:
            await apply(connection)
        finally:
            await connection.close()
        await require_wallet_mode(url, config.wallet.mode)
        yield url, server


async def require_wallet_mode(url: str, mode: str) -> None:
    """Say on the first start whose wallet is the source of truth of these books, for ever.

    Raises NotReady when it was said otherwise before.
    """
    connection = await connect_app(url)
    try:
        await connection.execute(
            "INSERT INTO wallet_mode (mode, since) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            mode,
            datetime.now(UTC),
        )
        said: str = await connection.fetchval("SELECT mode FROM wallet_mode")
    finally:
        await connection.close()
    if said != mode:
        raise NotReady(
            f'these books were begun with [wallet] mode = "{said}" and the configuration says "{mode}": what a mirror '
            "follows and what a wallet holds cannot be mixed. Set it back, or begin new books in another database"
        )


async def _require_migrated(url: str) -> None:
    connection = await connect_owner(url)
    try:
        pending = await plan(connection)
    finally:
        await connection.close()
    if pending:
        names = ", ".join(f"{one.version:04d}_{one.name}.{one.phase}" for one in pending)
        raise NotReady(f"the schema is behind ({names}): run `croupier migrate` first")


def listen_on(address: str) -> socket.socket:
    """A listening socket that workers inherit; a busy port is an error that names it."""
    host, port = parse_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise NotReady(
            f"cannot listen on {address}: {error.strerror}; is Croupier running already?"
        ) from None
    listener.listen(BACKLOG)
    listener.set_inheritable(True)
    return listener


def shadow_link() -> tuple[socket.socket, socket.socket]:
    """Two ends of a pipe of datagrams: workers send into the first, and lose what does not fit; the shadow reads."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ends[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SHADOW_BUFFER)
    for end in ends:
        end.setblocking(False)
    return ends


class Supervisor:
    """Runs workers, background processes and the admin listener until it is told to stop."""

    def __init__(
        self,
        config: Config,
        config_path: Path | None,
        *,
        workers: int,
        make_admin_app: Callable[[asyncpg.Pool], Any],
        database: str = DATABASE,
        takes_overrides: bool = True,
    ) -> None:
        self._config = config
        self._takes_overrides = takes_overrides
        self._config_path = config_path
        self._count = workers
        self._make_admin_app = make_admin_app
        self._database = database
        self.database_url = ""
        self.embedded: EmbeddedServer | None = None
        self._pool: asyncpg.Pool | None = None
        self._stop = asyncio.Event()
        self.is_ready = asyncio.Event()
        self.workers: list[WorkerProcess] = []
        self.background: list[WorkerProcess] = []
        self.shadow: list[WorkerProcess] = []

    def ask_to_stop(self) -> None:
        """Begin a clean end: workers finish what they accepted."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until asked to stop. Raises NotReady when it cannot begin."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask_to_stop)
        folder = tempfile.mkdtemp(prefix="croupier-metrics-")
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        try:
            async with running_database(self._config, self._database) as (url, server):
                self.database_url, self.embedded = url, server
                with contextlib.closing(listen_on(self._config.http.public)) as listener:
                    await self._serve(url, server, listener)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _serve(self, url: str, server: EmbeddedServer | None, listener: socket.socket) -> None:
        ends = shadow_link() if self._config.shadows else ()
        self.workers = [
            self._process(number, listener.fileno(), *(end.fileno() for end in ends[:1]))
            for number in range(self._count)
        ]
        self.background = [
            self._process(number, module=BACKGROUND) for number in range(self._config.lanes.background)
        ]
        self.shadow = [self._process(0, end.fileno(), module=SHADOW) for end in ends[1:]]
        pool = self._pool = await create_pool(url, min_size=1, max_size=4)
        admin = uvicorn.Server(
            uvicorn.Config(
                self._make_admin_app(pool),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
            )
        )
        admin.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        tasks = [asyncio.create_task(process.keep_running()) for process in (*self._processes, *self.shadow)]
        if server is not None:
            tasks.append(asyncio.create_task(self._watch_database(server)))
        with contextlib.closing(listen_on(self._config.http.admin)) as admin_listener:
            tasks.append(asyncio.create_task(_serve_admin(admin, admin_listener)))
            try:
                await self._wait_ready()
                await self._stop.wait()
            finally:
                await self._end(tasks, admin, pool)
                for end in ends:
                    end.close()

    def _process(self, number: int, *fds: int, module: str = WORKER) -> WorkerProcess:
        return WorkerProcess(
            number, self._orders(), fds=fds, module=module, takes_overrides=self._takes_overrides
        )

    async def _wait_ready(self) -> None:
        ready = asyncio.create_task(self._all_ready())
        stopped = asyncio.create_task(self._until_stopped())
        done, _ = await asyncio.wait({ready, stopped}, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not done:
            ready.cancel()
            raise NotReady(f"the workers were not ready within {READY_S:.0f} s; their log says why")
        if not self._stop.is_set():
            self.is_ready.set()
            _log.info(
                "serving", public=self._config.http.public, admin=self._config.http.admin, workers=self._count
            )

    async def _until_stopped(self) -> None:
        await self._stop.wait()

    async def _all_ready(self) -> None:
        for process in self._processes:
            await process.is_ready.wait()

    async def _watch_database(self, server: EmbeddedServer) -> None:
        """Start the embedded server again when it dies: lanes wait for it and lose nothing."""
        while not self._stop.is_set():
            await asyncio.sleep(WATCH_S)
            if self._stop.is_set() or server.is_running():
                continue
            _log.error("database_died", action="starting it again")
            try:
                await server.start()
                self._follow(server)
            except EmbeddedServerError as error:
                _log.error("database_does_not_start", error=str(error))

    def _follow(self, server: EmbeddedServer) -> None:
        """Its port may have been taken meanwhile: tell everybody where the database is now."""
        url = server.url(self._database)
        if url == self.database_url:
            return
        self.database_url = url
        if self._pool is not None:
            self._pool.set_connect_args(
                url, server_settings=app_settings(lane=False, application_name="croupier-read")
            )
        for process in (*self._processes, *self.shadow):
            process.give_orders(self._orders())

    @property
    def _processes(self) -> list[WorkerProcess]:
        """Those without which nothing is ready; nobody waits for a shadow."""
        return [*self.workers, *self.background]

    def _orders(self) -> Orders:
        return Orders(self.database_url, None if self._config_path is None else str(self._config_path))

    async def _end(self, tasks: list[asyncio.Task[None]], admin: uvicorn.Server, pool: asyncpg.Pool) -> None:
        self._stop.set()
        await asyncio.gather(*(process.stop(DRAIN_S) for process in (*self._processes, *self.shadow)))
        admin.should_exit = True
        done, pending = await asyncio.wait(tasks, timeout=DRAIN_S)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        pool.terminate()
        for task in done:
            if task.exception() is not None:
                _log.error("task_failed", error=repr(task.exception()))


async def _serve_admin(server: uvicorn.Server, listener: socket.socket) -> None:
    # uvicorn installs its own signal handlers inside `serve`; the supervisor keeps its own.
    await server._serve([listener])
