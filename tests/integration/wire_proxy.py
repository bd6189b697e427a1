"""A TCP proxy in front of PostgreSQL that loses connections at chosen moments of the wire protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from enum import Enum, auto
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from lane_desk import with_address

COMMIT: Final = b"Q\x00\x00\x00\x15COMMIT AND CHAIN\x00"
"""A simple query: its type, its length, its text (PostgreSQL documentation, "Message Formats")."""
READY: Final = b"Z\x00\x00\x00\x05I"
"""The server's word that nothing is open any more: what was sent has been done and committed."""
CHAINED: Final = b"C\x00\x00\x00\x0bCOMMIT\x00Z\x00\x00\x00\x05T"
"""The server's word that what was open is committed, and the next transaction is open."""
CHUNK: Final = 65_536


class Cut(Enum):
    """When the connection of the next COMMIT, or of the next message with a marker, is lost."""

    BEFORE = auto()
    """The server never hears of it."""
    AFTER = auto()
    """The server has committed; its reply is lost."""
    SILENT = auto()
    """The server never hears of it, and nobody says a word until the client gives up."""
    LATE = auto()
    """The client is cut off first; the server hears of it when `let_commit` is called."""


class WireProxy:
    """Listens on a port of its own from entry to exit."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 5432
        self._url = url
        self._armed: Cut | None = None
        self._marker = COMMIT
        self._is_last = False
        self._late = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()
        self.is_down = False
        self.cuts = 0
        self.turned_away = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = with_address(self._url, self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hang_up()

    def arm(self, cut: Cut, *, marker: bytes = COMMIT, is_last: bool = False) -> None:
        """Lose the connection of the next COMMIT, or of the next message that holds `marker`.

        `is_last`: take no other connection after it, until `come_back`.
        """
        self._armed, self._marker, self._is_last = cut, marker, is_last

    def let_commit(self) -> None:
        """Pass on the COMMIT that was held back."""
        self._late.set()

    def go_down(self) -> None:
        """Cut every connection, and take none until `come_back`."""
        self.is_down = True
        self._hang_up()

    def come_back(self) -> None:
        """Take connections again."""
        self.is_down = False

    def _hang_up(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_down:
            self.turned_away += 1
            writer.transport.abort()
            return
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            async with self._joined(writer) as (server_reader, server_writer):
                await self._pump(reader, writer, server_reader, server_writer)

    @contextlib.asynccontextmanager
    async def _joined(
        self, writer: asyncio.StreamWriter
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
        mine = {writer, server_writer}
        self._open |= mine
        try:
            yield server_reader, server_writer
        finally:
            self._open -= mine
            for one in mine:
                one.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        replies = asyncio.create_task(_copy(server_reader, writer))
        try:
            while chunk := await reader.read(CHUNK):
                if self._armed is not None and self._marker in chunk:
                    cut, self._armed = self._armed, None
                    self.is_down = self._is_last
                    self.cuts += 1
                    replies.cancel()
                    await asyncio.wait({replies})
                    while cut is Cut.SILENT and await reader.read(CHUNK):
                        pass
                    await self._lose(cut, chunk, writer, server_reader, server_writer)
                    return
                server_writer.write(chunk)
        finally:
            replies.cancel()

    async def _lose(
        self,
        cut: Cut,
        chunk: bytes,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        if cut in (Cut.BEFORE, Cut.SILENT):
            return
        if cut is Cut.LATE:
            writer.transport.abort()
            await self._late.wait()
        server_writer.write(chunk)
        reply = b""
        end = CHAINED if self._marker == COMMIT else READY
        while end not in reply:
            reply += await server_reader.read(CHUNK)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
    writer.transport.abort()
