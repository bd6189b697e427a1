"""Trying again: which faults, how long after, and how much at most (F1, F3, FT31, FT33)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.providers.contract import Reply
from croupier.providers.retries import (
    RetryBudget,
    RetrySettings,
    may_pass,
    plan_pause,
    read_retry_after_s,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RULES = RetrySettings(first_pause_s=0.2)


def reply(status: int = 503, *retry_after: str) -> Reply:
    return Reply(status, b"", tuple((b"retry-after", text.encode("latin-1")) for text in retry_after))


@given(st.lists(st.booleans(), max_size=300), st.integers(0, 100), st.integers(0, 50))
def test_retries_never_add_more_than_their_share(wants: list[bool], percent: int, saved: int) -> None:
    """Amplification is bounded from the first call on, in every order of calls and faults."""
    budget = RetryBudget(RetrySettings(budget_percent=percent, saved=saved))
    retries = 0
    for calls, wants_retry in enumerate(wants, 1):
        budget.earn()
        retries += wants_retry and budget.spend()
        assert retries * 100 <= calls * percent
        assert 0 <= budget.remaining_percent <= 100


def test_a_quiet_time_saves_up_no_more_than_its_bound() -> None:
    budget = RetryBudget(RetrySettings(budget_percent=10, saved=3))
    for _ in range(1_000):
        budget.earn()
    assert budget.remaining_percent == 100
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]
    assert budget.remaining_percent == 0


def test_only_the_kind_of_fault_decides() -> None:
    assert [status for status in range(100, 600) if may_pass(reply(status))] == [429, 500, 502, 503, 504]
    words = {
        *("timeout", "reset", "not_http", "too_large"),
        *("unreachable", "name_not_found", "tls_failed", "address_not_usable"),
    }
    assert {word for word in words if may_pass(word)} == {
        "timeout",
        "reset",
        "unreachable",
        "name_not_found",
    }


@pytest.mark.parametrize(
    ("values", "wait_s"),
    [
        (("0",), 0.0),
        (("7",), 7.0),
        ((" 7 ",), 7.0),
        (("999999999",), 999_999_999.0),
        (("9" * 10_000,), float("inf")),
        (("Sun, 01 Mar 2026 12:00:30 GMT",), 30.0),
        (("Sun, 01 Mar 2026 11:00:00 GMT",), 0.0),
        (("Fri, 01 Jan 99999 00:00:00 GMT",), None),
        (("Fri, 01 Jan 2100 00:00:00 +9999999999999999999",), None),
        (("Fri, 01 Jan 0001 00:00:00 +2359",), 0.0),
        (("-5",), None),
        (("1.5",), None),
        (("soon",), None),
        (("٣",), None),
        (("",), None),
        (("1", "2"), None),
        ((), None),
    ],
)
def test_what_a_provider_asks_for_is_read_and_nonsense_is_not(
    values: tuple[str, ...], wait_s: float | None
) -> None:
    assert read_retry_after_s(Reply(503, b"", _headers(values)), NOW) == wait_s


def _headers(values: tuple[str, ...]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((b"retry-after", text.encode("utf-8")) for text in values)


def test_a_fault_of_transport_asks_for_nothing() -> None:
    assert read_retry_after_s("reset", NOW) is None


@given(st.text(max_size=80) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,9} Jan \d{1,9} [\d:]{0,20} [+-]\d{1,30}"))
def test_whatever_stands_there_is_read_or_is_nonsense(text: str) -> None:
    asked_s = read_retry_after_s(reply(503, text.encode("utf-8").decode("latin-1")), NOW)
    assert asked_s is None or asked_s >= 0


def test_pauses_are_spread_over_a_range_that_doubles() -> None:
    longest = [plan_pause(retry, None, left_s=60, settings=RULES, chance=1) for retry in (1, 2, 3)]
    assert longest == [0.2, 0.4, 0.8]
    assert plan_pause(1, None, left_s=60, settings=RULES, chance=0) == 0
    assert plan_pause(10_000, None, left_s=60, settings=RULES, chance=1) is None


def test_what_was_asked_for_is_kept_to_or_the_call_is_given_up() -> None:
    assert plan_pause(1, 3.0, left_s=3.1, settings=RULES, chance=0.5) == 3.0
    assert plan_pause(1, 3.0, left_s=3.0, settings=RULES, chance=0.5) is None
    assert plan_pause(1, float("inf"), left_s=3.0, settings=RULES, chance=0.5) is None
