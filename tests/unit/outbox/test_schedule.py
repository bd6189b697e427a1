"""When a failed attempt is repeated, and what a receiver may ask for."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.operator.outbox.schedule import JITTER_PERCENT, parse_retry_after, plan_next_attempt
from croupier.runtime.config.queues import Outbox

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PAUSES = (5, 300, 1800)


def pause_of(attempts: int, retry_after_s: int | None = None) -> float | None:
    at = plan_next_attempt(PAUSES, attempts=attempts, now=NOW, chance_permille=0, retry_after_s=retry_after_s)
    return None if at is None else (at - NOW).total_seconds()


def test_each_attempt_has_its_pause_and_the_last_has_none() -> None:
    assert [pause_of(attempts) for attempts in (1, 2, 3, 4, 5)] == [5, 300, 1800, None, None]


def test_without_pauses_the_first_attempt_is_the_last() -> None:
    assert plan_next_attempt((), attempts=1, now=NOW, chance_permille=0) is None


@pytest.mark.parametrize(
    ("attempts", "asked_s", "granted_s"),
    [
        (1, 3, 5),
        (1, 60, 60),
        (1, 9_999, 300),
        (2, 301, 301),
        (2, 9_999, 1800),
        (3, 9_999, 1800),
        (3, 1, 1800),
    ],
)
def test_what_is_asked_for_is_granted_between_this_pause_and_the_next(
    attempts: int, asked_s: int, granted_s: int
) -> None:
    assert pause_of(attempts, asked_s) == granted_s


def test_nothing_is_granted_after_the_last_attempt() -> None:
    assert pause_of(4, 60) is None


@given(
    pauses=st.lists(st.integers(1, 100_000), max_size=6),
    attempts=st.integers(1, 8),
    chance_permille=st.integers(0, 999),
    asked_s=st.none() | st.integers(0, 10**9),
)
def test_every_pause_is_bounded_by_the_schedule(
    pauses: list[int], attempts: int, chance_permille: int, asked_s: int | None
) -> None:
    at = plan_next_attempt(
        pauses, attempts=attempts, now=NOW, chance_permille=chance_permille, retry_after_s=asked_s
    )
    if attempts > len(pauses):
        assert at is None
        return
    assert at is not None
    most = max(pauses[attempts - 1 : attempts + 1]) * (100 + JITTER_PERCENT) / 100
    assert timedelta(seconds=pauses[attempts - 1]) <= at - NOW <= timedelta(seconds=most)


def test_the_schedule_that_comes_with_the_configuration_lasts_a_day_and_eight_attempts() -> None:
    schedule_s = Outbox().schedule_s
    assert len(schedule_s) == 7
    assert timedelta(days=1) < timedelta(seconds=sum(schedule_s)) < timedelta(days=2)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("120", 120),
        ("0", 0),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("9" * 50, None),
        ("", None),
        ("\u0661\u0662", None),
        ("Sun, 99 Mar 2026 12:01:30 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_nonsense_is_nothing(
    text: str | None, seconds: int | None
) -> None:
    assert parse_retry_after(text, NOW) == seconds


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader_of_retry_after(text: str) -> None:
    found = parse_retry_after(text, NOW)
    assert found is None or found >= 0
