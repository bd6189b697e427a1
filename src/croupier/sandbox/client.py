"""The provider's HTTP client: signs every attempt anew, and repeats a reference until there is a decision.

Retries are bounded by attempts and by total time, spread by full jitter, and end at once when the process
stops. What is still undecided then is the caller's to keep.
"""

import asyncio
import random
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import aiohttp
from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from croupier.sandbox.calls import Call
from croupier.sandbox.replies import Meaning, Received, Reply
from croupier.sandbox.wire import RetryPolicy, Signed, Stamp, Wire
from croupier_signing import random_nonce

MOST_CONNECTIONS: Final = 256
LARGEST_REPLY_BYTES: Final = 65_536
HANG_UP_WITHIN_S: Final = 0.02
_JITTER: Final = random.Random()  # noqa: S311 (spreading load, not a secret)

Reader = Callable[[Received], Reply]
"""What an answer means; total."""


class Answer(Struct, frozen=True):
    """How a call ended: the last reply (None if nothing was ever read) and the request it answers.

    `retries` says why each repeat was made; `is_lost` whether an attempt that may have been
    decided got no reply.
    """

    reply: Reply | None
    signed: Signed
    retries: tuple[str, ...] = ()
    is_lost: bool = False

    @property
    def meaning(self) -> Meaning:
        """What the last reply says; one that asks to be repeated, or none at all, is unknown by now."""
        meaning = Meaning.UNKNOWN if self.reply is None else self.reply.meaning
        return Meaning.UNKNOWN if meaning is Meaning.REPEAT else meaning


class NoReply(Exception):
    """The connection failed or the deadline passed: whether the request was decided is not known."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class GatewayClient:
    """Calls one account's provider callbacks; an async context manager that owns a connection pool."""

    def __init__(self, wire: Wire, *, policy: RetryPolicy | None = None) -> None:
        self.wire = wire
        self._origin = URL(wire.account.callback_base).origin()
        self.policy = policy or RetryPolicy()
        self.stopping = asyncio.Event()
        self._pool: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=MOST_CONNECTIONS)
        self._pool = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            await self._pool.close()

    def stamp(self, attempt: int = 0) -> Stamp:
        """What is new in the next attempt: the time now, a nonce never used before."""
        return Stamp(int(time.time()), random_nonce(), attempt)

    async def call(self, call: Call, *, drops_reply: bool = False, within_s: float | None = None) -> Answer:
        """Send until decided, refused or out of patience, as `persist` does, at most for so many seconds.

        With `drops_reply` the first attempt hangs up before it reads.
        """
        policy = self.wire.patience(call, self.policy)
        if within_s is not None:
            policy = replace(policy, total_s=min(policy.total_s, within_s))
        read = self.reader_of(call)
        if not drops_reply:
            return await self.persist(lambda attempt: self.wire.sign(call, self.stamp(attempt)), read, policy)
        dropped = self.wire.sign(call, self.stamp())
        await self._hang_up(dropped)
        if policy.attempts == 1:
            return Answer(None, dropped, ("dropped_reply",), is_lost=True)
        answer = await self.persist(
            lambda attempt: self.wire.sign(call, self.stamp(attempt + 1)),
            read,
            replace(policy, attempts=policy.attempts - 1),
        )
        return Answer(answer.reply, answer.signed, ("dropped_reply", *answer.retries), is_lost=True)

    def reader_of(self, call: Call) -> Reader:
        """Reads answers as answers to a call."""
        return lambda received: self.wire.read_reply(call, received)

    async def persist(self, make: Callable[[int], Signed], read: Reader, policy: RetryPolicy) -> Answer:
        """Send what `make` returns, made anew for each attempt (numbered from 0), while repeating may help."""
        give_up_at = time.monotonic() + policy.total_s
        retries: list[str] = []
        is_lost = False
        while True:
            signed = make(len(retries))
            reply, why, is_lost_now = await self._attempt(signed, read, policy, give_up_at)
            is_lost = is_lost or is_lost_now
            wait_s = wait_before_retry(policy, len(retries), reply)
            is_last = len(retries) + 1 >= policy.attempts or time.monotonic() + wait_s >= give_up_at
            if why is None or is_last or await self._stopped_within(wait_s):
                return Answer(reply, signed, tuple(retries), is_lost)
            retries.append(why)

    async def _attempt(
        self, signed: Signed, read: Reader, policy: RetryPolicy, give_up_at: float
    ) -> tuple[Reply | None, str | None, bool]:
        """One attempt: its reply, why to repeat it (None: do not), whether a reply was lost."""
        patience_s = min(policy.attempt_s, max(0.001, give_up_at - time.monotonic()))
        try:
            received = await self.send(signed, patience_s=patience_s)
        except NoReply as fault:
            return None, fault.why, True
        reply = read(received)
        if reply.meaning is not Meaning.REPEAT or reply.status in policy.answers:
            return reply, None, False
        # A 5xx or a reply that makes no sense may come after a decision; the other refusals come before it.
        return reply, f"status_{reply.status}", reply.status == 200 or reply.status >= 500

    async def send(self, signed: Signed, *, patience_s: float) -> Received:
        """Send one request once, bytes and headers exactly as given; raises NoReply."""
        if self._pool is None:
            raise RuntimeError("the client is used inside its context only")
        url = URL(f"{self._origin}{signed.path}", encoded=True)
        began = time.perf_counter_ns()
        try:
            async with asyncio.timeout(patience_s):
                async with self._pool.request(
                    signed.method,
                    url,
                    data=signed.body or None,
                    headers=signed.headers,
                    allow_redirects=False,
                ) as got:
                    body = await _read_bounded(got.content)
                    status, retry_after = got.status, got.headers.get("Retry-After")
        except TimeoutError:
            raise NoReply("timeout") from None
        except (aiohttp.ClientError, OSError):
            raise NoReply("connection") from None
        return Received(status, body, retry_after, (time.perf_counter_ns() - began) // 1_000)

    async def _hang_up(self, signed: Signed) -> None:
        """Send one whole request and close the connection, soon or at once, without reading the reply."""
        url = self._origin
        headers = "".join(f"{name}: {value}\r\n" for name, value in signed.headers)
        head = (
            f"{signed.method} {signed.path} HTTP/1.1\r\nHost: {url.authority}\r\n{headers}"
            f"Content-Length: {len(signed.body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(self.policy.attempt_s):
                _, writer = await asyncio.open_connection(url.host, url.port, ssl=url.scheme == "https")
                writer.write(head.encode() + signed.body)
                await writer.drain()
                # Some are decided by then and some are not: the caller cannot know, and neither do we.
                await asyncio.sleep(_JITTER.uniform(0.0, HANG_UP_WITHIN_S))
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError):
            return

    async def _stopped_within(self, wait_s: float) -> bool:
        if wait_s <= 0:
            return self.stopping.is_set()
        try:
            async with asyncio.timeout(wait_s):
                await self.stopping.wait()
        except TimeoutError:
            return False
        return True


async def _read_bounded(content: aiohttp.StreamReader) -> bytes:
    """The body, or its beginning if it is too long to be a reply of the protocol."""
    body = await content.read(LARGEST_REPLY_BYTES)
    while len(body) < LARGEST_REPLY_BYTES and not content.at_eof():
        body += await content.read(LARGEST_REPLY_BYTES - len(body))
    return body


def wait_before_retry(policy: RetryPolicy, retries: int, reply: Reply | None) -> float:
    """Draw the seconds to wait after so many retries: full jitter, at least the bounded Retry-After."""
    ceiling = min(policy.longest_wait_s, policy.first_wait_s * 2.0 ** min(retries, 20))
    asked = float(reply.received.retry_after_s or 0) if reply is not None else 0.0
    return max(_JITTER.uniform(0.0, ceiling), min(asked, policy.longest_retry_after_s))
