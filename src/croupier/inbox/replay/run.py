"""Running a replay: batch by batch through the money path, each step kept before the next begins."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final

import asyncpg
from msgspec import Struct, structs

from croupier.errors import CroupierError
from croupier.inbox.replay.job import CANCELLED, Done, Job, Progress, end, save_step
from croupier.inbox.replay.reading import Reader, Unusable
from croupier.inbox.replay.results import judge
from croupier.inbox.replay.window import BATCH, Batch, Delivery, load_batches, load_deliveries, read_ahead
from croupier.moneypath.commands import Call
from croupier.moneypath.decide import Answer
from croupier.moneypath.faults import Fault, classify
from croupier.moneypath.outcomes import Outcome

ATTEMPTS: Final = 6
"""How often one delivery is tried when the money path cannot decide now, and one step kept when rows are held."""
LONGEST_PAUSE_S: Final = 4.0

Submit = Callable[[Call], Awaitable[tuple[Outcome, ...]]]

_JITTER: Final = random.Random()  # noqa: S311 (spreads retries, guards nothing)


class Pace(Struct, frozen=True):
    """How fast a replay may go: deliveries per second, none for as fast as it can, and most of them in one step."""

    per_second: int | None = None
    batch: int = BATCH

    @property
    def step(self) -> int:
        """Most deliveries of one step: at a slow pace, one second's."""
        return self.batch if self.per_second is None else max(1, min(self.batch, self.per_second))

    def wait_s(self, done: int, passed_s: float) -> float:
        """How long to rest after so many deliveries in so many seconds."""
        return 0.0 if self.per_second is None else max(0.0, done / self.per_second - passed_s)


AT_ONCE: Final = Pace()


class Lost(Exception):
    """The job was taken from its runner: cancelled elsewhere, or taken over after its lease had run out."""


class Runner:
    """Runs one job.

    `reading` loads the window while `keeping` writes what became of it. `submit` is the money path, `stop` asks to end
    after the step in hand, `on_step` hears of each step and of the rate in deliveries per second.
    """

    def __init__(
        self,
        reading: asyncpg.Connection,
        keeping: asyncpg.Connection,
        submit: Submit,
        reader: Reader,
        now: Callable[[], datetime],
        *,
        pace: Pace = AT_ONCE,
        stop: asyncio.Event | None = None,
        on_step: Callable[[Job, float], None] = lambda job, per_second: None,
    ) -> None:
        self._reading = reading
        self._keeping = keeping
        self._submit = submit
        self._reader = reader
        self._now = now
        self._pace = pace
        self._stop = stop or asyncio.Event()
        self._on_step = on_step

    async def run(self, job: Job) -> Job:
        """Go through what is left of the window; ends cancelled when asked to stop, else still running, to be proven.

        Raises Lost, and the driver's errors when the database is away: the job can then be resumed.
        """
        started, done = time.monotonic(), 0
        batches = load_batches(self._reading, job.window, job.progress.after, size=self._pace.step)
        async with aclosing(read_ahead(batches, self._load)) as loaded:
            async for batch, read in loaded:
                if self._stop.is_set():
                    return _kept(await end(self._keeping, job, CANCELLED, self._now()))
                job = await self._step(job, batch, read)
                done += len(batch.keys)
                passed_s = time.monotonic() - started
                self._on_step(job, done / max(passed_s, 0.001))
                await self._rest(self._pace.wait_s(done, passed_s))
        return job

    async def _load(self, batch: Batch) -> list[tuple[Delivery, Call | Unusable]]:
        deliveries = await load_deliveries(self._reading, batch)
        return [(delivery, self._reader.read(delivery)) for delivery in deliveries]

    async def _step(self, job: Job, batch: Batch, read: Sequence[tuple[Delivery, Call | Unusable]]) -> Job:
        # Everything in one moment and in order: a player's calls meet in one lane, which keeps them in order.
        answers = await asyncio.gather(*(self._submit_one(call) for _, call in read))
        done = [_done(delivery, answer) for (delivery, _), answer in zip(read, answers, strict=True)]
        progress = structs.replace(
            job.progress,
            done=job.progress.done + len(batch.keys),
            after=batch.keys[-1],
            results=dict(Counter(job.progress.results) + Counter(one.finish.result for one in done)),
        )
        return _kept(await self._save(job, done, progress))

    async def _save(self, job: Job, done: Sequence[Done], progress: Progress) -> Job | None:
        """Keep a step; workers and whoever redrives may be at the same deliveries just now."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await save_step(self._keeping, job, done, progress, self._now())
            except asyncpg.PostgresError as error:
                if classify(error) not in (Fault.BUSY, Fault.RACE) or attempt == ATTEMPTS:
                    raise
            await asyncio.sleep(_pause_s(attempt))

    async def _submit_one(self, call: Call | Unusable) -> Answer | Unusable:
        if isinstance(call, Unusable):
            return call
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._submit(call)
            except CroupierError as error:
                if not error.kind.retryable or attempt == ATTEMPTS:
                    return error
            await asyncio.sleep(_pause_s(attempt))

    async def _rest(self, wait_s: float) -> None:
        if wait_s > 0:
            try:
                await asyncio.wait_for(self._stop.wait(), wait_s)
            except TimeoutError:
                return


def _pause_s(attempt: int) -> float:
    return _JITTER.uniform(0, min(LONGEST_PAUSE_S, 0.05 * 2**attempt))


def _done(delivery: Delivery, answer: Answer | Unusable) -> Done:
    return Done(delivery.bucket, delivery.id, delivery.provider, judge(answer))


def _kept(job: Job | None) -> Job:
    if job is None:
        raise Lost
    return job
