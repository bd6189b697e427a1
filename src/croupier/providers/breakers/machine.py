"""The breaker as a pure state machine: calls counted in a sliding window, and what is let through. Time is an argument.

Closed, every call passes and is counted. When enough of a window's calls failed, or were slow, it opens: nothing passes
until a time, which grows with every opening up to a cap. From then on a few probes pass, as many as are bounded for the
whole deployment; if all of them succeed it closes, and the first that fails opens it again. A person may open it, which
holds until a person closes it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct, structs

SLOTS: Final = 10
"""Parts of the window: what is older than it is forgotten a part at a time."""


class BreakerState(StrEnum):
    """What a breaker lets through: everything, nothing, or probes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Cause(StrEnum):
    """Why a breaker changed."""

    FAILURES = "failures"
    SLOW_CALLS = "slow_calls"
    PROBE_FAILED = "probe_failed"
    PROBES_BEGAN = "probes_began"
    PROBES_PASSED = "probes_passed"
    BY_HAND = "by_hand"


class BreakerSettings(Struct, frozen=True, kw_only=True):
    """When a breaker opens and how it closes; times in seconds, shares in percent."""

    window_s: int = 30
    min_calls: int = 10
    """Fewest calls in the window before shares mean anything."""
    failure_percent: int = 50
    slow_s: float = 3.0
    """A call that takes as long is slow."""
    slow_percent: int = 80
    open_s: int = 15
    """How long it stays open the first time; twice as long each time after."""
    open_cap_s: int = 300
    probes: int = 3
    """Calls let through at once, and to succeed, before it closes."""
    probe_lease_s: int = 30
    """How long a probe may take before it counts as failed: whoever made it is gone."""


class Counts(Struct, frozen=True, gc=False):
    """Calls by how they ended. A call that failed is not counted as slow too."""

    ok: int = 0
    failed: int = 0
    slow: int = 0

    @property
    def calls(self) -> int:
        return self.ok + self.failed + self.slow

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(self.ok + other.ok, self.failed + other.failed, self.slow + other.slow)


class Slot(Struct, frozen=True, gc=False):
    """What ended in one part of the window; `number` counts parts since 1970."""

    number: int
    counts: Counts


class Breaker(Struct, frozen=True, kw_only=True):
    """Where a breaker stands. `openings` counts those in a row, `probing_until` the leases of probes that are out."""

    state: BreakerState = BreakerState.CLOSED
    since: datetime
    retry_at: datetime | None = None
    openings: int = 0
    is_held: bool = False
    """Opened by hand: no probe passes, only a person closes it."""
    passed: int = 0
    probing_until: tuple[datetime, ...] = ()
    slots: tuple[Slot, ...] = ()

    @property
    def counts(self) -> Counts:
        """Everything in the window."""
        total = Counts()
        for slot in self.slots:
            total = total.plus(slot.counts)
        return total


class Step(Struct, frozen=True):
    """A breaker after something happened, and why it changed its state, if it did."""

    breaker: Breaker
    cause: Cause | None = None


def lets_through(breaker: Breaker) -> bool:
    """Whether any call passes, without being a probe."""
    return breaker.state is BreakerState.CLOSED


def may_probe(breaker: Breaker, settings: BreakerSettings, now: datetime) -> bool:
    """Whether one more probe may pass now."""
    if breaker.is_held or breaker.state is BreakerState.CLOSED:
        return False
    if breaker.state is BreakerState.OPEN:
        return breaker.retry_at is None or now >= breaker.retry_at
    return breaker.passed + len(breaker.probing_until) < settings.probes


def count(breaker: Breaker, counts: Counts, settings: BreakerSettings, now: datetime) -> Step:
    """Take the calls in that ended since the last time; a closed breaker opens when too many failed or were slow.

    What ends while it is open was let through before, or is a probe: it is counted and opens nothing.
    """
    counted = structs.replace(breaker, slots=_with(breaker.slots, counts, settings, now))
    total = counted.counts
    if breaker.state is not BreakerState.CLOSED or total.calls < settings.min_calls:
        return Step(counted)
    if total.failed * 100 >= settings.failure_percent * total.calls:
        return Step(_open(counted, settings, now), Cause.FAILURES)
    if (total.failed + total.slow) * 100 >= settings.slow_percent * total.calls:
        return Step(_open(counted, settings, now), Cause.SLOW_CALLS)
    return Step(counted)


def take_probe(breaker: Breaker, settings: BreakerSettings, now: datetime) -> Step | None:
    """Let one probe through; None when there is no room for one. The first makes an open breaker half-open."""
    if not may_probe(breaker, settings, now):
        return None
    until = now + timedelta(seconds=settings.probe_lease_s)
    if breaker.state is BreakerState.OPEN:
        began = structs.replace(
            breaker, state=BreakerState.HALF_OPEN, since=now, passed=0, probing_until=(until,)
        )
        return Step(began, Cause.PROBES_BEGAN)
    return Step(structs.replace(breaker, probing_until=(*breaker.probing_until, until)))


def end_probe(
    breaker: Breaker, until: datetime, *, succeeded: bool | None, settings: BreakerSettings, now: datetime
) -> Step:
    """A probe ended, known by the end of its lease; None when it was not used after all.

    One that is not known any more changes nothing: its lease was over, or the breaker has moved on.
    """
    if breaker.state is not BreakerState.HALF_OPEN or until not in breaker.probing_until:
        return Step(breaker)
    left = list(breaker.probing_until)
    left.remove(until)
    rest = structs.replace(breaker, probing_until=tuple(left))
    if succeeded is None:
        return Step(rest)
    if not succeeded:
        return Step(_open(rest, settings, now), Cause.PROBE_FAILED)
    rest = structs.replace(rest, passed=rest.passed + 1)
    if rest.passed < settings.probes:
        return Step(rest)
    return Step(_closed(rest, now, openings=rest.openings), Cause.PROBES_PASSED)


def expire(breaker: Breaker, settings: BreakerSettings, now: datetime) -> Step:
    """What time alone changes: a probe whose lease is over has failed, and a breaker that held well forgets."""
    if any(until <= now for until in breaker.probing_until):
        return Step(_open(breaker, settings, now), Cause.PROBE_FAILED)
    is_calm = breaker.state is BreakerState.CLOSED and breaker.openings > 0
    if is_calm and now - breaker.since >= timedelta(seconds=settings.open_cap_s):
        return Step(structs.replace(breaker, openings=0))
    return Step(breaker)


def open_by_hand(breaker: Breaker, now: datetime) -> Step:
    """Nothing passes any more until a person closes it; held already, nothing changes."""
    if breaker.is_held:
        return Step(breaker)
    held = structs.replace(
        breaker,
        state=BreakerState.OPEN,
        since=now,
        retry_at=None,
        is_held=True,
        passed=0,
        probing_until=(),
    )
    return Step(held, Cause.BY_HAND)


def close_by_hand(breaker: Breaker, now: datetime) -> Step:
    """Everything passes, and what was counted before counts no more; closed already, nothing changes."""
    if breaker.state is BreakerState.CLOSED:
        return Step(breaker)
    return Step(_closed(breaker, now, openings=0), Cause.BY_HAND)


def _open(breaker: Breaker, settings: BreakerSettings, now: datetime) -> Breaker:
    # The exponent is bounded, so that the power is a number however often it opens.
    pause_s = min(settings.open_cap_s, settings.open_s * 2 ** min(breaker.openings, 30))
    return structs.replace(
        breaker,
        state=BreakerState.OPEN,
        since=now,
        retry_at=now + timedelta(seconds=pause_s),
        openings=breaker.openings + 1,
        passed=0,
        probing_until=(),
    )


def _closed(breaker: Breaker, now: datetime, *, openings: int) -> Breaker:
    return structs.replace(
        breaker,
        state=BreakerState.CLOSED,
        since=now,
        retry_at=None,
        openings=openings,
        is_held=False,
        passed=0,
        probing_until=(),
        slots=(),
    )


def _with(
    slots: tuple[Slot, ...], counts: Counts, settings: BreakerSettings, now: datetime
) -> tuple[Slot, ...]:
    """The slots of the window that ends now, with these calls in the newest."""
    number = _slot_of(now, settings)
    kept = [slot for slot in slots if number - SLOTS < slot.number]
    # A clock that is a little behind adds to the newest part there is.
    newest = kept.pop() if kept and kept[-1].number >= number else Slot(number, Counts())
    if counts.calls or newest.counts.calls:
        kept.append(Slot(newest.number, newest.counts.plus(counts)))
    return tuple(kept)


def _slot_of(now: datetime, settings: BreakerSettings) -> int:
    elapsed = now - datetime(1970, 1, 1, tzinfo=UTC)
    return elapsed // (timedelta(seconds=settings.window_s) / SLOTS)
