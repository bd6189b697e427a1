"""Timeouts wait while the clocks disagree, and until ours has run evenly again after a jump."""

from datetime import UTC, datetime, timedelta

import pytest

from croupier.runtime.timers.clock import ClockGuard, Reading

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def reading(*, ours_s=0.0, boot_s=0.0, database_s=None, trip_s=0.0):
    """Clocks that stand at so many seconds after the beginning; the database agrees with ours unless it is said."""
    ours = T0 + timedelta(seconds=ours_s)
    database = ours if database_s is None else T0 + timedelta(seconds=database_s)
    return Reading(ours, 1_000.0 + boot_s, database, trip_s)


def guard():
    return ClockGuard(skew_s=5, settle_s=60)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_databases_clock_may_be_off_by_the_bound_and_no_more(sign):
    assert guard().judge(reading(database_s=sign * 5.0)) is None
    assert "database's clock" in (guard().judge(reading(database_s=sign * 5.001)) or "")


def test_a_slow_answer_is_no_difference():
    assert guard().judge(reading(database_s=7.0, trip_s=4.0)) is None
    assert guard().judge(reading(database_s=7.1, trip_s=4.0)) is not None


def test_a_database_that_agrees_again_is_trusted_at_once():
    clock = guard()
    assert clock.judge(reading(database_s=9.0)) is not None
    assert clock.judge(reading(ours_s=5.0, boot_s=5.0)) is None


@pytest.mark.parametrize("jump_s", [86_400.0, -86_400.0, 5.1, -5.1])
def test_after_a_jump_nothing_is_done_until_the_clock_has_settled(jump_s):
    clock = guard()
    assert clock.judge(reading()) is None
    assert "jumped by" in (clock.judge(reading(ours_s=5.0 + jump_s, boot_s=5.0)) or "")
    assert clock.judge(reading(ours_s=64.9 + jump_s, boot_s=64.9)) == "our clock jumped a moment ago"
    assert clock.judge(reading(ours_s=65.0 + jump_s, boot_s=65.0)) is None


def test_jumping_back_is_a_jump_too():
    clock = guard()
    clock.judge(reading())
    clock.judge(reading(ours_s=105.0, boot_s=5.0))
    assert "jumped by -100" in (clock.judge(reading(ours_s=50.0, boot_s=50.0)) or "")
    assert clock.judge(reading(ours_s=109.0, boot_s=109.0)) is not None
    assert clock.judge(reading(ours_s=110.0, boot_s=110.0)) is None


def test_a_machine_that_slept_did_not_jump():
    clock = guard()
    assert clock.judge(reading()) is None
    assert clock.judge(reading(ours_s=86_400.0, boot_s=86_400.0)) is None
