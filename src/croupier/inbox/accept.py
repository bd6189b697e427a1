"""The acceptor: one connection, one loop, and natural batching, as in a lane of the money path.

While one batch of deliveries commits, others pile up; the next turn takes them, up to a bound. A delivery is
acknowledged once it is durable. Keeping the same rows again is harmless, so that whatever happens to a commit's reply
is answered by doing it once more.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

import structlog
from msgspec import Struct

from croupier.errors import DELIVERY_ID_REUSED, INTERNAL, OVERLOADED, UNAVAILABLE, CroupierError
from croupier.ids import DELIVERY, render_id
from croupier.inbox.deliveries import Delivery
from croupier.moneypath.faults import Fault, classify
from croupier.runtime.statements import load_statements

LINGER_S: Final = 0.1
"""How long webhooks are collected for a commit beside money calls."""
FEW: Final = 4
"""How many webhooks are answered in one turn of the event loop beside money calls."""

_log = structlog.get_logger("croupier.inbox")
_JITTER: Final = random.Random()  # noqa: S311 (spreads retries, guards nothing)
_ACCEPT: Final = load_statements("croupier/inbox/intake.sql")["accept_deliveries"].sql


class AcceptSettings(Struct, frozen=True, kw_only=True):
    """The bounds of an acceptor."""

    accepting: int = 256
    """Most deliveries being stored at once; above it senders get 503 with Retry-After."""
    batch: int = 64
    """Most deliveries in one transaction."""
    races: int = 12
    """Most times one batch is written again because someone else was first."""
    outage_s: float = 4.0
    """How long a delivery may wait for the database; a sender's patience is a little longer."""
    retry_after_cap_s: int = 300


class Receipt(Struct, frozen=True, gc=False):
    """What a delivery is: ours by this id; a duplicate is known by the id of its first time."""

    id: UUID
    is_duplicate: bool


class IntakeBatch(Struct, frozen=True):
    """One turn of the acceptor, for telemetry: how many deliveries, how long in seconds, how it ended."""

    size: int
    duration_s: float
    result: str


class Connection(Protocol):
    """The part of a database connection that the acceptor uses."""

    async def fetchval(self, query: str, *args: Any) -> Any:
        """Run a statement and return the first value of its one row."""

    def terminate(self) -> None:
        """Close at once."""


class _Item(Struct):
    delivery: Delivery
    future: asyncio.Future[Receipt]

    def answer(self, known: tuple[UUID, str] | None) -> None:
        """Say what became of it; `known` is whose row has its id, and the digest of that one's body."""
        if self.future.done():
            return
        if known is None:
            self.future.set_result(Receipt(self.delivery.id, is_duplicate=False))
        elif known[1] == self.delivery.body_digest:
            self.future.set_result(Receipt(known[0], is_duplicate=True))
        else:
            detail = f"this webhook-id came with another body before, as {render_id(DELIVERY, known[0])}"
            self.future.set_exception(
                CroupierError(DELIVERY_ID_REUSED, f"{detail}; a new fact needs a new id")
            )

    def fail(self, error: CroupierError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Acceptor:
    """Makes deliveries durable, batch by batch.

    While `is_calm` says that money calls are under way, it commits less often and answers a few at a time.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        settings: AcceptSettings,
        observe: Callable[[IntakeBatch], None] = lambda _: None,
        on_death: Callable[[], None] = lambda: None,
        is_calm: Callable[[], bool] = lambda: True,
    ) -> None:
        self._connect = connect
        self._is_calm = is_calm
        self._settings = settings
        self._observe = observe
        self._on_death = on_death
        self._waiting: deque[_Item] = deque()
        self._underway = 0
        self._wake = asyncio.Event()
        self._is_draining = False
        self._connection: Connection | None = None
        self._rate_per_s = 1000.0
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """How many deliveries are being stored or wait for it."""
        return len(self._waiting) + self._underway

    def start(self) -> None:
        """Begin to store."""
        self._task = asyncio.create_task(self._run(), name="acceptor")
        self._task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """An acceptor that ends by a fault of its own takes nothing more in, and says so to whoever can replace it."""
        if task.cancelled() or task.exception() is None:
            return
        self._is_draining = True
        _log.error("acceptor_died", exc_info=task.exception())
        self._fail(self._take(len(self._waiting)), "this process is stopping")
        self._on_death()

    def require_room(self, waiting: int = 0, wait_s: float = 0.0) -> None:
        """Refuse what could not be stored anyway; `waiting` are on their way here and need so long for it.

        Raises:
            CroupierError: `overloaded` when as many deliveries as may be are being stored, `unavailable` when draining.
        """
        if self._is_draining:
            raise CroupierError(UNAVAILABLE, "this process is stopping; repeat the webhook", retry_after_s=1)
        if self.depth + waiting >= self._settings.accepting:
            detail = "too many webhooks are being stored; repeat this one later"
            raise CroupierError(OVERLOADED, detail, retry_after_s=self._retry_after_s(wait_s))

    def submit(self, delivery: Delivery) -> asyncio.Future[Receipt]:
        """Queue a delivery; the future gives its receipt once it is durable, or raises its CroupierError.

        `delivery_id_reused` when its id came with another body before, `unavailable` when the database stayed away.

        Raises:
            CroupierError: as `require_room`.
        """
        self.require_room()
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Item(delivery, future))
        self._wake.set()
        return future

    async def drain(self) -> None:
        """Take nothing more in, store what is waiting, and close the connection."""
        self._is_draining = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task})
        self._disconnect()

    def _retry_after_s(self, wait_s: float) -> int:
        wait_s += self.depth / max(self._rate_per_s, 1.0)
        return max(1, min(self._settings.retry_after_cap_s, round(wait_s + 0.5)))

    async def _run(self) -> None:
        while True:
            if not self._waiting:
                if self._is_draining:
                    return
                self._wake.clear()
                await self._wake.wait()
                # One turn of the event loop: webhooks that arrived in the same moment share the commit. Beside money
                # calls they wait for a moment's more, because every commit stands in front of one of theirs.
                await asyncio.sleep(0 if self._is_calm() else LINGER_S)
                continue
            batch = self._take(self._settings.batch)
            self._underway = len(batch)
            started = time.perf_counter()
            try:
                result = await self._settle(batch)
            finally:
                self._underway = 0
            self._note(len(batch), time.perf_counter() - started, result)

    def _take(self, most: int) -> list[_Item]:
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), most))]

    def _note(self, size: int, duration_s: float, result: str) -> None:
        if duration_s > 0:
            self._rate_per_s += (size / duration_s - self._rate_per_s) / 8
        self._observe(IntakeBatch(size, duration_s, result))

    async def _settle(self, batch: list[_Item]) -> str:
        """Answer every delivery of the batch, whatever happens to the database."""
        races, begun_at = 0, time.monotonic()
        while True:
            try:
                known = await self._store([item.delivery for item in batch])
            except Exception as error:  # noqa: BLE001 (the worker loop: every fault ends in an answer)
                fault = classify(error)
                _log.warning("intake_failed", size=len(batch), fault=fault.name, error=repr(error))
            else:
                await self._answer(batch, known)
                return "committed"
            if fault is Fault.RACE and races < self._settings.races:
                races += 1
                await asyncio.sleep(_JITTER.uniform(0, 0.002 * 2 ** min(races, 6)))
            elif fault is Fault.LOST:
                self._disconnect()
                if time.monotonic() - begun_at >= self._settings.outage_s:
                    # Whoever queued up behind this batch has waited as long, or would.
                    batch += self._take(len(self._waiting))
                    return self._fail(batch, "the database did not come back in time")
                await asyncio.sleep(_JITTER.uniform(0.02, 0.2))
            elif len(batch) > 1:
                return await self._split(batch)
            else:
                return self._fail_alone(batch[0], fault)

    async def _answer(self, batch: Sequence[_Item], known: Mapping[UUID, tuple[UUID, str]]) -> None:
        """Give receipts; beside money calls with a turn of the event loop after every few, so that these get theirs."""
        for number, item in enumerate(batch, 1):
            item.answer(known.get(item.delivery.id))
            if number % FEW == 0 and not self._is_calm():
                await asyncio.sleep(0)

    async def _split(self, batch: list[_Item]) -> str:
        """Halve a batch that cannot be written, until the delivery that causes it stands alone."""
        middle = len(batch) // 2
        await self._settle(batch[:middle])
        await self._settle(batch[middle:])
        return "split"

    def _fail(self, batch: Sequence[_Item], detail: str) -> str:
        for item in batch:
            item.fail(CroupierError(UNAVAILABLE, f"{detail}; repeat the webhook", retry_after_s=1))
        return "unavailable"

    def _fail_alone(self, item: _Item, fault: Fault) -> str:
        if fault is Fault.ITEM:
            item.fail(CroupierError(INTERNAL, "the webhook could not be stored; repeat it"))
        else:
            self._fail([item], "storing took too long")
        return fault.name.lower()

    async def _store(self, deliveries: list[Delivery]) -> dict[UUID, tuple[UUID, str]]:
        """Write, commit, and tell which ids were known: by whose row, with which body's digest.

        The order of the keys is the order in which two processes with the same ids wait for each other.
        """
        deliveries.sort()
        buckets = sorted({delivery.bucket for delivery in deliveries})
        async with asyncio.timeout(self._settings.outage_s):
            if self._connection is None:
                self._connection = await self._connect()
            known = await self._connection.fetchval(_ACCEPT, buckets, deliveries)
        return {given: (row_id, digest) for given, row_id, digest in known or ()}

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()
