"""One signed attempt to hand an event to an endpoint, as Standard Webhooks. Answers are untrusted and bounded."""

from __future__ import annotations

import asyncio
import ssl
from datetime import datetime
from typing import Final

import aiohttp
import msgspec
from msgspec import Struct
from yarl import URL

from croupier import __version__
from croupier.operator.outbox.addresses import AddressRefused, GuardedResolver, require_public_literal
from croupier.operator.outbox.answers import Answer, judge_status, render_excerpt, render_fault
from croupier.operator.outbox.schedule import parse_retry_after
from croupier.operator.outbox.settings import Endpoint
from croupier_signing import sign_webhook

ANSWER_BYTES: Final = 16_384
"""Most of an answer's body that is read; a connection with more to say is closed."""
BODY_S: Final = 2.0
"""How long the body may take once the status is there."""
KEEP_ALIVE_S: Final = 1.5
"""How long a connection may rest: shorter than the servers' own patience, so that they do not end it under us."""
LONGEST_CORRELATION: Final = 200


class Message(Struct, frozen=True):
    """An event ready to be sent: its public id, its payload, its correlation id if it has one."""

    event_id: str
    body: bytes
    correlation_id: str | None = None


class _Data(Struct):
    correlation_id: str | None = None


class _Payload(Struct):
    data: _Data


_PEEK: Final = msgspec.json.Decoder(_Payload)


def make_message(event_id: str, payload: str) -> Message:
    """The message of a stored payload."""
    body = payload.encode()
    given = _PEEK.decode(body).data.correlation_id
    is_fit = given is not None and given.isascii() and given.isprintable()
    return Message(event_id, body, given if is_fit and given and len(given) <= LONGEST_CORRELATION else None)


def render_headers(endpoint: Endpoint, message: Message, now: datetime) -> dict[str, str]:
    """The headers of one attempt; each key of the endpoint signs it, so that a receiver may know either."""
    timestamp_s = int(now.timestamp())
    signatures = [
        sign_webhook(key, webhook_id=message.event_id, timestamp_s=timestamp_s, body=message.body)
        for key in endpoint.keys
    ]
    headers = {
        "content-type": "application/json",
        "user-agent": f"croupier/{__version__}",
        "accept-encoding": "identity",
        "webhook-id": message.event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signatures),
    }
    if message.correlation_id is not None:
        headers["x-correlation-id"] = message.correlation_id
    return headers


class EndpointClient:
    """The connections to one endpoint, which share nothing with those to another; close it at the end."""

    def __init__(self, endpoint: Endpoint, *, connections: int) -> None:
        self._endpoint = endpoint
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def send_event(self, message: Message, now: datetime) -> Answer:
        """Send once; whatever happens becomes an answer. The status decides, whatever becomes of the body after it."""
        clock = asyncio.get_running_loop().time
        began_s = clock()
        try:
            async with asyncio.timeout(self._endpoint.timeout_s):
                response = await self._post(message, now)
            async with response:
                body = await _read(response)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(duration_ms=_elapsed_ms(began_s, clock()), error=self._explain(error))
        error_text = judge_status(response.status)
        return Answer(
            duration_ms=_elapsed_ms(began_s, clock()),
            status=response.status,
            error=error_text,
            excerpt=None if error_text is None else render_excerpt(body),
            retry_after_s=parse_retry_after(response.headers.get("retry-after"), now),
        )

    async def _post(self, message: Message, now: datetime) -> aiohttp.ClientResponse:
        url = URL(self._endpoint.url)
        if not self._endpoint.allow_private:
            require_public_literal(url.host or "")
        return await self._pool().post(
            url,
            data=message.body,
            headers=render_headers(self._endpoint, message, now),
            allow_redirects=False,
        )

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._connections,
                resolver=GuardedResolver(allow_private=self._endpoint.allow_private),
                # A name is resolved and judged anew for every connection.
                use_dns_cache=False,
                keepalive_timeout=KEEP_ALIVE_S,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session

    def _explain(self, error: Exception) -> str:
        reason = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        if isinstance(reason, AddressRefused):
            return render_fault(reason)
        if isinstance(error, TimeoutError):
            return f"no answer within {self._endpoint.timeout_s} s"
        if isinstance(reason, ssl.SSLError):
            return f"no trusted connection: {render_fault(reason)}"
        if isinstance(error, aiohttp.ClientConnectorError):
            return f"no connection: {render_fault(reason)}"
        if isinstance(error, aiohttp.ServerDisconnectedError):
            return "the connection ended before an answer"
        return f"no answer: {render_fault(error)}"

    async def close(self) -> None:
        """Give every connection back."""
        if self._session is not None:
            await self._session.close()
            self._session = None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of the body; nothing of a body that breaks off or does not come."""
    body = b""
    try:
        async with asyncio.timeout(BODY_S):
            while len(body) < ANSWER_BYTES and (chunk := await response.content.read(ANSWER_BYTES)):
                body += chunk
    except (TimeoutError, aiohttp.ClientError):
        response.close()
    if not response.content.at_eof():
        response.close()
    return body[:ANSWER_BYTES]


def _elapsed_ms(began_s: float, ended_s: float) -> int:
    return max(0, int((ended_s - began_s) * 1000))
