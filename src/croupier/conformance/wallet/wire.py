"""Connections to a wallet: requests as exact bytes, and connections that are closed before the answer comes."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Final
from urllib.parse import urlsplit

import httptools
from msgspec import Struct

TIMEOUT_S: Final = 10.0
IDLE_S: Final = 1.0
"""How long a connection may have been idle to be used again: a wallet closes idle ones when it likes."""
CHUNK: Final = 65_536
LARGEST_ANSWER: Final = 16 * 1024 * 1024


class Answer(Struct, frozen=True, kw_only=True):
    """What came back. `status` is 0 when nothing did, and `why` says in which way."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    why: str = ""


class _Parts:
    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, chunk: bytes) -> None:
        self.body += chunk

    def on_message_complete(self) -> None:
        self.is_complete = True


class _Line:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.idle_since_s = 0.0
        self.is_reusable = False

    @property
    def is_fit(self) -> bool:
        return not self._reader.at_eof() and time.monotonic() - self.idle_since_s < IDLE_S

    async def exchange(self, message: bytes) -> Answer:
        self.is_reusable = False
        self._writer.write(message)
        parts = _Parts()
        parser = httptools.HttpResponseParser(parts)
        while not parts.is_complete:
            chunk = await self._reader.read(CHUNK)
            if not chunk:
                return Answer(status=0, why="the connection was closed before an answer was complete")
            parser.feed_data(chunk)
            if len(parts.body) > LARGEST_ANSWER:
                return Answer(status=0, why=f"the answer is longer than {LARGEST_ANSWER} bytes")
        self.is_reusable = parser.should_keep_alive()
        self.idle_since_s = time.monotonic()
        return Answer(status=parser.get_status_code(), headers=tuple(parts.headers), body=bytes(parts.body))

    async def send_only(self, message: bytes, *, is_reset: bool) -> None:
        self._writer.write(message)
        await self._writer.drain()
        if is_reset:
            self._writer.transport.abort()

    def end(self) -> None:
        self._writer.close()


class Wire:
    """Connections to one wallet, kept alive as long as they are fresh."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self.authority = parts.netloc.rpartition("@")[2].encode()
        self._idle: list[_Line] = []

    async def send(self, message: bytes, *, is_fresh: bool = False) -> Answer:
        """The answer to one whole HTTP request; `is_fresh` asks for a connection of its own."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._exchange(message, is_fresh=is_fresh)
        except TimeoutError:
            return Answer(status=0, why=f"no answer came within {TIMEOUT_S:.0f} s")
        except (OSError, httptools.HttpParserError) as error:
            return Answer(status=0, why=f"{type(error).__name__}: {error}")

    async def send_and_leave(self, message: bytes, *, is_reset: bool) -> None:
        """Send the bytes on a connection of their own and close it without reading; OSError, TimeoutError."""
        async with asyncio.timeout(TIMEOUT_S):
            line = await self._open()
            try:
                await line.send_only(message, is_reset=is_reset)
            finally:
                line.end()

    async def _exchange(self, message: bytes, *, is_fresh: bool) -> Answer:
        line = await self._open() if is_fresh else await self._take()
        try:
            answer = await line.exchange(message)
        finally:
            if not line.is_reusable:
                line.end()
        if line.is_reusable:
            self._idle.append(line)
        return answer

    async def _take(self) -> _Line:
        while self._idle:
            line = self._idle.pop()
            if line.is_fit:
                return line
            line.end()
        return await self._open()

    async def _open(self) -> _Line:
        return _Line(*await asyncio.open_connection(self._host, self._port, ssl=self._tls))

    def close(self) -> None:
        """Hang up everywhere."""
        while self._idle:
            self._idle.pop().end()
