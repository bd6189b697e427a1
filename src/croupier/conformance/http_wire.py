"""Requests to the gateway as exact bytes: what no HTTP client would send must be sent too."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

import httptools

from croupier.conformance.reading import NO_ANSWER, Request, Response

TIMEOUT_S: Final = 20.0
CONNECTIONS: Final = 16
CHUNK: Final = 65_536
_LENGTHS: Final = frozenset({b"content-length", b"transfer-encoding"})


class _Answer:
    """What a parser found of one answer."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self.headers.append((name.lower(), value))

    def on_body(self, chunk: bytes) -> None:
        """A part of the body."""
        self.body += chunk

    def on_message_complete(self) -> None:
        """The answer is here."""
        self.is_complete = True


class _Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.is_reusable = False

    async def exchange(self, message: bytes) -> Response:
        """Send, and read until the answer is complete; no answer when the other side hangs up before."""
        self._writer.write(message)
        answer = _Answer()
        parser = httptools.HttpResponseParser(answer)
        while not answer.is_complete:
            chunk = await self._reader.read(CHUNK)
            if not chunk:
                return NO_ANSWER
            parser.feed_data(chunk)
        self.is_reusable = parser.should_keep_alive()
        return Response(
            status=parser.get_status_code(), headers=tuple(answer.headers), body=bytes(answer.body)
        )

    def end(self) -> None:
        """Hang up."""
        self._writer.close()


class HttpWire:
    """Connections to one gateway, kept alive and few."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._authority = parts.netloc.rpartition("@")[2].encode()
        self._idle: list[_Line] = []
        self._free = asyncio.Semaphore(CONNECTIONS)

    async def send(self, request: Request) -> Response:
        """The answer, or `NO_ANSWER` after a reset, a hang-up or `TIMEOUT_S` seconds."""
        async with self._free:
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    return await self._send(self._render(request))
            except (OSError, TimeoutError, httptools.HttpParserError):
                return NO_ANSWER

    async def _send(self, message: bytes) -> Response:
        line = self._idle.pop() if self._idle else await self._open()
        try:
            answer = await line.exchange(message)
        finally:
            if not line.is_reusable:
                line.end()
        if line.is_reusable:
            self._idle.append(line)
        return answer

    async def _open(self) -> _Line:
        return _Line(*await asyncio.open_connection(self._host, self._port, ssl=self._tls))

    def _render(self, request: Request) -> bytes:
        lines = [
            request.method.encode("latin-1") + b" " + request.target + b" HTTP/1.1",
            b"host: " + self._authority,
            *(name + b": " + value for name, value in request.headers),
        ]
        if not any(name in _LENGTHS for name, _ in request.headers):
            lines.append(b"content-length: %d" % len(request.body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + request.body

    def close(self) -> None:
        """Hang up everywhere."""
        while self._idle:
            self._idle.pop().end()
