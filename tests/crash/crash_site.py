"""A deployment to be killed: `croupier serve` and the sandbox as processes, in a folder and on ports of their own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg

from croupier.bench.site import free_port
from croupier.demo.platform import Platform
from croupier.runtime.config.starter import KEYS_FOLDER, write_starter
from croupier.runtime.database import connect_owner
from croupier.runtime.embedded import EmbeddedServer
from croupier.runtime.supervisor import DATABASE
from croupier_signing import SigningKey

READY_S: Final = 60.0
DRAIN_S: Final = 30.0
GONE_S: Final = 15.0
POLL_S: Final = 0.02
WORKER: Final = "croupier.runtime.worker"
Process = asyncio.subprocess.Process


async def until(condition: Callable[[], Any], what: str, *, within_s: float) -> None:
    """Wait for a condition, awaitable or not; raises AssertionError at the deadline."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                answer = condition()
                if await answer if asyncio.iscoroutine(answer) else answer:
                    return
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"{what}: not within {within_s:g} s") from None


class CrashSite:
    """Where everything listens, and the processes there are now."""

    def __init__(self, folder: Path, *, workers: int = 2) -> None:
        self.folder = folder
        self._workers = workers
        self._ports = [free_port() for _ in range(3)]
        self.gateway = f"http://127.0.0.1:{self._ports[0]}"
        self.sandbox = f"http://127.0.0.1:{self._ports[2]}"
        report = write_starter(folder)
        self.config_path = report.config_path
        text = report.config_path.read_text()
        text = text.replace("127.0.0.1:8702", f"127.0.0.1:{self._ports[2]}")
        report.config_path.write_text(text)
        self.token = report.operator_token_path.read_text().strip()
        self._keys = (folder / KEYS_FOLDER).resolve()
        self.key = SigningKey("sandbox-in-1", (self._keys / "sandbox-in-1.key").read_text().strip().encode())
        self.log_path = folder / "serve.log"
        self.supervisor: Process | None = None
        self._database: EmbeddedServer | None = None

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CROUPIER_")}
        kept.pop("DATABASE_URL", None)
        return kept | {
            "CROUPIER_HTTP_PUBLIC": f"127.0.0.1:{self._ports[0]}",
            "CROUPIER_HTTP_ADMIN": f"127.0.0.1:{self._ports[1]}",
            "CROUPIER_TELEMETRY_LOG_FORMAT": "json",
        }

    async def serve(self) -> Process:
        """Start `croupier serve` and wait until it is ready."""
        with self.log_path.open("ab") as log:
            self.supervisor = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "croupier.cli.main", "--config", str(self.config_path)),
                *("serve", "--workers", str(self._workers)),
                env=self._environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await until(self._is_ready, f"croupier serve is ready\n{self.log_tail()}", within_s=READY_S)
        return self.supervisor

    async def _is_ready(self) -> bool:
        assert self.supervisor is not None
        assert self.supervisor.returncode is None, self.log_tail()
        if len(self.worker_pids()) < self._workers:
            return False
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http,
                http.get(f"{self.gateway}/readyz") as reply,
            ):
                return reply.status == 200
        return False

    def log_tail(self, size: int = 4_000) -> str:
        """The end of what `croupier serve` wrote."""
        return self.log_path.read_bytes()[-size:].decode(errors="replace") if self.log_path.exists() else ""

    def worker_pids(self) -> list[int]:
        """The supervisor's living workers."""
        assert self.supervisor is not None
        path = Path(f"/proc/{self.supervisor.pid}/task/{self.supervisor.pid}/children")
        with contextlib.suppress(OSError):
            return [pid for pid in map(int, path.read_text().split()) if WORKER in command_line(pid)]
        return []

    def postmaster_pid(self) -> int | None:
        """The database's first process, if there is one now."""
        with contextlib.suppress(ValueError, IndexError):
            pid = int(self._postmaster_file()[0])
            return pid if "postgres" in command_line(pid) else None
        return None

    def database_port(self) -> int:
        """Where the running database listens."""
        return int(self._postmaster_file()[3])

    def _postmaster_file(self) -> list[str]:
        for file in (self.folder / ".croupier" / "postgres").rglob("postmaster.pid"):
            with contextlib.suppress(OSError):
                return file.read_text().splitlines()
        return []

    @contextlib.asynccontextmanager
    async def sandbox_process(self, *, seed: int = 1) -> AsyncIterator[None]:
        """The sandbox provider, ended at the end of the block."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "croupier.sandbox", "serve", "--seed", str(seed)),
            *("--listen", f"127.0.0.1:{self._ports[2]}", "--gateway", self.gateway),
            *("--key-id", "sandbox-in-1", "--secret", f"file:{self._keys / 'sandbox-in-1.key'}"),
            *(
                "--launch-key-id",
                "sandbox-out-1",
                "--launch-secret",
                f"file:{self._keys / 'sandbox-out-1.key'}",
            ),
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

    def platform(self) -> Platform:
        """A client of the operator API that repeats what may be repeated."""
        return Platform(self.gateway, self.token)

    async def connect(self) -> asyncpg.Connection:
        """One connection to the database as its owner; the server must be running."""
        if self._database is None:
            self._database = EmbeddedServer(self.folder / ".croupier" / "postgres")
        await self._database.start()
        return await connect_owner(self._database.url(DATABASE))

    async def close(self) -> None:
        """End what is left, the database included."""
        if self.supervisor is not None and self.supervisor.returncode is None:
            await end(self.supervisor)
        if self.postmaster_pid() is not None:
            server = EmbeddedServer(self.folder / ".croupier" / "postgres")
            await server.start()
            await server.take_over()
            await server.stop("immediate")


async def end(process: Process) -> int:
    """Ask a process to end, kill it if it does not within its bound; its exit code."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(DRAIN_S):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


def command_line(pid: int) -> str:
    """A living process's command line; empty for one that is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
