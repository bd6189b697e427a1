"""A lane: one connection, one loop, and natural batching.

While a lane's transaction commits, calls pile up; the next turn takes them all, up to a bound. There is no timer:
an idle lane answers at once, a loaded one shares each commit among many calls.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import asyncpg
import structlog
from msgspec import Struct

from croupier.errors import INTERNAL, OVERLOADED, UNAVAILABLE, CroupierError
from croupier.moneypath.commands import Call, SpendNonce, nonce_alone
from croupier.moneypath.decide import Answer, Ask
from croupier.moneypath.facts import Stamp
from croupier.moneypath.faults import UNREACHABLE, Fault, classify
from croupier.moneypath.outcomes import Outcome
from croupier.moneypath.transaction import run_transaction
from croupier.wallet.calls import WalletTerms

_log = structlog.get_logger("croupier.lane")
_JITTER: Final = random.Random()  # noqa: S311 (spreads retries, guards nothing)


AHEAD_S: Final = 1.0
"""How long a resting lane keeps the transaction it began ahead of its next call."""
HURRIED_MS: Final = 50
"""How long the halves of a batch wait for a player that is held elsewhere."""


class LaneSettings(Struct, frozen=True, kw_only=True):
    """The bounds of a lane."""

    batch: int = 256
    """Most calls in one transaction."""
    queue: int = 4096
    """Most calls waiting; above it callers get 503 with Retry-After."""
    races: int = 12
    """Most times one batch is decided again because someone else was first."""
    outage_s: float = 10.0
    """How long a call may wait for the database to come back."""
    retry_after_cap_s: int = 30


class BatchRecord(Struct, frozen=True):
    """One turn of a lane, for telemetry: how many calls, how long in seconds, how it ended."""

    lane: int
    size: int
    duration_s: float
    result: str


class _Item(Struct):
    call: Call
    future: asyncio.Future[tuple[Outcome, ...] | Ask]

    def answer(self, answer: Answer | Ask) -> None:
        if self.future.done():
            return
        if isinstance(answer, CroupierError):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


class Lane:
    """Decides the calls of its buckets in arrival order, batch by batch."""

    def __init__(
        self,
        number: int,
        connect: Callable[[], Awaitable[Any]],
        make_stamp: Callable[[], Stamp],
        settings: LaneSettings,
        observe: Callable[[BatchRecord], None],
        on_death: Callable[[], None] = lambda: None,
        *,
        wallet: WalletTerms | None = None,
    ) -> None:
        self._wallet = wallet
        self._number = number
        self._on_death = on_death
        self._connect = connect
        self._make_stamp = make_stamp
        self._settings = settings
        self._observe = observe
        self._waiting: deque[_Item] = deque()
        self._in_hand: list[_Item] = []
        self._wake = asyncio.Event()
        self._is_draining = False
        self._connection: Any = None
        self._is_begun = False
        self._rate_per_s = 1000.0
        self._task: asyncio.Task[None] | None = None

    @property
    def depth(self) -> int:
        """How many calls are waiting."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to decide."""
        self._task = asyncio.create_task(self._run(), name=f"lane-{self._number}")
        self._task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """A lane that ends by a fault of its own takes nothing more in, and says so to whoever can replace it."""
        if task.cancelled() or task.exception() is None:
            return
        self._is_draining = True
        _log.error("lane_died", lane=self._number, exc_info=task.exception())
        self._fail([*self._in_hand, *self._waiting], "this process is stopping")
        self._waiting.clear()
        self._on_death()

    def submit(self, call: Call) -> asyncio.Future[tuple[Outcome, ...] | Ask]:
        """Queue a call; the future gives its outcomes, or raises its CroupierError.

        Where the operator keeps the wallet, it may give what that must be asked first.

        Raises:
            CroupierError: `overloaded` when the queue is full, `unavailable` when the lane is draining.
        """
        if self._is_draining:
            raise CroupierError(UNAVAILABLE, "this process is stopping; repeat the request", retry_after_s=1)
        if len(self._waiting) >= self._settings.queue:
            detail = "too many calls are waiting; repeat the request later"
            raise CroupierError(OVERLOADED, detail, retry_after_s=self._retry_after_s())
        future: asyncio.Future[tuple[Outcome, ...] | Ask] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Item(call, future))
        self._wake.set()
        return future

    async def drain(self) -> None:
        """Take nothing more in, decide what is waiting, and close the connection."""
        self._is_draining = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait({self._task})
        await self._disconnect()

    def _retry_after_s(self) -> int:
        wait_s = len(self._waiting) / max(self._rate_per_s, 1.0)
        return max(1, min(self._settings.retry_after_cap_s, round(wait_s + 0.5)))

    async def _run(self) -> None:
        while True:
            if not self._waiting:
                if self._is_draining:
                    return
                self._wake.clear()
                await self._rest()
                # One turn of the event loop: requests that arrived in the same moment share the commit.
                await asyncio.sleep(0)
                continue
            self._in_hand = batch = self._take()
            started = time.perf_counter()
            result = await self._settle(batch)
            self._note(batch, time.perf_counter() - started, result)

    async def _rest(self) -> None:
        """Wait for calls with the transaction that the last commit began, and give it up after a moment.

        So an idle lane keeps no transaction open. One that was idle begins the next before it is needed again.
        """
        if not self._is_begun:
            await self._say("BEGIN")
            self._is_begun = self._connection is not None
        try:
            async with asyncio.timeout(AHEAD_S):
                await self._wake.wait()
        except TimeoutError:
            self._is_begun = False
            await self._say("ROLLBACK")
            await self._wake.wait()

    async def _say(self, statement: str) -> None:
        """Tell the connection, if there is one; a connection that does not listen is replaced by the next call."""
        if self._connection is None:
            return
        try:
            await self._connection.execute(statement)
        except (asyncpg.PostgresError, *UNREACHABLE):
            await self._disconnect()

    def _take(self) -> list[_Item]:
        size = min(len(self._waiting), self._settings.batch)
        return [self._waiting.popleft() for _ in range(size)]

    def _note(self, batch: Sequence[_Item], duration_s: float, result: str) -> None:
        if duration_s > 0:
            self._rate_per_s += (len(batch) / duration_s - self._rate_per_s) / 8
        self._observe(BatchRecord(self._number, len(batch), duration_s, result))

    async def _settle(self, batch: list[_Item], *, is_hurried: bool = False) -> str:
        """Answer every call of the batch, whatever happens to the database.

        Halves of a batch that met a held player are hurried: only a call that stands alone waits its full time.
        """
        lock_wait_ms = HURRIED_MS if is_hurried and len(batch) > 1 else None
        races, lost_at = 0, None
        while True:
            try:
                connection = await self._connected()
                calls = [item.call for item in batch]
                is_begun, self._is_begun = self._is_begun, False
                answers = await run_transaction(
                    connection,
                    calls,
                    self._make_stamp,
                    lock_wait_ms=lock_wait_ms,
                    is_begun=is_begun,
                    wallet=self._wallet,
                )
            except Exception as error:  # noqa: BLE001 (the worker loop: every fault ends in an answer)
                fault = classify(error)
                _log.warning(
                    "batch_failed", lane=self._number, size=len(batch), fault=fault.name, error=repr(error)
                )
            else:
                self._is_begun = True
                for item, answer in zip(batch, answers, strict=True):
                    item.answer(answer)
                return "committed"
            if fault is Fault.RACE and races < self._settings.races:
                races += 1
                await asyncio.sleep(_JITTER.uniform(0, 0.002 * 2 ** min(races, 6)))
            elif fault is Fault.LOST:
                lost_at = lost_at or time.monotonic()
                await self._disconnect()
                if time.monotonic() - lost_at > self._settings.outage_s:
                    return self._fail(batch, "the database did not come back in time")
                await asyncio.sleep(_JITTER.uniform(0.02, 0.2))
            elif len(batch) > 1:
                return await self._split(batch, is_hurried=is_hurried or fault is Fault.BUSY)
            else:
                return await self._fail_alone(batch[0], fault)

    async def _split(self, batch: list[_Item], *, is_hurried: bool) -> str:
        """Halve a batch that cannot be written, until the call that causes it stands alone."""
        middle = len(batch) // 2
        await self._settle(batch[:middle], is_hurried=is_hurried)
        await self._settle(batch[middle:], is_hurried=is_hurried)
        return "split"

    def _fail(self, batch: Sequence[_Item], detail: str) -> str:
        for item in batch:
            item.answer(CroupierError(UNAVAILABLE, f"{detail}; repeat the same reference", retry_after_s=1))
        return "unavailable"

    async def _fail_alone(self, item: _Item, fault: Fault) -> str:
        """A call that cannot be decided still spends its nonce, so that it cannot be replayed."""
        if fault is Fault.ITEM:
            item.answer(CroupierError(INTERNAL, "the call could not be written; repeat the same reference"))
        else:
            detail = "other work on this player took too long; repeat the same reference"
            item.answer(CroupierError(UNAVAILABLE, detail, retry_after_s=1))
        if not isinstance(item.call.actions[0], SpendNonce):
            self._spend_nonce(item.call)
        return fault.name.lower()

    def _spend_nonce(self, call: Call) -> None:
        """Queue the nonce alone, if there is one; nobody waits for it."""
        alone = nonce_alone(call)
        if alone is None:
            return
        future: asyncio.Future[tuple[Outcome, ...] | Ask] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._waiting.append(_Item(alone, future))

    async def _connected(self) -> Any:
        if self._connection is None:
            self._connection = await self._connect()
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection, self._is_begun = self._connection, None, False
        if connection is not None:
            connection.terminate()
