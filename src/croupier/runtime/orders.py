"""Orders: what a supervisor tells the processes it starts, over their standard input."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

READY_LINE: Final = b"ready\n"
"""What a process says on its standard output once it works."""


class Orders(msgspec.Struct, frozen=True):
    """Where the database is, and which configuration file to read."""

    database_url: str
    config_path: str | None


def render_orders(orders: Orders) -> bytes:
    """Orders as a line for a process's standard input."""
    return msgspec.json.encode(orders) + b"\n"


def read_first_orders() -> Orders:
    """The first line of standard input, unbuffered: the event loop watches the rest."""
    line = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        line += byte
    return msgspec.json.decode(bytes(line), type=Orders)


async def follow_orders(take: Callable[[Orders], Awaitable[None]]) -> None:
    """Take every later order, and end cleanly (SIGTERM to ourselves) when the supervisor's end of the pipe closes."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        await take(msgspec.json.decode(line, type=Orders))
    os.kill(os.getpid(), signal.SIGTERM)


def tell_ready() -> None:
    """Tell the supervisor that this process works."""
    sys.stdout.buffer.write(READY_LINE)
    sys.stdout.buffer.flush()
