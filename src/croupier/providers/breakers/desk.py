"""The breakers as one process knows them: what passes is decided from memory, what ended is reported twice a second.

A closed breaker costs a call nothing. Reports of all processes meet in the database, where the shares are judged, so
that a breaker opens for all of them within about a second of the call that was too much. Only a probe asks the
database first: how many pass is bounded for the whole deployment.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final

import asyncpg
import structlog
from msgspec import Struct

from croupier.errors import PROVIDER_UNAVAILABLE, UNAVAILABLE, CroupierError
from croupier.ids import IdSource
from croupier.providers.breakers.machine import (
    Breaker,
    BreakerSettings,
    Counts,
    Step,
    count,
    end_probe,
    expire,
    lets_through,
    may_probe,
    take_probe,
)
from croupier.providers.breakers.store import Act, Endpoint, change_breaker, load_breakers

LOOK_S: Final = 0.5
"""How often what ended is reported, and what became of the breakers is looked up."""
ANSWER_S: Final = 5.0
HELD_RETRY_S: Final = 60
"""When it is worth asking again where only a person can say."""

AWAY: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

_log = structlog.get_logger("croupier.breakers")


class Ended(StrEnum):
    """How a call to a provider ended; `unused` when it was not made after all."""

    OK = "ok"
    FAILED = "failed"
    SLOW = "slow"
    UNUSED = "unused"


class Pass(Struct, frozen=True):
    """Leave to make one call; `probe_until` is the lease of a probe."""

    endpoint: Endpoint
    probe_until: datetime | None = None


class Breakers:
    """The breakers of one process; `observe` is told how all of them stand, twice a second.

    `own` are the settings of providers that have some of their own.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        settings: BreakerSettings,
        ids: IdSource,
        now: Callable[[], datetime],
        observe: Callable[[Mapping[Endpoint, Breaker]], None] = lambda _: None,
        *,
        own: Mapping[str, BreakerSettings] | None = None,
    ) -> None:
        self._settings = settings
        self._own = own or {}
        self._pool = pool
        self._ids = ids
        self._now = now
        self._observe = observe
        self._known: dict[Endpoint, Breaker] = {}
        self._ended: Counter[tuple[Endpoint, Ended]] = Counter()
        self._is_lost = False

    def is_open(self, endpoint: Endpoint) -> bool:
        """Whether a call would be refused now, as far as this process knows."""
        breaker = self._known.get(endpoint)
        return (
            breaker is not None
            and not lets_through(breaker)
            and not may_probe(breaker, self._settings_of(endpoint), self._now())
        )

    async def begin(self, endpoint: Endpoint) -> Pass:
        """Leave to call an endpoint; say with `end` how it went.

        Raises CroupierError: provider_unavailable while the breaker lets nothing through, unavailable when nobody can
        say whether a probe may pass.
        """
        breaker = self._known.get(endpoint)
        if breaker is None or lets_through(breaker):
            return Pass(endpoint)
        if not may_probe(breaker, self._settings_of(endpoint), self._now()):
            raise self._refusal(endpoint, breaker)
        taken: list[Breaker] = []

        def take(current: Breaker) -> Step | None:
            step = take_probe(current, self._settings_of(endpoint), self._now())
            if step is not None:
                taken.append(step.breaker)
            return step

        try:
            breaker = await self._change(endpoint, take)
        except AWAY as error:
            _log.warning("probe_not_taken", endpoint=str(endpoint), error=repr(error))
            detail = "nobody can say whether the provider may be tried; repeat the request"
            raise CroupierError(UNAVAILABLE, detail, retry_after_s=1) from None
        if taken:
            return Pass(endpoint, taken[0].probing_until[-1])
        if lets_through(breaker):
            return Pass(endpoint)
        raise self._refusal(endpoint, breaker)

    async def end(self, passed: Pass, ended: Ended) -> None:
        """How a call went that `begin` gave leave for. A probe is told at once, all else with the next report."""
        until = passed.probe_until
        if until is None:
            if ended is not Ended.UNUSED:
                self._ended[passed.endpoint, ended] += 1
            return
        succeeded = None if ended is Ended.UNUSED else ended is Ended.OK

        def step(current: Breaker) -> Step:
            settings = self._settings_of(passed.endpoint)
            return end_probe(current, until, succeeded=succeeded, settings=settings, now=self._now())

        try:
            await self._change(passed.endpoint, step)
        except AWAY as error:
            # Its lease ends, and it counts as failed.
            _log.warning("probe_not_told", endpoint=str(passed.endpoint), error=repr(error))

    def _settings_of(self, endpoint: Endpoint) -> BreakerSettings:
        return self._own.get(endpoint.provider, self._settings)

    def judge(self, *, failed: bool, duration_s: float) -> Ended:
        """How a call ended that took so long, in seconds."""
        if failed:
            return Ended.FAILED
        return Ended.SLOW if duration_s >= self._settings.slow_s else Ended.OK

    async def follow(self) -> None:
        """Report and look until cancelled; while the database is away, what is known stands."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Report what ended since the last time, see to what time alone changes, and learn how everything stands."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._report()
                await self._expire()
                async with self._pool.acquire() as connection:
                    self._known = await load_breakers(connection)
            self._is_lost = False
        except AWAY as error:
            if not self._is_lost:
                _log.warning("breakers_not_followed", error=repr(error))
            self._is_lost = True
        self._observe(self._known)

    async def _report(self) -> None:
        for endpoint in {endpoint for endpoint, _ in self._ended}:
            kinds = [(endpoint, kind) for kind in (Ended.OK, Ended.FAILED, Ended.SLOW)]
            counts = Counts(*(self._ended[kind] for kind in kinds))

            def step(current: Breaker, counts: Counts = counts, endpoint: Endpoint = endpoint) -> Step:
                return count(current, counts, self._settings_of(endpoint), self._now())

            await self._change(endpoint, step)
            # What was not told stays for the next time, and what ended meanwhile too.
            for kind, told in zip(kinds, (counts.ok, counts.failed, counts.slow), strict=True):
                self._ended[kind] -= told
                if not self._ended[kind]:
                    del self._ended[kind]

    async def _expire(self) -> None:
        for endpoint, breaker in list(self._known.items()):

            def step(current: Breaker, endpoint: Endpoint = endpoint) -> Step:
                return expire(current, self._settings_of(endpoint), self._now())

            if step(breaker).breaker != breaker:
                await self._change(endpoint, step)

    async def _change(self, endpoint: Endpoint, step: Callable[[Breaker], Step | None]) -> Breaker:
        async with self._pool.acquire(timeout=ANSWER_S) as connection:
            changed = await change_breaker(connection, endpoint, step, Act(ids=self._ids, now=self._now()))
        before = self._known.get(endpoint)
        if before is None or before.state is not changed.state:
            _log.warning("breaker_changed", endpoint=str(endpoint), state=changed.state.value)
        self._known[endpoint] = changed
        return changed

    def _refusal(self, endpoint: Endpoint, breaker: Breaker) -> CroupierError:
        if breaker.is_held:
            detail, wait_s = f"{endpoint} was closed off by hand", HELD_RETRY_S
        else:
            left_s = 0.0 if breaker.retry_at is None else (breaker.retry_at - self._now()).total_seconds()
            detail = f"too many calls to {endpoint} failed; it is tried again by a few calls at a time"
            wait_s = max(1, math.ceil(left_s))
        return CroupierError(PROVIDER_UNAVAILABLE, detail, reason="breaker_open", retry_after_s=wait_s)
