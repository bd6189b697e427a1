"""What a delivery's answer means, and when it is tried again: pure rules, without a queue."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from msgspec import structs

from croupier.errors import CATALOGUE, UNAVAILABLE, CroupierError, Retry
from croupier.inbox.process import (
    APPLIED,
    NOTHING,
    REFUSED,
    REPEAT,
    UNMATCHED,
    Claimed,
    Finish,
    Park,
    Patience,
    PutBack,
    Setback,
    Source,
    Wait,
    judge_error,
    judge_outcomes,
    may_still_come,
    plan_end,
    render_detail,
)
from croupier.moneypath.outcomes import (
    ALREADY_PAID,
    ALREADY_ROLLED_BACK,
    APPROVED,
    DECLINED,
    INSUFFICIENT_FUNDS,
    NOTHING_TO_ROLL_BACK,
    OK,
    REPORTED,
    ROLLED_BACK_IN_PART,
    Outcome,
)
from croupier.providers.verification import StoredDelivery
from model.calls import NOW

JOURNAL = UUID(int=7)
PAID = Outcome(APPROVED, OK, "w1", JOURNAL, 140, "EUR", moved=40)
CLAIMED = Claimed(
    bucket=1,
    id=UUID(int=1),
    fence=1,
    attempts=0,
    lost=1,
    order_key="r1",
    received_at=NOW,
    first_failed_at=None,
    type="jackpot.won",
    correlation_id="c1",
    trace_id=None,
    stored=StoredDelivery(
        delivery_id="msg-1", path="/", body=b"", body_digest="", key_id="k", signed_at_s=0, received_at=NOW
    ),
)
PATIENCE = Patience(attempts=4, retry_s=2.0, retry_cap_s=5.0, wait_s=1.0, wait_cap_s=60.0)
MAY_COME = {"unknown_session", "unknown_player", "unknown_round"}


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((PAID,), Finish(result=APPLIED, code=OK, journal_id=JOURNAL, asset="EUR", moved=40)),
        (
            (structs.replace(PAID, is_repeat=True),),
            Finish(result=REPEAT, code=OK, journal_id=JOURNAL, asset="EUR"),
        ),
        ((Outcome(APPROVED, OK, "c1", asset="EUR"),), Finish(result=APPLIED, code=OK, asset="EUR", moved=0)),
        (
            (Outcome(APPROVED, ROLLED_BACK_IN_PART, "rb", JOURNAL, asset="EUR", moved=-3),),
            Finish(result=APPLIED, code=ROLLED_BACK_IN_PART, journal_id=JOURNAL, asset="EUR", moved=-3),
        ),
        ((Outcome(DECLINED, INSUFFICIENT_FUNDS, "b1"),), Finish(result=REFUSED, code=INSUFFICIENT_FUNDS)),
        (
            (Outcome(DECLINED, INSUFFICIENT_FUNDS, "b1", is_repeat=True),),
            Finish(result=REPEAT, code=INSUFFICIENT_FUNDS),
        ),
        *(
            ((Outcome(APPROVED, code, "x"),), Finish(result=NOTHING, code=code))
            for code in (NOTHING_TO_ROLL_BACK, ALREADY_ROLLED_BACK, ALREADY_PAID, REPORTED)
        ),
        (
            (
                structs.replace(PAID, is_repeat=True),
                Outcome(APPROVED, OK, "w2", JOURNAL, asset="EUR", moved=5),
            ),
            Finish(result=APPLIED, code=OK, journal_id=JOURNAL, asset="EUR", moved=5),
        ),
        (
            (PAID, Outcome(APPROVED, OK, "w2", asset="EUR", moved=2), Outcome(APPROVED, REPORTED, "x")),
            Finish(result=APPLIED, code=OK, journal_id=JOURNAL, asset="EUR", moved=42),
        ),
    ],
)
def test_an_outcome_is_applied_a_repeat_nothing_or_refused(
    outcomes: tuple[Outcome, ...], expected: Finish
) -> None:
    assert judge_outcomes(outcomes) == expected


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_only_the_retry_class_of_an_error_says_whether_it_is_tried_again(code: str) -> None:
    error = CroupierError(CATALOGUE[code], "why")
    early, late = judge_error(error, may_wait=True), judge_error(error, may_wait=False)
    if code in MAY_COME:
        assert (early, late) == (Wait(code, "why"), Finish(result=UNMATCHED, code=code, detail="why"))
    elif error.kind.retry in (Retry.SAME_KEY_NOW, Retry.AFTER_WAIT):
        assert early == late == Setback(code, "why")
    else:
        assert early == late == Finish(result=REFUSED, code=code, detail="why")


def test_pauses_between_attempts_double_up_to_a_bound_and_the_last_attempt_ends_in_a_dead_letter() -> None:
    setback, pauses = Setback("unavailable", "away"), []
    for attempts in range(PATIENCE.attempts - 1):
        end = plan_end(structs.replace(CLAIMED, attempts=attempts), setback, PATIENCE, NOW, 1.0)
        assert isinstance(end, PutBack)
        assert (end.attempts, end.is_waiting, end.cause) == (attempts + 1, False, "unavailable")
        pauses.append((end.at - NOW).total_seconds())
    assert pauses == [2.0, 4.0, 5.0]
    last = structs.replace(CLAIMED, attempts=PATIENCE.attempts - 1)
    assert plan_end(last, setback, PATIENCE, NOW, 1.0) == Park("unavailable", "away", PATIENCE.attempts)


def test_chance_spreads_attempts_over_the_whole_pause() -> None:
    setback = Setback("unavailable", "away")
    ends = [plan_end(CLAIMED, setback, PATIENCE, NOW, chance) for chance in (0.0, 0.25, 1.0)]
    assert [(end.at - NOW).total_seconds() for end in ends if isinstance(end, PutBack)] == [0.0, 0.5, 2.0]


def test_a_bound_on_attempts_that_is_never_reached_overflows_nothing() -> None:
    tried = structs.replace(CLAIMED, attempts=5_000)
    end = plan_end(tried, Setback("unavailable", ""), Patience(attempts=100_000), NOW, 1.0)
    assert isinstance(end, PutBack)
    assert end.at == NOW + timedelta(seconds=60)


def test_waiting_is_counted_nowhere_and_each_pause_is_as_long_as_the_wait_so_far() -> None:
    waiting, waited_s = Wait("unknown_session", "no session has this id"), []
    claimed, now = CLAIMED, NOW
    for _ in range(9):
        end = plan_end(claimed, waiting, PATIENCE, now, 1.0)
        assert isinstance(end, PutBack)
        assert (end.attempts, end.is_waiting) == (0, True)
        waited_s.append((end.at - now).total_seconds())
        claimed, now = structs.replace(claimed, first_failed_at=claimed.first_failed_at or now), end.at
    assert waited_s == [1, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_wait_ends_at_its_deadline_and_never_before_now() -> None:
    patience = structs.replace(PATIENCE, wait_for_cause_s=100.0)
    deadline = NOW + timedelta(seconds=100)
    claimed = structs.replace(CLAIMED, first_failed_at=NOW)
    for second, expected in ((70, deadline), (99.5, deadline), (200, NOW + timedelta(seconds=200))):
        now = NOW + timedelta(seconds=second)
        end = plan_end(claimed, Wait("unknown_round", ""), patience, now, 1.0)
        assert isinstance(end, PutBack)
        assert end.at == expected
    assert may_still_come(NOW, patience, deadline - timedelta(microseconds=1))
    assert not may_still_come(NOW, patience, deadline)


def test_a_clock_that_went_back_while_something_waits_makes_no_pause_negative() -> None:
    claimed = structs.replace(CLAIMED, first_failed_at=NOW + timedelta(minutes=10))
    end = plan_end(claimed, Wait("unknown_round", ""), PATIENCE, NOW, 0.0)
    assert isinstance(end, PutBack)
    assert end.at == NOW + timedelta(seconds=0.5)


def test_a_request_id_is_the_delivery_the_first_time_and_another_one_in_each_replay() -> None:
    first = Source(id=UUID(int=9), correlation_id="c", trace_id=None)
    assert first.request_id == first.id
    replays = [structs.replace(first, replay=UUID(int=number)).request_id for number in (4, 5)]
    assert len({first.request_id, *replays}) == 3
    assert replays == [structs.replace(first, replay=UUID(int=number)).request_id for number in (4, 5)]


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 10_000, "plain"])
def test_every_detail_can_be_stored(text: str) -> None:
    kept = render_detail(text)
    assert "\0" not in kept
    assert len(kept) <= 500
    kept.encode()
    assert render_detail("plain") == "plain"


def test_an_error_that_may_pass_is_no_refusal() -> None:
    assert judge_error(CroupierError(UNAVAILABLE, "away"), may_wait=False) == Setback("unavailable", "away")
