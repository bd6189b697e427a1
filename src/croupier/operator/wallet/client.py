"""Signed requests to the operator's wallet: one attempt each, on connections that are kept while they can be trusted.

Thousands of calls a second want connections that stay open, and on such a connection a reply may come that belongs to
another call. Three things keep it from doing harm: bytes that come while nothing is asked end the connection, a call
that was given up ends it, and a reply that is not about what was asked ends it.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Final, TypeVar

import aiohttp
from aiohttp.client import ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import PayloadEncodingError
from aiohttp.tracing import Trace
from msgspec import Struct
from yarl import URL

from croupier import __version__
from croupier.operator.wallet.replies import Answer, Heard
from croupier.operator.wallet.wire import BATCH, CALLS, STATEMENT
from croupier.providers.retries import RetrySettings
from croupier_signing import SigningKey, random_nonce, sign_native

T = TypeVar("T")

REPLY_BYTES: Final = 64 * 1024
"""Most of an answer to a single call that is read."""
LIST_BYTES: Final = 8 * 1024 * 1024
"""Most of an answer to a batch, or of a page of a statement, that is read."""
KEPT_S: Final = 4.0
"""How long an idle connection is kept: less than the 5 s after which common servers close theirs."""
CONNECT_S: Final = 3.0
HEADER_BYTES: Final = 8190
HEADER_LINES: Final = 64

UNREACHABLE: Final = "unreachable"
NAME_NOT_FOUND: Final = "name_not_found"
TLS_FAILED: Final = "tls_failed"
ADDRESS_NOT_USABLE: Final = "address_not_usable"
TIMEOUT: Final = "timeout"
RESET: Final = "reset"
NOT_HTTP: Final = "not_http"
TOO_LONG: Final = "too_long"


class WalletSettings(Struct, frozen=True, kw_only=True):
    """Where the wallet is, what signs the calls, and the bounds of what is asked of it.

    `timeout_s` is how long one attempt may take, waiting for a connection included; `connections` how many requests
    there are at once, `queue` how many more may wait; `batch` how many movements that wait travel together at most.
    """

    url: str
    key: SigningKey
    timeout_s: float = 2.0
    connections: int = 64
    queue: int = 4096
    batch: int = 1
    retries: RetrySettings = RetrySettings()


class Lost(Struct, frozen=True, gc=False):
    """There is no whole answer, and `reason` says why; `has_left`: some of the request may have reached the wallet."""

    reason: str
    has_left: bool


class WalletClient:
    """The connections to the wallet; close it at the end."""

    def __init__(self, settings: WalletSettings, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._now = now
        base = settings.url.rstrip("/")
        self._addresses: Mapping[str, tuple[URL, bytes]] = {
            path: (url, url.raw_path.encode()) for path in CALLS for url in (URL(base + path),)
        }
        # Reading the authorities takes longer than many a call, and blocks: not while a player waits.
        self._context = ssl.create_default_context() if base.startswith("https:") else None
        self._session: aiohttp.ClientSession | None = None
        self._lists: aiohttp.ClientSession | None = None

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        correlation_id: str | None,
        ends_at_s: float,
        read: Callable[[Answer], tuple[Heard[T], ...]],
    ) -> tuple[Heard[T], ...] | Lost:
        """Sign and send once, and read the answer within its bounds; every fault of transport becomes a value.

        `ends_at_s` is by the monotonic clock. Where what was read is not about what was asked, the connection ends.
        """
        passage = _Passage()
        mark = _PASSAGE.set(passage)
        try:
            async with asyncio.timeout(max(0.0, ends_at_s - time.monotonic())):
                answer = await self._exchange(path, body, correlation_id)
        except TimeoutError:
            return passage.lose(TIMEOUT if passage.protocol is not None else UNREACHABLE)
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            return Lost(_why_unreached(error), has_left=False)
        except UnicodeError:
            return passage.lose(ADDRESS_NOT_USABLE)
        except (aiohttp.ClientError, OSError) as error:
            return passage.lose(NOT_HTTP if _breaks_rules(error) else RESET)
        finally:
            _PASSAGE.reset(mark)
        if isinstance(answer, Lost):
            return answer
        heard = read(answer)
        if not all(one.fits for one in heard):
            passage.end()
        return heard

    async def _exchange(self, path: str, body: bytes, correlation_id: str | None) -> Answer | Lost:
        url, raw_path = self._addresses[path]
        headers = {
            "authorization": sign_native(
                self._settings.key,
                method="POST",
                path=raw_path,
                query=b"",
                timestamp_s=int(self._now().timestamp()),
                nonce=random_nonce(),
                body=body,
            ),
            **_HEADERS,
        }
        # One that cannot stand in a header is none of ours, and must not keep the call from being made.
        if correlation_id is not None and correlation_id.isascii() and correlation_id.isprintable():
            headers["x-correlation-id"] = correlation_id
        session = self._sharing() if path != STATEMENT else self._listing()
        bound = LIST_BYTES if path in (BATCH, STATEMENT) else REPLY_BYTES
        async with session.request(
            "POST", url, data=body, headers=headers, allow_redirects=False
        ) as response:
            read = await _read(response.content, bound)
            if read is None:
                return Lost(TOO_LONG, has_left=True)
            return Answer(response.status, response.headers, read)

    def _sharing(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = self._open(keeps=True)
        return self._session

    def _listing(self) -> aiohttp.ClientSession:
        """Pages of a statement name nothing of what was asked, so that each has a connection of its own."""
        if self._lists is None:
            self._lists = self._open(keeps=False)
        return self._lists

    def _open(self, *, keeps: bool) -> aiohttp.ClientSession:
        limit, context = self._settings.connections, self._context or True
        connector = (
            _TrustedConnections(limit=limit, ssl=context, keepalive_timeout=KEPT_S)
            if keeps
            else _TrustedConnections(limit=limit, ssl=context, force_close=True)
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=ClientTimeout(total=None, connect=CONNECT_S),
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            max_headers=HEADER_LINES,
        )

    async def close(self) -> None:
        """Give every connection back."""
        for session in (self._session, self._lists):
            if session is not None:
                await session.close()
        self._session = self._lists = None


class _Passage:
    """The connection that a call went out on, as soon as it has one."""

    __slots__ = ("protocol",)

    def __init__(self) -> None:
        self.protocol: ResponseHandler | None = None

    def lose(self, reason: str) -> Lost:
        """No answer: it cannot have left before there was a connection. The library has ended that."""
        return Lost(reason, has_left=self.protocol is not None)

    def end(self) -> None:
        """End the connection, also where another call has it by now: what that would read is as doubtful."""
        if self.protocol is not None:
            self.protocol.abort()


_PASSAGE: ContextVar[_Passage] = ContextVar("croupier_wallet_passage")


class _TrustedConnections(aiohttp.TCPConnector):
    """A pool that gives out no connection on which something came that nobody had asked for."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 (the library's)
    ) -> Connection:
        """A connection that is silent. Raises ClientConnectionError when there is none."""
        for _ in range(self.limit + 2):
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close:
                _PASSAGE.get().protocol = protocol
                return connection
            connection.close()
        raise aiohttp.ClientConnectionError("whoever listens there speaks before it is asked")


_HEADERS: Final[Mapping[str, str]] = {
    "content-type": "application/json",
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": f"croupier/{__version__}",
}


async def _read(content: aiohttp.StreamReader, left: int) -> bytes | None:
    """The whole body; None when it is longer than allowed."""
    first = await content.read(left + 1)
    if content.at_eof():
        return first if len(first) <= left else None
    chunks = [first]
    left -= len(first)
    while left >= 0 and (chunk := await content.read(left + 1)):
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks) if left >= 0 else None


def _why_unreached(error: aiohttp.ClientError | ValueError) -> str:
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return NAME_NOT_FOUND
    if isinstance(error, aiohttp.ClientSSLError):
        return TLS_FAILED
    return UNREACHABLE if isinstance(error, aiohttp.ClientConnectorError) else ADDRESS_NOT_USABLE


def _breaks_rules(error: Exception) -> bool:
    """Whether what came is no HTTP, rather than too little of it."""
    if isinstance(error, aiohttp.ClientPayloadError):
        return not isinstance(error.__cause__, PayloadEncodingError)
    return isinstance(error, aiohttp.ClientResponseError)
