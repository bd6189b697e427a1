"""F2: whatever happens to a breaker, it keeps its bounds, moves along its arrows, and recovers (I9, I10)."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from croupier.providers.breakers.machine import (
    Breaker,
    BreakerSettings,
    BreakerState,
    Cause,
    Counts,
    Step,
    close_by_hand,
    count,
    end_probe,
    expire,
    may_probe,
    open_by_hand,
    take_probe,
)

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
ARROWS = {
    Cause.FAILURES: {(CLOSED, OPEN)},
    Cause.SLOW_CALLS: {(CLOSED, OPEN)},
    Cause.PROBE_FAILED: {(HALF_OPEN, OPEN)},
    Cause.PROBES_BEGAN: {(OPEN, HALF_OPEN)},
    Cause.PROBES_PASSED: {(HALF_OPEN, CLOSED)},
    Cause.BY_HAND: {(CLOSED, OPEN), (HALF_OPEN, OPEN), (OPEN, OPEN), (OPEN, CLOSED), (HALF_OPEN, CLOSED)},
}
SETTINGS = st.builds(
    BreakerSettings,
    window_s=st.integers(1, 60),
    min_calls=st.integers(1, 20),
    failure_percent=st.integers(1, 100),
    slow_percent=st.integers(1, 100),
    open_s=st.integers(1, 30),
    open_cap_s=st.integers(30, 600),
    probes=st.integers(1, 5),
    probe_lease_s=st.integers(1, 30),
)
COUNTS = st.builds(Counts, ok=st.integers(0, 9), failed=st.integers(0, 9), slow=st.integers(0, 9))
HAPPENINGS = st.one_of(
    st.tuples(st.just("count"), COUNTS),
    st.tuples(st.just("probe"), st.none()),
    st.tuples(st.just("crowd"), st.integers(2, 8)),
    st.tuples(st.just("end"), st.sampled_from([True, False, None])),
    st.tuples(st.just("expire"), st.none()),
    st.tuples(st.just("wait"), st.floats(0, 400)),
    st.tuples(st.just("open"), st.none()),
    st.tuples(st.just("close"), st.none()),
)


def happen(breaker: Breaker, settings: BreakerSettings, now: datetime, kind: str, what: object) -> Step:
    match kind, what:
        case "count", Counts() as counts:
            return count(breaker, counts, settings, now)
        case "probe", _:
            return take_probe(breaker, settings, now) or Step(breaker)
        case "end", _ if breaker.probing_until:
            ended = what if isinstance(what, bool) else None
            return end_probe(breaker, breaker.probing_until[0], succeeded=ended, settings=settings, now=now)
        case "expire", _:
            return expire(breaker, settings, now)
        case "open", _:
            return open_by_hand(breaker, now)
        case "close", _:
            return close_by_hand(breaker, now)
        case _:
            return Step(breaker)


@examples(max_examples=1_000)
@given(SETTINGS, st.lists(HAPPENINGS, max_size=60))
def test_bounds_and_arrows_hold_and_it_recovers(
    settings: BreakerSettings, happenings: list[tuple[str, object]]
) -> None:
    breaker, now = Breaker(since=T0), T0
    for kind, what in happenings:
        if isinstance(what, float):
            now += timedelta(seconds=what)
            continue
        if isinstance(what, int) and not isinstance(what, bool):
            # Many who come at once, when it is time.
            now = max(now, breaker.retry_at or now)
            breaker = crowd(breaker, settings, now, what)
            continue
        step = happen(breaker, settings, now, kind, what)
        before, after = breaker.state, step.breaker.state
        if step.cause is None:
            assert before is after
        else:
            assert (before, after) in ARROWS[step.cause]
            assert step.breaker.since == now
        breaker = step.breaker
        assert breaker.passed + len(breaker.probing_until) <= settings.probes
        assert breaker.state is HALF_OPEN or not breaker.probing_until
        assert not breaker.is_held or breaker.state is OPEN
        if breaker.state is OPEN and not breaker.is_held:
            assert breaker.retry_at is not None
            assert breaker.retry_at - breaker.since <= timedelta(seconds=settings.open_cap_s)
            assert may_probe(breaker, settings, breaker.retry_at)
    recover(breaker, settings, now)


def crowd(breaker: Breaker, settings: BreakerSettings, now: datetime, many: int) -> Breaker:
    for _ in range(many):
        taken = take_probe(breaker, settings, now)
        breaker = breaker if taken is None else taken.breaker
    assert breaker.passed + len(breaker.probing_until) <= settings.probes
    return breaker


def recover(breaker: Breaker, settings: BreakerSettings, now: datetime) -> None:
    """Once calls succeed, it closes by itself, unless a person holds it open."""
    now += timedelta(seconds=settings.open_cap_s + settings.probe_lease_s)
    breaker = expire(breaker, settings, now).breaker
    now += timedelta(seconds=settings.open_cap_s)
    for _ in range(settings.probes):
        taken = take_probe(breaker, settings, now)
        if taken is None:
            break
        until = taken.breaker.probing_until[-1]
        breaker = end_probe(taken.breaker, until, succeeded=True, settings=settings, now=now).breaker
    assert (breaker.state is CLOSED) != breaker.is_held
