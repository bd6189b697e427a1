"""`python -m croupier.bench.flood`: a provider that comes back and sends what it owes, at a rate of its own choosing.

It takes no for an answer: what is refused with 429 or 503 is counted and not repeated, because a bench measures what
a flood costs others.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import cast

import uvloop
from msgspec import Struct

from croupier.bench.children import read_orders, tell, wait_for_go
from croupier.bench.load import is_whole
from croupier.bench.notices import Notices
from croupier.bench.report import Samples
from croupier.bench.seats import Seat
from croupier_signing import SigningKey

ACCEPTED = b"202"
SHED = (b"429", b"503")


class FloodOrders(Struct, frozen=True, kw_only=True):
    """Where to send, over how many connections, how many a second, for how long."""

    host: str
    port: int
    key_id: str
    secret: bytes
    connections: int
    per_second: int
    seconds: float
    seats: list[Seat]


class _Flood:
    """What all connections share: the notices, the time, and how they were answered."""

    def __init__(self, orders: FloodOrders) -> None:
        self._notices = Notices(orders.seats)
        self._key = SigningKey(orders.key_id, orders.secret)
        self._orders = orders
        self._pause_s = 1 / orders.per_second
        self._slot = self._begin = time.perf_counter()
        self._end = self._begin + orders.seconds
        self.statuses: Counter[bytes] = Counter()
        self.latencies_us: list[int] = []

    async def send(self) -> None:
        """Send on one connection, made anew whenever the other side closes it, until the time is over."""
        loop = asyncio.get_running_loop()
        line: _Line | None = None
        while (slot := self._next_slot()) < self._end:
            await asyncio.sleep(slot - time.perf_counter())
            if line is None or line.is_closed:
                _, line = await loop.create_connection(_Line, self._orders.host, self._orders.port)
            begun = time.perf_counter()
            status = await line.ask(self._notices.request(self._key, self._orders.host, self._orders.port))
            self.statuses[status] += 1
            if status == ACCEPTED:
                self.latencies_us.append(int((time.perf_counter() - begun) * 1e6))
        if line is not None:
            line.close()

    def _next_slot(self) -> float:
        # A sender that falls behind does not catch up in one burst.
        self._slot = max(self._slot + self._pause_s, time.perf_counter())
        return self._slot


class _Line(asyncio.Protocol):
    """A keep-alive connection with one request on it at a time."""

    def __init__(self) -> None:
        self.is_closed = False
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Collect an answer; its status is all that is told."""
        self._buffer += data
        if is_whole(self._buffer) and self._answer is not None and not self._answer.done():
            self._answer.set_result(self._buffer[9:12])
            self._buffer = b""

    def connection_lost(self, error: Exception | None) -> None:
        """The other side hung up."""
        self.is_closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(b"000")

    async def ask(self, request: bytes) -> bytes:
        """The status of the answer; 000 when there was none."""
        assert self._transport is not None, "connected"  # noqa: S101 (narrowing)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


async def flood(orders: FloodOrders) -> Samples:
    """Send for the ordered time; calls are those accepted, errors what was neither accepted nor shed."""
    await wait_for_go()
    sender = _Flood(orders)
    await asyncio.gather(*(sender.send() for _ in range(orders.connections)))
    known = sender.statuses[ACCEPTED] + sum(sender.statuses[status] for status in SHED)
    return Samples(
        calls=sender.statuses[ACCEPTED],
        errors=sender.statuses.total() - known,
        seconds=orders.seconds,
        latencies_us=sender.latencies_us,
        error_text=", ".join(f"{status.decode()}: {count}" for status, count in sender.statuses.items()),
    )


def main() -> None:
    """Run in a process of its own, told by standard input."""
    tell(uvloop.run(flood(read_orders(FloodOrders))))


if __name__ == "__main__":
    main()
