"""Requests to providers: one bounded attempt each, judged by the adapter. Replies are untrusted input."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import aiohttp
from msgspec import Struct

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.providers.contract import (
    Adapter,
    Attempt,
    LaunchAnswer,
    Launched,
    LaunchOrder,
    LaunchRefused,
    LaunchUnknown,
    OutboundRequest,
    ProviderAccount,
    Question,
    QuestionAnswer,
    QuestionRefused,
    QuestionUnanswered,
    Reply,
    TransportFault,
)
from croupier_signing import Key, random_nonce

UNREACHABLE: Final = "unreachable"
NOT_OFFERED: Final = "not_offered"
NO_KEY_RETRY_S: Final = 5


class ClientLimits(Struct, frozen=True, kw_only=True):
    """The bounds of one attempt and of the pool; the shorter of this deadline and the adapter's counts.

    `reply_bytes` bounds the answer to a launch, `list_bytes` the answer to a question, which may be a game list.
    """

    deadline_s: float = 5.0
    reply_bytes: int = 64 * 1024
    list_bytes: int = 8 * 1024 * 1024
    connections: int = 100
    connections_per_host: int = 16


class NotSent(Struct, frozen=True, gc=False):
    """No connection came about, so not one byte of the request left: nothing was applied by this attempt."""

    reason: str


class ProviderClient:
    """Launches and questions: one pool, no redirects, no cookies, no compression, no retries.

    `note_signed` is told the provider account and the key of every request that is signed.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        limits: ClientLimits | None = None,
        note_signed: Callable[[str, str], None] = lambda provider, key_id: None,
    ) -> None:
        self._now = now
        self._limits = limits or ClientLimits()
        self._note_signed = note_signed
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
        no such session. A later attempt is unknown then, because an earlier one may have arrived. Raises
        CroupierError (unavailable) while no key signs calls to the provider.
        """
        key = _signing_key(account)
        request = adapter.build_launch(order, account, self._begin_attempt())
        self._note_signed(account.id, key.id)
        reply = await self.send_request(request, traceparent)
        if isinstance(reply, NotSent):
            return LaunchRefused(UNREACHABLE) if is_first else LaunchUnknown(UNREACHABLE)
        return _absolute(adapter.read_launch(order, reply), account)

    async def ask(self, account: ProviderAccount, adapter: Adapter, question: Question) -> QuestionAnswer:
        """Ask once. A protocol without such a question refuses it (`not_offered`), whatever the account.

        Raises CroupierError (unavailable) while no key signs calls to the provider.
        """
        key = _signing_key(account)
        request = adapter.build_question(question, account, self._begin_attempt())
        if request is None:
            return QuestionRefused(NOT_OFFERED)
        self._note_signed(account.id, key.id)
        reply = await self.send_request(request, reply_bytes=self._limits.list_bytes)
        if isinstance(reply, NotSent):
            return QuestionUnanswered(UNREACHABLE)
        return adapter.read_answer(question, reply)

    def _begin_attempt(self) -> Attempt:
        return Attempt(timestamp_s=int(self._now().timestamp()), nonce=random_nonce())

    async def send_request(
        self, request: OutboundRequest, traceparent: bytes | None = None, *, reply_bytes: int | None = None
    ) -> Reply | TransportFault | NotSent:
        """Send once and read the reply within its bounds; every fault of transport becomes a value."""
        try:
            async with asyncio.timeout(min(request.deadline_s, self._limits.deadline_s)):
                return await self._exchange(request, traceparent, reply_bytes or self._limits.reply_bytes)
        except TimeoutError:
            return TransportFault("timeout")
        except aiohttp.ClientConnectorError:
            return NotSent("connect")
        except (aiohttp.ClientError, OSError):
            return TransportFault("reset")

    async def _exchange(
        self, request: OutboundRequest, traceparent: bytes | None, reply_bytes: int
    ) -> Reply | TransportFault:
        async with self._pool().request(
            request.method,
            request.url,
            data=request.body,
            headers=_headers(request, traceparent),
            allow_redirects=False,
        ) as response:
            body = await _read(response.content, reply_bytes)
            if body is None:
                return TransportFault("too_large")
            return Reply(response.status, body, tuple((n.lower(), v) for n, v in response.raw_headers))

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


async def _read(content: aiohttp.StreamReader, left: int) -> bytes | None:
    """The whole body; None when it is longer than allowed."""
    chunks: list[bytes] = []
    while chunk := await content.read(left + 1):
        left -= len(chunk)
        if left < 0:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _signing_key(account: ProviderAccount) -> Key:
    if account.outbound_key is None:
        detail = f"no key signs calls to {account.id}; publish and promote an outbound key, then repeat"
        raise CroupierError(UNAVAILABLE, detail, retry_after_s=NO_KEY_RETRY_S)
    return account.outbound_key


def _absolute(answer: LaunchAnswer, account: ProviderAccount) -> LaunchAnswer:
    """Some protocols give the game's address as a path of their own API."""
    if isinstance(answer, Launched) and answer.url.startswith("/"):
        return Launched(account.base_url.rstrip("/") + answer.url)
    return answer


def _headers(request: OutboundRequest, traceparent: bytes | None) -> list[tuple[str, str]]:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    headers.append(("accept-encoding", "identity"))
    if traceparent is not None:
        headers.append(("traceparent", traceparent.decode("latin-1")))
    return headers
