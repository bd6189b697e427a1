"""Backpressure: whether there is room for another webhook of a provider, and when it is worth asking again.

The bounds are about what is stored and not processed yet. It is measured about once a second by whoever works; here
it is read about once a second, and what this process has accepted since is added. Asking costs neither a round trip
nor a lock.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import structlog
from msgspec import Struct

from croupier.errors import BACKLOGGED, OVERLOADED, CroupierError, ErrorKind
from croupier.moneypath.faults import UNREACHABLE
from croupier.runtime.statements import load_statements

READ_S: Final = 1.0
ANSWER_S: Final = 5.0
ROOM: Final = 10
"""A sender is asked to come back when a tenth of the bound is free again, so that the wait says something."""

_log = structlog.get_logger("croupier.inbox")
_LOAD: Final = load_statements("croupier/inbox/intake.sql")["load_levels"].sql


class PressureSettings(Struct, frozen=True, kw_only=True):
    """Most unprocessed deliveries of one provider, and of all; the longest wait a sender is asked for, in seconds."""

    backlog: int = 1_000_000
    backlog_total: int = 4_000_000
    retry_after_cap_s: int = 300


class Level(Struct, frozen=True):
    """What waits for one provider, and how many deliveries a minute are finished."""

    provider: str
    depth: int
    drained_per_min: int
    measured_at: datetime


async def load_levels(fetch: Callable[..., Awaitable[Sequence[Any]]]) -> list[Level]:
    """The levels as they were measured last; none when nobody has measured yet. `fetch` is that of a pool."""
    return [Level(*row) for row in await fetch(_LOAD, timeout=ANSWER_S)]


class Pressure:
    """Knows the last levels and what this process has accepted since. Where nothing was measured, there is room."""

    def __init__(self, settings: PressureSettings, load: Callable[[], Awaitable[Iterable[Level]]]) -> None:
        self._settings = settings
        self._load = load
        self._levels: dict[str, Level] = {}
        # What was accepted before the last look is in no older measure; what was accepted since is in none at all.
        self._earlier: Counter[str] = Counter()
        self._since: Counter[str] = Counter()
        self._seen: dict[str, datetime | None] = {}
        self._total = 0

    def note_accepted(self, provider: str) -> None:
        """One more waits."""
        self._since[provider] += 1
        self._total += 1

    def waiting(self, provider: str) -> int:
        """How many deliveries of a provider wait, as far as this process can tell."""
        level = self._levels.get(provider)
        depth = 0 if level is None else level.depth
        return depth + self._earlier[provider] + self._since[provider]

    def require_room(self, provider: str) -> None:
        """Refuse what would wait too long.

        Raises:
            CroupierError: `backlogged` when too much of this provider waits, `overloaded` when too much does at all.
        """
        settings = self._settings
        waiting = self.waiting(provider)
        if waiting >= settings.backlog:
            raise self._full(BACKLOGGED, waiting, settings.backlog, self._drained_per_min(provider))
        if self._total >= settings.backlog_total:
            drained = sum(level.drained_per_min for level in self._levels.values())
            raise self._full(OVERLOADED, self._total, settings.backlog_total, drained)

    def _drained_per_min(self, provider: str) -> int:
        level = self._levels.get(provider)
        return 0 if level is None else level.drained_per_min

    def _full(self, kind: ErrorKind, waiting: int, bound: int, drained_per_min: int) -> CroupierError:
        detail = f"{waiting} webhooks wait to be processed, and {bound} may; repeat this one later"
        excess = waiting - (bound - bound // ROOM)
        return CroupierError(kind, detail, retry_after_s=self._wait_s(excess, drained_per_min))

    def _wait_s(self, excess: int, drained_per_min: int) -> int:
        cap_s = self._settings.retry_after_cap_s
        if drained_per_min <= 0:
            return cap_s
        return max(1, min(cap_s, -(-excess * 60 // drained_per_min)))

    def take(self, levels: Iterable[Level]) -> None:
        """Take the newest levels in. A measure that is new holds what was accepted before the last look."""
        now = {level.provider: level for level in levels}
        newest = max((level.measured_at for level in now.values()), default=None)
        for provider in {*now, *self._since, *self._earlier}:
            # A measure that does not name a provider has found nothing of it.
            measured_at = now[provider].measured_at if provider in now else newest
            is_new = measured_at is not None and measured_at != self._seen.get(provider)
            self._seen[provider] = measured_at
            self._earlier[provider] = self._since[provider] + (0 if is_new else self._earlier[provider])
        self._since.clear()
        self._levels = now
        self._total = sum(level.depth for level in now.values()) + self._earlier.total()

    async def follow(self) -> None:
        """Look about once a second until cancelled; while the database is away, the last levels stand."""
        is_lost = False
        while True:
            try:
                self.take(await self._load())
                is_lost = False
            except (asyncpg.PostgresError, *UNREACHABLE) as error:
                if not is_lost:
                    _log.warning("levels_not_read", error=repr(error))
                is_lost = True
            await asyncio.sleep(READ_S)
