"""Requests to providers: one bounded attempt each, judged by the adapter. Replies are untrusted input."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import aiohttp
from msgspec import Struct

from croupier.providers.contract import (
    Adapter,
    Attempt,
    LaunchAnswer,
    LaunchOrder,
    LaunchRefused,
    LaunchUnknown,
    OutboundRequest,
    ProviderAccount,
    Reply,
    TransportFault,
)
from croupier_signing import random_nonce

UNREACHABLE: Final = "unreachable"


class ClientLimits(Struct, frozen=True, kw_only=True):
    """The bounds of one attempt and of the pool; the shorter of this deadline and the adapter's counts."""

    deadline_s: float = 5.0
    reply_bytes: int = 64 * 1024
    connections: int = 100
    connections_per_host: int = 16


class NotSent(Struct, frozen=True, gc=False):
    """No connection came about, so not one byte of the request left: nothing was applied by this attempt."""

    reason: str


class LaunchClient:
    """Opens sessions at providers: one pool, no redirects, no cookies, no compression, no retries."""

    def __init__(self, now: Callable[[], datetime], limits: ClientLimits | None = None) -> None:
        self._now = now
        self._limits = limits or ClientLimits()
        self._session: aiohttp.ClientSession | None = None

    async def launch(
        self,
        account: ProviderAccount,
        adapter: Adapter,
        order: LaunchOrder,
        *,
        traceparent: bytes | None = None,
        is_first: bool = True,
    ) -> LaunchAnswer:
        """One signed attempt.

        When no connection comes about, a first attempt is refused (`unreachable`): the provider certainly has
        no such session. A later attempt is unknown then, because an earlier one may have arrived.
        """
        attempt = Attempt(timestamp_s=int(self._now().timestamp()), nonce=random_nonce())
        request = adapter.build_launch(order, account, attempt)
        reply = await self.send_request(request, traceparent)
        if isinstance(reply, NotSent):
            return LaunchRefused(UNREACHABLE) if is_first else LaunchUnknown(UNREACHABLE)
        return adapter.read_launch(order, reply)

    async def send_request(
        self, request: OutboundRequest, traceparent: bytes | None = None
    ) -> Reply | TransportFault | NotSent:
        """Send once and read the reply within its bounds; every fault of transport becomes a value."""
        try:
            async with asyncio.timeout(min(request.deadline_s, self._limits.deadline_s)):
                return await self._exchange(request, traceparent)
        except TimeoutError:
            return TransportFault("timeout")
        except aiohttp.ClientConnectorError:
            return NotSent("connect")
        except (aiohttp.ClientError, OSError):
            return TransportFault("reset")

    async def _exchange(self, request: OutboundRequest, traceparent: bytes | None) -> Reply | TransportFault:
        async with self._pool().request(
            request.method,
            request.url,
            data=request.body,
            headers=_headers(request, traceparent),
            allow_redirects=False,
        ) as response:
            body = await self._read(response.content)
            if body is None:
                return TransportFault("too_large")
            return Reply(response.status, body, tuple((n.lower(), v) for n, v in response.raw_headers))

    async def _read(self, content: aiohttp.StreamReader) -> bytes | None:
        """The whole body; None when it is longer than allowed."""
        chunks: list[bytes] = []
        left = self._limits.reply_bytes
        while chunk := await content.read(left + 1):
            left -= len(chunk)
            if left < 0:
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._limits.connections, limit_per_host=self._limits.connections_per_host
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session

    async def close(self) -> None:
        """Give every connection back."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _headers(request: OutboundRequest, traceparent: bytes | None) -> list[tuple[str, str]]:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    headers.append(("accept-encoding", "identity"))
    if traceparent is not None:
        headers.append(("traceparent", traceparent.decode("latin-1")))
    return headers
