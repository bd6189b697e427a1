"""One worker process as its supervisor sees it: started, ready, and ended without losing what it has accepted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Final

import structlog

from croupier.runtime.orders import READY_LINE, Orders, render_orders

_log = structlog.get_logger("croupier.supervisor")

BACKOFF_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Pauses before a worker that died is started again, in seconds."""


WORKER: Final = "croupier.runtime.worker"
BACKGROUND: Final = "croupier.runtime.background"
SHADOW: Final = "croupier.runtime.shadow"


def _without_overrides() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("CROUPIER_")}


class WorkerProcess:
    """Keeps one process running until told to stop: a module that inherits sockets, by default a worker.

    One that takes no overrides is configured by its file alone, whatever `CROUPIER_…` variables there are.
    """

    def __init__(
        self,
        number: int,
        orders: Orders,
        *,
        fds: tuple[int, ...],
        module: str = WORKER,
        takes_overrides: bool = True,
    ) -> None:
        self._number = number
        self._takes_overrides = takes_overrides
        self._fds = fds
        self._module = module
        self._orders = orders
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._deaths = 0
        self.is_ready = asyncio.Event()

    @property
    def _kind(self) -> str:
        return self._module.rpartition(".")[2]

    @property
    def pid(self) -> int | None:
        """Process id of the running process."""
        return None if self._process is None else self._process.pid

    def give_orders(self, orders: Orders) -> None:
        """Tell the running worker, and every one started after it, that the database has moved."""
        self._orders = orders
        process = self._process
        if process is not None and process.returncode is None and process.stdin is not None:
            process.stdin.write(render_orders(orders))

    async def keep_running(self) -> None:
        """Start the worker, and start it again whenever it dies, until `stop` is called."""
        while not self._stopping.is_set():
            await self._start()
            process = self._process
            assert process is not None, "a started worker has a process"  # noqa: S101 (narrowing)
            status = await process.wait()
            self.is_ready.clear()
            if self._stopping.is_set():
                return
            pause_s = BACKOFF_S[min(self._deaths, len(BACKOFF_S) - 1)]
            self._deaths += 1
            _log.error(
                "worker_died",
                kind=self._kind,
                worker=self._number,
                pid=process.pid,
                status=status,
                restart_in_s=pause_s,
            )
            await asyncio.sleep(pause_s)

    async def _start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            *map(str, self._fds),
            # The first line carries the orders, which hold a password; the pipe's end says the supervisor is gone.
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=self._fds,
            env=None if self._takes_overrides else _without_overrides(),
        )
        assert self._process.stdin is not None, "the worker's input is a pipe"  # noqa: S101 (narrowing)
        self._process.stdin.write(render_orders(self._orders))
        self._watch = asyncio.create_task(self._wait_ready(self._process))

    async def _wait_ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None, "the worker's output is a pipe"  # noqa: S101 (narrowing)
        if await process.stdout.readline() == READY_LINE:
            self._deaths = 0
            self.is_ready.set()

    async def stop(self, drain_s: float) -> None:
        """Ask the worker to finish what it has; kill it only when it does not within `drain_s` seconds."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), drain_s)
        except TimeoutError:
            _log.error("worker_did_not_drain", worker=self._number, pid=process.pid)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
