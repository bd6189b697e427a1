"""Launcher of the embedded PostgreSQL: start or attach, stop, survive crashes of either side.

Several processes may start one data folder at once: a file lock lets one of them start the server and the
others attach to it. Whoever started the server owns it and stops it; for the others `stop` does nothing. An
owner killed with SIGKILL leaves its server running; the next process that starts the same folder attaches
and becomes its owner. A server killed with SIGKILL is started again by PostgreSQL's own crash recovery.

Root, accounts and the files of the data folder: see `embedded_cluster`.
"""

import asyncio
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import asyncpg

from croupier.runtime.embedded_cluster import (
    SUPERUSER,
    Cluster,
    EmbeddedServerError,
    initialise,
    open_cluster,
    read_log_tail,
    read_password,
    render_settings,
    rotate_log,
    server_environment,
    write_private,
)
from croupier.runtime.embedded_processes import (
    process_mark,
    read_postmaster_file,
    remove_stale_postmaster_file,
    says_ready,
    send_signal,
    server_processes,
)

__all__ = ["EmbeddedServer", "EmbeddedServerError", "StopMode"]

StopMode = Literal["smart", "fast", "immediate"]

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
START_ATTEMPTS = 5
CONNECT_TIMEOUT_S = 5.0
POLL_S = 0.02
LOOPBACK = "127.0.0.1"
STOP_SIGNALS: Mapping[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
# PostgreSQL says these when a start may succeed a moment later: remains of a killed server, a lost port race.
RETRYABLE_LOG_LINES = (
    "lock file",
    "pre-existing shared memory block",
    "could not bind",
    "could not create any TCP",
)


_RUNNING: list[subprocess.Popen[bytes]] = []
"""Servers this process launched that have not ended. One may outlive the object that launched it, on purpose."""


class EmbeddedServer:
    """One embedded PostgreSQL on one data folder, on 127.0.0.1 with scram-sha-256.

    `settings` override lines of postgresql.conf and count when this process starts the server, not when it
    attaches. Every method raises EmbeddedServerError with the end of the server's log.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self._data_dir = data_dir
        self._settings = settings or {}
        self._start_timeout_s = start_timeout_s
        self._cluster: Cluster | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._port = 0
        self._is_owner = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def data_dir(self) -> Path:
        return self._started().folder

    @property
    def bin_dir(self) -> Path:
        return self._started().bin_folder

    @property
    def log_file(self) -> Path:
        return self._started().log_file

    @property
    def pid(self) -> int:
        """Process id of the postmaster."""
        self._started()
        return self._pid

    @property
    def port(self) -> int:
        self._started()
        return self._port

    @property
    def is_owner(self) -> bool:
        """Whether `stop` of this object stops the server."""
        return self._is_owner

    def url(self, database: str = "postgres") -> str:
        """Connection URL of the superuser; it holds the password (for logs: `database.redact_url`)."""
        return self._url(self._started(), database)

    def _url(self, cluster: Cluster, database: str) -> str:
        account = f"{SUPERUSER}:{read_password(cluster)}"
        return f"postgresql://{account}@{LOOPBACK}:{self._port}/{database}?sslmode=disable"

    def _started(self) -> Cluster:
        if self._cluster is None or self._pid == 0:
            raise EmbeddedServerError(
                f"the embedded server in {self._data_dir} was not started by this process"
            )
        return self._cluster

    async def start(self) -> None:
        """Start the server or attach to the one that runs; return when it accepts connections."""
        deadline = time.monotonic() + self._start_timeout_s
        cluster = self._cluster = await asyncio.to_thread(open_cluster, self._data_dir)
        async with _start_lock(cluster, deadline):
            self._reap()
            running = await self._find_running(cluster, deadline)
            if running is None:
                await asyncio.to_thread(initialise, cluster)
                await self._launch(cluster, deadline)
            else:
                self._is_owner = self._is_owner and running == self._pid
                self._pid = running
                await self._wait_until_ready(cluster, deadline)
            self._claim_ownership(cluster, started=running is None)

    async def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server if we own it and wait until no process of it is left; repeatable.

        A server which outlasts STOP_TIMEOUT_S is stopped at once (crash recovery follows at the next start).
        """
        if self._cluster is None or not self._is_owner:
            return
        deadline = time.monotonic() + STOP_TIMEOUT_S
        async with _start_lock(self._cluster, deadline):
            postmaster = read_postmaster_file(self._cluster)
            if postmaster is not None and postmaster[0] != self._pid:
                self._is_owner = False  # Ours was killed and somebody else has started the next one.
                return
            if not await self._stopped_by(STOP_SIGNALS[mode], deadline):
                await self._stopped_by(signal.SIGQUIT, deadline + STOP_TIMEOUT_S)
            if survivors := server_processes(self._cluster):
                raise _error(self._cluster, f"server processes {survivors} do not stop")
            self._is_owner = False

    def is_running(self) -> bool:
        """Whether the postmaster this object started or attached to is alive."""
        self._reap()
        return self._pid in server_processes(self._started())

    async def take_over(self) -> None:
        """Become the owner, whoever is it now: for a parent that ends what its children started."""
        cluster = self._started()
        async with _start_lock(cluster, time.monotonic() + self._start_timeout_s):
            self._claim_ownership(cluster, started=True)

    def kill(self) -> None:
        """SIGKILL the postmaster, as a crash does; its other processes notice and end within moments."""
        send_signal(self.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
            self._process = None

    async def _stopped_by(self, number: signal.Signals, deadline: float) -> bool:
        cluster = self._started()
        if self._pid in server_processes(cluster):
            send_signal(self._pid, number)
        while server_processes(cluster):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_S)
            self._reap()
        self._reap()
        return True

    def _reap(self) -> None:
        """Collect our own ended postmaster: until somebody does, PostgreSQL takes its id for alive."""
        _RUNNING[:] = [process for process in _RUNNING if process.poll() is None]
        if self._process is not None and self._process.poll() is not None:
            self._process = None

    async def _find_running(self, cluster: Cluster, deadline: float) -> int | None:
        """The running postmaster; waits for the remains of a killed one to end before answering None."""
        while processes := server_processes(cluster):
            postmaster = read_postmaster_file(cluster)
            if postmaster is not None and postmaster[0] in processes:
                self._port = postmaster[1]
                return postmaster[0]
            if time.monotonic() > deadline:
                raise _error(cluster, f"processes {processes} of a killed server do not end")
            await asyncio.sleep(POLL_S)
            self._reap()
        remove_stale_postmaster_file(cluster)
        return None

    async def _launch(self, cluster: Cluster, deadline: float) -> None:
        """Spawn the postmaster and wait for it, at most START_ATTEMPTS times, choosing a port each time."""
        for attempt in range(1, START_ATTEMPTS + 1):
            rotate_log(cluster)
            log_start = cluster.log_file.stat().st_size if cluster.log_file.exists() else 0
            self._port = _choose_port(cluster)
            self._process = _spawn(cluster, {**self._settings, "port": str(self._port)})
            _RUNNING.append(self._process)
            self._pid = self._process.pid
            is_ready = False
            try:
                await self._wait_until_ready(cluster, deadline)
                is_ready = True
            except EmbeddedServerError:
                said = read_log_tail(cluster, log_start)
                if attempt == START_ATTEMPTS or not any(line in said for line in RETRYABLE_LOG_LINES):
                    raise
            finally:
                if not is_ready:
                    self._end_failed_start()
            if is_ready:
                write_private(cluster.folder / "port", str(self._port))
                return
            await asyncio.sleep(0.1 * attempt)

    def _end_failed_start(self) -> None:
        self._pid = 0
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None

    async def _wait_until_ready(self, cluster: Cluster, deadline: float) -> None:
        """Wait for the end of start-up or crash recovery, then see that our password is taken."""
        while not (says_ready(cluster) and await self._accepts_connections(cluster)):
            if self._process is not None and self._process.poll() is not None:
                raise _error(cluster, f"PostgreSQL ended with code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise _error(cluster, f"PostgreSQL is not ready after {self._start_timeout_s:g} s")
            await asyncio.sleep(POLL_S)

    async def _accepts_connections(self, cluster: Cluster) -> bool:
        try:
            connection = await asyncpg.connect(self._url(cluster, "postgres"), timeout=CONNECT_TIMEOUT_S)
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
            return False
        except asyncpg.PostgresError as refusal:
            raise _error(cluster, f"the server on port {self._port} refuses us ({refusal})") from refusal
        await connection.close()
        return True

    def _claim_ownership(self, cluster: Cluster, *, started: bool) -> None:
        """Own what we started, and what its owner left behind when it was killed."""
        path = cluster.folder / "owner"
        owner = path.read_text().strip() if path.exists() else ""
        own_mark = process_mark(os.getpid())
        if started or not owner or process_mark(int(owner.split()[0])) != owner:
            write_private(path, own_mark)
            self._is_owner = True


@asynccontextmanager
async def _start_lock(cluster: Cluster, deadline: float) -> AsyncIterator[None]:
    """Hold the folder's start lock, which the kernel releases whatever happens to this process."""
    handle = os.open(cluster.folder / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(handle):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"another process holds {cluster.folder / 'start.lock'} for too long"
                )
            await asyncio.sleep(POLL_S)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _spawn(cluster: Cluster, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the postmaster in its own session: Ctrl-C in a terminal reaches us, and we stop it in order."""
    write_private(cluster.pgdata / "postgresql.conf", render_settings(settings), reader=cluster.account)
    command = [str(cluster.bin_folder / "postgres"), "-D", cluster.pgdata_argument]
    with cluster.log_file.open("ab") as log:
        return subprocess.Popen(  # noqa: S603  (our own wheel's binary, no shell)
            [*command, f"--cluster_name={cluster.marker}"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cluster.pgdata, env=server_environment(),
            umask=0o077, start_new_session=True,
            user=cluster.account.user, group=cluster.account.group, extra_groups=cluster.account.extra_groups,
        )  # fmt: skip


def _choose_port(cluster: Cluster) -> int:
    """The port of the last run if nobody else has it, else a free one."""
    path = cluster.folder / "port"
    kept = path.read_text().strip() if path.exists() else ""
    for port in (int(kept) if kept.isdigit() else 0, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedServerError(f"no free port on {LOOPBACK}")


def _error(cluster: Cluster, what: str) -> EmbeddedServerError:
    return EmbeddedServerError(f"{what}; end of {cluster.log_file}:\n{read_log_tail(cluster)}")
