"""Requests to providers: bounded attempts, judged by the adapter. Replies are untrusted input."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Final

import aiohttp
from aiohttp.http_exceptions import PayloadEncodingError
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
from croupier.providers.retries import (
    RetryBudget,
    RetrySettings,
    may_pass,
    plan_pause,
    read_retry_after_s,
)
from croupier_signing import Key, random_nonce

UNREACHABLE: Final = "unreachable"
NAME_NOT_FOUND: Final = "name_not_found"
TLS_FAILED: Final = "tls_failed"
ADDRESS_NOT_USABLE: Final = "address_not_usable"
UNREACHED: Final = frozenset({UNREACHABLE, NAME_NOT_FOUND, TLS_FAILED, ADDRESS_NOT_USABLE})
"""Why no connection came about: of such a call the provider never heard."""
NOT_OFFERED: Final = "not_offered"
NO_KEY_RETRY_S: Final = 5
_JITTER: Final = random.Random()  # noqa: S311 (spreads retries, guards nothing)


class ClientLimits(Struct, frozen=True, kw_only=True):
    """The bounds of one call and of the pool; the shorter of these deadlines and the adapter's counts.

    `deadline_s` is that of a launch, retries included, `question_s` that of a question, for which nobody plays.
    `connect_s` is for waiting in the pool, the name, the connection and TLS; `reply_bytes` bounds the answer to a
    launch, `list_bytes` the answer to a question, which may be a game list; `header_bytes` bounds one line of a head.
    """

    deadline_s: float = 5.0
    question_s: float = 30.0
    connect_s: float = 3.0
    reply_bytes: int = 64 * 1024
    list_bytes: int = 8 * 1024 * 1024
    header_lines: int = 128
    header_bytes: int = 8190
    connections: int = 100
    connections_per_host: int = 16
    retries: RetrySettings = RetrySettings()


class NotSent(Struct, frozen=True, gc=False):
    """No connection came about, so not one byte of the request left: nothing was applied by this attempt.

    `reason` is one of UNREACHED.
    """

    reason: str


class ProviderClient:
    """Launches and questions: one pool, no redirects, no cookies, no compression, one call on a connection.

    Whatever else comes on a connection is no answer to the next call then, which may be another player's. A launch is
    tried again within its deadline and its provider's budget; questions are not. `note_signed` is told the provider
    account and the key of every request that is signed, `note_budget` how full a budget is, in percent.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        limits: ClientLimits | None = None,
        note_signed: Callable[[str, str], None] = lambda provider, key_id: None,
        note_budget: Callable[[str, int], None] = lambda provider, percent: None,
    ) -> None:
        self._now = now
        self._limits = limits or ClientLimits()
        self._note_signed = note_signed
        self._note_budget = note_budget
        self._budgets: dict[str, RetryBudget] = {}
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
        """Signed attempts under the same session, which a provider opens once however often it is asked.

        What may pass is tried again, each time signed anew, within the deadline of the whole and the provider's
        budget. When no connection comes about, a first attempt is refused (UNREACHED): the provider certainly has
        no such session. A later one is unknown then, because an earlier one may have arrived; so is a refusal that
        follows an attempt of which nobody can tell. Raises CroupierError (unavailable) while no key signs calls to the
        provider.
        """
        budget = self._budget_of(account.id)
        budget.earn()
        ends_at: float | None = None
        may_have_arrived = False
        for attempt in count(1):
            key = _signing_key(account)
            request = adapter.build_launch(order, account, self._begin_attempt())
            ends_at = ends_at or _end_of(request, self._limits.deadline_s)
            self._note_signed(account.id, key.id)
            reply = await self.send_request(request, traceparent, ends_at=ends_at)
            if isinstance(reply, NotSent):
                answer: LaunchAnswer = (LaunchRefused if is_first else LaunchUnknown)(reply.reason)
            else:
                is_first = False
                answer = _absolute(adapter.read_launch(order, reply), account)
                if may_have_arrived and isinstance(answer, LaunchRefused):
                    # It may be refused because the attempt before opened it.
                    answer = LaunchUnknown(answer.reason)
                may_have_arrived = may_have_arrived or isinstance(answer, LaunchUnknown)
            pause_s = self._pause_s(answer, reply, attempt, ends_at)
            if pause_s is None or not budget.spend():
                break
            await asyncio.sleep(pause_s)
        self._note_budget(account.id, budget.remaining_percent)
        return answer

    def _budget_of(self, provider: str) -> RetryBudget:
        return self._budgets.setdefault(provider, RetryBudget(self._limits.retries))

    def _pause_s(
        self, answer: LaunchAnswer, reply: Reply | TransportFault | NotSent, attempt: int, ends_at: float
    ) -> float | None:
        """How long to wait before another attempt; None when there should be none."""
        is_told = isinstance(answer, LaunchRefused) and not isinstance(reply, NotSent)
        came = reply if isinstance(reply, Reply) else reply.reason
        retries = self._limits.retries
        if isinstance(answer, Launched) or is_told or attempt >= retries.attempts or not may_pass(came):
            return None
        return plan_pause(
            attempt,
            read_retry_after_s(came, self._now()),
            left_s=ends_at - time.monotonic(),
            settings=retries,
            chance=_JITTER.random(),
        )

    async def ask(self, account: ProviderAccount, adapter: Adapter, question: Question) -> QuestionAnswer:
        """Ask once. A protocol without such a question refuses it (`not_offered`), whatever the account.

        Raises CroupierError (unavailable) while no key signs calls to the provider.
        """
        key = _signing_key(account)
        request = adapter.build_question(question, account, self._begin_attempt())
        if request is None:
            return QuestionRefused(NOT_OFFERED)
        self._note_signed(account.id, key.id)
        limits = self._limits
        reply = await self.send_request(
            request, ends_at=_end_of(request, limits.question_s), reply_bytes=limits.list_bytes
        )
        if isinstance(reply, NotSent):
            return QuestionUnanswered(reply.reason)
        return adapter.read_answer(question, reply)

    def _begin_attempt(self) -> Attempt:
        return Attempt(timestamp_s=int(self._now().timestamp()), nonce=random_nonce())

    async def send_request(
        self,
        request: OutboundRequest,
        traceparent: bytes | None = None,
        *,
        ends_at: float,
        reply_bytes: int | None = None,
    ) -> Reply | TransportFault | NotSent:
        """Send once and read the reply within its bounds; every fault of transport becomes a value.

        `ends_at` is the end of the call that this is an attempt of, by the monotonic clock.
        """
        try:
            async with asyncio.timeout(max(0.0, ends_at - time.monotonic())):
                return await self._exchange(request, traceparent, reply_bytes or self._limits.reply_bytes)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return NotSent(_why_unreached(error))
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            return NotSent(ADDRESS_NOT_USABLE)
        except UnicodeError:
            # A name that no resolver takes. Should it ever come from a reply, then something was sent.
            return TransportFault(ADDRESS_NOT_USABLE)
        except TimeoutError:
            return TransportFault("timeout")
        except (aiohttp.ClientError, OSError) as error:
            return TransportFault("not_http" if _breaks_rules(error) else "reset")

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
            limits = self._limits
            connector = aiohttp.TCPConnector(
                limit=limits.connections,
                limit_per_host=limits.connections_per_host,
                force_close=True,
                ssl=ssl.create_default_context(),
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, connect=limits.connect_s),
                max_line_size=limits.header_bytes,
                max_field_size=limits.header_bytes,
                max_headers=limits.header_lines,
                middlewares=(_send_once,),
            )
        return self._session

    async def close(self) -> None:
        """Give every connection back."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _end_of(request: OutboundRequest, bound_s: float) -> float:
    return time.monotonic() + min(request.deadline_s, bound_s)


def _why_unreached(error: aiohttp.ClientError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return NAME_NOT_FOUND
    return TLS_FAILED if isinstance(error, aiohttp.ClientSSLError) else UNREACHABLE


def _breaks_rules(error: Exception) -> bool:
    """Whether what came is no HTTP, rather than too little of it."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return not isinstance(error.__cause__, PayloadEncodingError)
    return isinstance(error, aiohttp.ClientResponseError)


class _Lost(aiohttp.ClientError):
    """The connection ended before there was a reply."""


async def _send_once(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep the library from sending a GET again by itself: how often one is sent is decided here, and counted."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise _Lost from error


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
