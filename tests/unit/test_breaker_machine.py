"""The breaker's edges, one by one (F2)."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from croupier.providers.breakers.machine import (
    Breaker,
    BreakerSettings,
    BreakerState,
    Cause,
    Counts,
    close_by_hand,
    count,
    end_probe,
    expire,
    lets_through,
    may_probe,
    open_by_hand,
    take_probe,
)

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RULES = BreakerSettings(window_s=30, min_calls=10, open_s=15, open_cap_s=60, probes=3, probe_lease_s=20)
NEW = Breaker(since=T0)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def opened(at: datetime = T0) -> Breaker:
    step = count(NEW, Counts(failed=10), RULES, at)
    assert step.cause is Cause.FAILURES
    return step.breaker


def half_open(probes: int = 1) -> Breaker:
    breaker = opened()
    for number in range(probes):
        step = take_probe(breaker, RULES, after(15 + number / 10))
        assert step is not None
        breaker = step.breaker
    return breaker


@pytest.mark.parametrize(
    ("counts", "cause"),
    [
        (Counts(failed=9), None),
        (Counts(failed=10), Cause.FAILURES),
        (Counts(ok=6, failed=5), None),
        (Counts(ok=5, failed=5), Cause.FAILURES),
        (Counts(ok=3, slow=7), None),
        (Counts(ok=2, slow=8), Cause.SLOW_CALLS),
        (Counts(ok=2, slow=4, failed=4), Cause.SLOW_CALLS),
        (Counts(ok=10), None),
        (Counts(), None),
    ],
)
def test_it_opens_at_its_thresholds_and_not_below(counts: Counts, cause: Cause | None) -> None:
    step = count(NEW, counts, RULES, T0)
    assert step.cause is cause
    assert lets_through(step.breaker) is (cause is None)
    if cause is not None:
        assert (step.breaker.since, step.breaker.retry_at) == (T0, after(15))


def test_the_window_is_of_all_reports_and_slides() -> None:
    breaker = NEW
    for number in range(9):
        breaker = count(breaker, Counts(failed=1), RULES, after(number)).breaker
    assert count(breaker, Counts(failed=1), RULES, after(29)).cause is Cause.FAILURES
    late = count(breaker, Counts(failed=1), RULES, after(60))
    assert late.cause is None
    assert late.breaker.counts == Counts(failed=1)


def test_a_clock_that_is_a_little_behind_adds_to_what_there_is() -> None:
    breaker = count(NEW, Counts(failed=5), RULES, after(10)).breaker
    assert count(breaker, Counts(failed=5), RULES, after(5)).cause is Cause.FAILURES


def test_nothing_passes_until_its_time_and_then_a_bounded_number_of_probes() -> None:
    breaker = opened()
    assert not may_probe(breaker, RULES, after(14.999999))
    assert take_probe(breaker, RULES, after(14.999999)) is None
    for number in range(3):
        step = take_probe(breaker, RULES, after(15 + number / 10))
        assert step is not None
        assert step.cause is (Cause.PROBES_BEGAN if number == 0 else None)
        breaker = step.breaker
        assert breaker.state is BreakerState.HALF_OPEN
    assert take_probe(breaker, RULES, after(16)) is None


def test_it_closes_when_all_probes_passed_and_counts_anew() -> None:
    breaker = half_open(3)
    causes = []
    for until in breaker.probing_until:
        step = end_probe(breaker, until, succeeded=True, settings=RULES, now=after(17))
        breaker = step.breaker
        causes.append(step.cause)
    assert causes == [None, None, Cause.PROBES_PASSED]
    assert (breaker.state, breaker.counts, breaker.openings) == (BreakerState.CLOSED, Counts(), 1)


def test_the_first_probe_that_fails_opens_it_for_twice_as_long_up_to_the_cap() -> None:
    breaker, now, pauses = opened(), T0, []
    for _ in range(5):
        assert breaker.retry_at is not None
        pauses.append((breaker.retry_at - now).total_seconds())
        now = breaker.retry_at
        step = take_probe(breaker, RULES, now)
        assert step is not None
        (until,) = step.breaker.probing_until
        failed = end_probe(step.breaker, until, succeeded=False, settings=RULES, now=now)
        assert failed.cause is Cause.PROBE_FAILED
        breaker = failed.breaker
    assert pauses == [15, 30, 60, 60, 60]


def test_a_probe_that_was_not_used_makes_room_for_another() -> None:
    breaker = half_open(3)
    given_back = end_probe(breaker, breaker.probing_until[0], succeeded=None, settings=RULES, now=after(16))
    assert given_back.cause is None
    assert take_probe(given_back.breaker, RULES, after(16)) is not None


def test_a_probe_whose_maker_is_gone_has_failed_when_its_lease_is_over() -> None:
    breaker = half_open()
    (until,) = breaker.probing_until
    assert expire(breaker, RULES, until - timedelta(microseconds=1)).cause is None
    assert expire(breaker, RULES, until).cause is Cause.PROBE_FAILED


def test_a_probe_that_comes_back_too_late_changes_nothing() -> None:
    breaker = half_open()
    (until,) = breaker.probing_until
    lost = expire(breaker, RULES, until).breaker
    for succeeded in (True, False, None):
        assert end_probe(lost, until, succeeded=succeeded, settings=RULES, now=until).breaker == lost


def test_calls_that_end_while_it_is_open_open_nothing_twice() -> None:
    breaker = opened()
    step = count(breaker, Counts(failed=50), RULES, after(5))
    assert step.cause is None
    assert step.breaker.retry_at == breaker.retry_at


def test_an_open_time_grows_until_it_held_for_as_long_as_the_cap() -> None:
    breaker = half_open(3)
    for until in breaker.probing_until:
        breaker = end_probe(breaker, until, succeeded=True, settings=RULES, now=after(20)).breaker
    assert expire(breaker, RULES, after(79)).breaker.openings == 1
    again = count(breaker, Counts(failed=10), RULES, after(30)).breaker
    assert again.retry_at == after(60)
    calm = expire(breaker, RULES, after(80)).breaker
    assert count(calm, Counts(failed=10), RULES, after(80)).breaker.retry_at == after(95)


def test_what_a_person_opened_only_a_person_closes() -> None:
    held = open_by_hand(NEW, T0)
    assert held.cause is Cause.BY_HAND
    assert not may_probe(held.breaker, RULES, after(1e6))
    assert count(held.breaker, Counts(ok=100), RULES, after(1)).breaker.state is BreakerState.OPEN
    assert expire(held.breaker, RULES, after(1e6)).breaker == held.breaker
    assert open_by_hand(held.breaker, after(5)).cause is None
    closed = close_by_hand(held.breaker, after(9))
    assert (closed.cause, lets_through(closed.breaker)) == (Cause.BY_HAND, True)
    assert closed.breaker.counts == Counts()


def test_closing_by_hand_forgets_how_often_it_opened() -> None:
    closed = close_by_hand(structs.replace(opened(), openings=9), after(1)).breaker
    assert count(closed, Counts(failed=10), RULES, after(2)).breaker.retry_at == after(17)
    assert close_by_hand(closed, after(3)).cause is None
