"""`python -m croupier.bench.load`: a provider's game server, as light as it can be, on open sockets.

A closed loop per connection: bet, win, close, next player. Every request is signed when it is sent.
Connections are bare protocols of the event loop, and of an answer only status, length and the word that says
`approved` are read.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import Final, cast
from uuid import uuid4

import uvloop
from msgspec import Struct

from croupier.bench.children import read_orders, tell, wait_for_go
from croupier.bench.report import Samples
from croupier.bench.seats import Seat
from croupier.bench.speech import NATIVE, SPOKEN, Target
from croupier_signing import SigningKey

_OK: Final = b"HTTP/1.1 200"
_HEAD_END: Final = b"\r\n\r\n"
_LENGTHS: Final = (b"content-length: ", b"Content-Length: ")


class LoadOrders(Struct, frozen=True, kw_only=True):
    """Where to call and how: `seconds` after `warmup_s`, or `calls` calls, telling every `every`.

    `per_second` paces the calls of all connections together; a call's latency then counts from its own time, whether
    or not a connection was free by then. `kinds` are what is counted, each kind also by itself; None counts every call.
    """

    host: str
    port: int
    provider: str
    key_id: str
    secret: bytes
    connections: int
    seconds: float
    warmup_s: float
    seats: list[Seat]
    calls: int | None = None
    every: int = 100_000
    protocol: str = NATIVE
    per_second: int | None = None
    kinds: tuple[str, ...] | None = None


class Progress(Struct, frozen=True):
    """How many calls were answered so far."""

    done: int


class Desk:
    """What all connections share: the next round, signing, and what was measured."""

    def __init__(self, orders: LoadOrders) -> None:
        key = SigningKey(orders.key_id, orders.secret)
        target = Target(orders.host, orders.port, orders.provider, key)
        self._speech = SPOKEN[orders.protocol](target)
        run = uuid4().hex
        names = (f"{run}-{number}" for number in itertools.count())
        self._rounds = zip(itertools.cycle(orders.seats), names, strict=False)
        self.every_us: list[int] = []
        self.kinds_us: dict[str, list[int]] = {kind: [] for kind in orders.kinds or ()}
        self._counted = [
            self.every_us if orders.kinds is None else self.kinds_us.get(kind) for kind in self._speech.kinds
        ]
        """Where the latency of each request of a round goes; None where it is not counted."""
        self.errors = 0
        self.error_text = b""
        self.done = 0
        self.begin = self.end = 0.0
        self.warmup_s = orders.warmup_s
        self.limit = orders.calls
        self.every = orders.every if orders.calls is not None else 0
        self._pause_s = None if orders.per_second is None else 1 / orders.per_second
        self._slot = 0.0

    def next_slot(self) -> float | None:
        """When the next call is due; None for at once."""
        if self._pause_s is None:
            return None
        self._slot = max(self._slot + self._pause_s, self.begin - self.warmup_s)
        return self._slot

    def plan_round(self) -> Iterator[bytes]:
        """The requests of the next round, each signed when it is asked for."""
        return self._speech.requests(*next(self._rounds))

    def note(self, begun: float, ended: float, answer: bytes, place: int) -> None:
        """Count one answer, to the request at `place` of its round, unless it belongs to the warm-up."""
        self.done += 1
        if self.every and self.done % self.every == 0:
            tell(Progress(self.done))
        if self.begin <= ended < self.end:
            counted = self._counted[place]
            if counted is not None:
                counted.append(int((ended - begun) * 1e6))
            if not answer.startswith(_OK) or self._speech.approved not in answer:
                self.errors += 1
                self.error_text = self.error_text or bytes(answer[:600])

    def is_over(self, now: float) -> bool:
        """Whether a connection that has its answer should stop."""
        return now >= self.end or (self.limit is not None and self.done >= self.limit)


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time; `closed` tells whether it was lost early."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._requests: Iterator[bytes] = iter(())
        self._place = -1
        self._buffer = b""
        self._begun = 0.0
        self._transport: asyncio.Transport | None = None
        self.closed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; `start` sends."""
        # The event loop's own transports do not derive from the class of the standard library.
        self._transport = cast(asyncio.Transport, transport)

    def start(self) -> None:
        """Send the next request when it is due."""
        slot, now = self._desk.next_slot(), time.perf_counter()
        if slot is None or slot <= now:
            self._send(slot or now)
        else:
            asyncio.get_running_loop().call_later(slot - now, self._send, slot)

    def _send(self, due: float) -> None:
        """Send a request, of the next round if this one is over."""
        if self.closed.done():
            return
        request = next(self._requests, None)
        while request is None:
            self._requests, self._place = self._desk.plan_round(), -1
            request = next(self._requests, None)
        self._place += 1
        self._begun = due
        assert self._transport is not None, "connected"  # noqa: S101 (narrowing)
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take a piece of an answer; send the next request when it is whole."""
        answer = self._buffer + data if self._buffer else data
        if not is_whole(answer):
            self._buffer = answer
            return
        self._buffer = b""
        now = time.perf_counter()
        self._desk.note(self._begun, now, answer, self._place)
        if self._desk.is_over(now):
            self._finish(is_early=False)
        else:
            self.start()

    def connection_lost(self, error: Exception | None) -> None:
        """The server hung up."""
        self._finish(is_early=True)

    def _finish(self, *, is_early: bool) -> None:
        if not self.closed.done():
            self.closed.set_result(is_early)
            if self._transport is not None:
                self._transport.close()


def is_whole(answer: bytes) -> bool:
    """Whether head and body are there; the servers here name the length in two ways."""
    end = answer.find(_HEAD_END)
    if end < 0:
        return False
    for name in _LENGTHS:
        at = answer.find(name, 0, end + 2)
        if at >= 0:
            length = int(answer[at + len(name) : answer.index(b"\r", at)])
            return len(answer) >= end + len(_HEAD_END) + length
    return True


async def load(orders: LoadOrders) -> Samples:
    """Connect, wait for the word, call, return what was measured; a lost connection is an error."""
    desk, loop = Desk(orders), asyncio.get_running_loop()
    connections: list[Connection] = []
    for _ in range(orders.connections):
        _, one = await loop.create_connection(lambda: Connection(desk), orders.host, orders.port)
        connections.append(one)
    await wait_for_go()
    before = time.process_time()
    desk.begin = time.perf_counter() + orders.warmup_s
    desk.end = desk.begin + orders.seconds if orders.calls is None else float("inf")
    for one in connections:
        one.start()
    lost = sum(await asyncio.gather(*(one.closed for one in connections)))
    cpu_s = time.process_time() - before
    seconds = orders.seconds if orders.calls is None else time.perf_counter() - desk.begin
    latencies_us = desk.every_us + [one for kind in desk.kinds_us.values() for one in kind]
    calls = len(latencies_us)
    return Samples(
        calls=calls,
        errors=desk.errors + lost,
        seconds=seconds,
        latencies_us=latencies_us,
        cpu_s=cpu_s * calls / max(desk.done, 1),
        error_text=desk.error_text.decode("utf-8", "replace"),
        kinds_us=desk.kinds_us,
    )


def main() -> None:
    """Run in a process of its own, told by standard input."""
    tell(uvloop.run(load(read_orders(LoadOrders))))


if __name__ == "__main__":
    main()
