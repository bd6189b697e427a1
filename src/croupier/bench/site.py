"""A gateway under load: where it listens, which key opens it, and which processes it consists of."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
from pathlib import Path
from typing import Final

from msgspec import Struct

from croupier.bench.children import ChildFailed

OPEN_S: Final = 60.0
ANSWER_S: Final = 5.0
_PAUSE_S: Final = 0.1
_CHANCE: Final = random.Random()  # noqa: S311 (spreads ports, guards nothing)
PORTS: Final = range(20_000, 32_000)
"""Below the ports that systems give to outgoing connections."""
_TRIES: Final = 50
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Site(Struct, frozen=True, kw_only=True):
    """A running gateway; `pid` is its supervisor."""

    port: int
    key_id: str
    secret: bytes
    pid: int
    host: str = "127.0.0.1"

    def cpu_s(self) -> float:
        """CPU seconds its processes have used so far, the ended ones left out."""
        return sum(_cpu_s(pid) for pid in (self.pid, *descendants(self.pid)))

    def worker_pids(self, command: str) -> list[int]:
        """Its processes whose command line holds a text."""
        return [pid for pid in descendants(self.pid) if command in _command_line(pid)]


def free_port() -> int:
    """A port of the loopback that nobody listens on now, and that no outgoing connection is given meanwhile."""
    for port in _CHANCE.sample(PORTS, _TRIES):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ChildFailed(f"none of {_TRIES} ports of the loopback was free")


async def wait_until_open(port: int, process: asyncio.subprocess.Process, *, path: str) -> None:
    """Return when the gateway answers 200; raises ChildFailed when it ends or takes too long."""
    deadline = asyncio.get_running_loop().time() + OPEN_S
    while not await _answers(port, path):
        if process.returncode is not None:
            raise ChildFailed(f"the gateway ended with status {process.returncode}; its log says why")
        if asyncio.get_running_loop().time() > deadline:
            raise ChildFailed(f"the gateway did not answer within {OPEN_S:.0f} s")
        await asyncio.sleep(_PAUSE_S)


async def _answers(port: int, path: str) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET %b HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n" % path.encode())
        return b" 200 " in await asyncio.wait_for(reader.readline(), ANSWER_S)
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def descendants(pid: int) -> list[int]:
    """Children, their children, and so on."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, _read(task).split()):
            found += [child, *descendants(child)]
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 when it is gone."""
    fields = _read(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def _cpu_s(pid: int) -> float:
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _command_line(pid: int) -> str:
    return _read(Path(f"/proc/{pid}/cmdline")).replace("\0", " ")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
