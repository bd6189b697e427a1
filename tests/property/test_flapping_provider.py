"""F2: a provider that flaps: the breaker stays closed below its thresholds, and opens no faster than its open time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from msgspec import Struct, field

from croupier.providers.breakers.machine import (
    Breaker,
    BreakerSettings,
    BreakerState,
    Counts,
    Step,
    count,
    end_probe,
    expire,
    lets_through,
    take_probe,
)

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RULES = BreakerSettings()
LOOK = timedelta(seconds=0.5)
"""How often a process reports."""


class Observed(Struct):
    """A breaker over time, and when it changed into what."""

    breaker: Breaker
    changes: list[tuple[datetime, BreakerState]] = field(default_factory=list)

    def take(self, step: Step, now: datetime) -> None:
        """Go on from what happened."""
        if step.breaker.state is not self.breaker.state:
            self.changes.append((now, step.breaker.state))
        self.breaker = step.breaker

    @property
    def openings(self) -> list[datetime]:
        return [at for at, state in self.changes if state is BreakerState.OPEN]


def spread(calls: int, percent: int, *, first_fails: bool) -> list[bool]:
    """Which of so many calls fail, as evenly spread as can be."""
    turn = 99 if first_fails else 0
    due = [(number * percent + turn) // 100 for number in range(calls + 1)]
    return [after > before for before, after in pairwise(due)]


def report(calls: list[bool], a_second: int) -> Observed:
    """Feed calls at a rate to a breaker that nobody probes, as a process reports them."""
    seen, batch = Observed(Breaker(since=T0)), max(1, a_second // 2)
    pause = LOOK if a_second >= 2 else timedelta(seconds=1 / a_second)
    for number in range(0, len(calls), batch):
        now, part = T0 + pause * (number // batch), calls[number : number + batch]
        failed = sum(part)
        seen.take(count(seen.breaker, Counts(ok=len(part) - failed, failed=failed), RULES, now), now)
    return seen


@examples(max_examples=300)
@given(st.integers(0, 40), st.integers(1, 50), st.booleans())
def test_it_does_not_open_while_fewer_fail_than_its_threshold(
    percent: int, a_second: int, first_fails: bool
) -> None:
    """At most 40 % spread evenly is below 50 % of any ten calls or more."""
    assert report(spread(1_500, percent, first_fails=first_fails), a_second).changes == []


@examples(max_examples=300)
@given(st.integers(60, 100), st.integers(1, 50), st.booleans())
def test_it_opens_when_more_fail_than_its_threshold(percent: int, a_second: int, first_fails: bool) -> None:
    seen = report(spread(200, percent, first_fails=first_fails), a_second)
    assert [state for _, state in seen.changes] == [BreakerState.OPEN]
    assert seen.breaker.counts.calls >= RULES.min_calls


@pytest.mark.parametrize("a_second", [1, 2, 5, 20])
def test_every_other_call_failing_is_its_threshold(a_second: int) -> None:
    alternating = [number % 2 == 0 for number in range(200)]
    assert len(report(alternating, a_second).openings) == 1


def test_too_few_calls_say_nothing_however_they_end() -> None:
    """A call in four seconds is never ten in thirty."""
    seen = Observed(Breaker(since=T0))
    for number in range(500):
        now = T0 + timedelta(seconds=4 * number)
        seen.take(count(seen.breaker, Counts(failed=1), RULES, now), now)
    assert seen.changes == []


def live(sick: timedelta, well: timedelta, a_look: int, duration: timedelta) -> Observed:
    """A provider that is sick and well by turns, asked for so many launches twice a second."""
    seen, now = Observed(Breaker(since=T0)), T0
    while now < T0 + duration:
        is_sick = (now - T0) % (sick + well) < sick
        seen.take(expire(seen.breaker, RULES, now), now)
        if lets_through(seen.breaker):
            counts = Counts(failed=a_look) if is_sick else Counts(ok=a_look)
            seen.take(count(seen.breaker, counts, RULES, now), now)
        for _ in range(a_look):
            probe = take_probe(seen.breaker, RULES, now)
            if probe is None:
                break
            seen.take(probe, now)
            until = seen.breaker.probing_until[-1]
            seen.take(end_probe(seen.breaker, until, succeeded=not is_sick, settings=RULES, now=now), now)
        now += LOOK
    return seen


TURN = st.integers(1, 240).map(lambda halves: timedelta(seconds=halves / 2))


@examples(max_examples=100)
@given(TURN, TURN, st.integers(1, 20))
def test_however_it_flaps_it_opens_no_faster_than_its_open_time_which_grows(
    sick: timedelta, well: timedelta, a_look: int
) -> None:
    seen = live(sick, well, a_look, timedelta(minutes=30))
    openings = seen.openings
    for number, (at, state) in enumerate(seen.changes[:-1]):
        if state is BreakerState.OPEN:
            pause = seen.changes[number + 1][0] - at
            assert pause >= timedelta(seconds=RULES.open_s)
    # Turns shorter than the cap leave no time to forget, so each time it stays open for longer than the time before.
    gaps = [after - before for before, after in pairwise(openings)]
    for number, gap in enumerate(gaps):
        assert gap >= timedelta(seconds=min(RULES.open_cap_s, RULES.open_s * 2**number))
    assert len(openings) <= 10


def test_an_hour_of_flapping_costs_few_calls() -> None:
    """Ten seconds sick, ten well, forty launches a second: most are held back."""
    seen = live(timedelta(seconds=10), timedelta(seconds=10), 20, timedelta(hours=1))
    assert 2 <= len(seen.openings) <= 16
