"""The table "Order" of `money.md`, row by row, on the pure decision of calls."""

from datetime import timedelta

import pytest
from msgspec import structs

from croupier.play.session import State
from model.calls import (
    EXPIRES,
    NOW,
    bet,
    close_round,
    close_session,
    deposit,
    fail,
    jackpot,
    open_session,
    promo,
    rollback,
    win,
)
from model.desk import BET_GRACE, Desk, as_stored, open_desk, settle_session


def told(outcome):
    return outcome.status, outcome.code


def played_desk(**terms):
    """A desk where one round was played and settled: bet 100, win 40."""
    desk = open_desk(**terms)
    desk.one(bet())
    desk.one(win())
    desk.one(close_round())
    settle_session(desk)
    return desk


class TestRollbackOfAnUnknownReference:
    def test_is_approved_with_nothing_to_roll_back_and_leaves_a_tombstone(self):
        desk = open_desk()
        assert told(desk.one(rollback("b1"))) == ("approved", "nothing_to_roll_back")
        assert desk.reference("b1").status == "tombstone"
        assert desk.balance() == 1_000

    def test_makes_the_late_bet_a_decline(self):
        desk = open_desk()
        desk.one(rollback("b1"))
        late = desk.one(bet("b1", 100))
        assert (told(late), late.balance) == (("declined", "tombstoned"), 1_000)
        assert desk.clearing() == 0
        assert desk.session().state == State.LAUNCHED

    def test_makes_the_late_bet_a_decline_for_ever(self):
        desk = open_desk()
        desk.one(rollback("b1"))
        desk.one(bet("b1"))
        repeated = desk.one(bet("b1"))
        assert told(repeated) == ("declined", "tombstoned")
        assert repeated.is_repeat

    def test_makes_a_late_win_a_decline_that_finance_hears_of(self):
        desk = open_desk()
        desk.one(bet())
        desk.one(rollback("w1"))
        assert told(desk.one(win("w1"))) == ("declined", "tombstoned")
        assert [found.kind for found in desk.breaks()] == ["refused_credit"]
        assert desk.balance() == 900

    def test_repeated_after_the_late_bet_gives_its_first_answer(self):
        desk = open_desk()
        first = desk.one(rollback("b1"))
        desk.one(bet("b1"))
        assert as_stored(desk.one(rollback("b1"))) == as_stored(first)

    def test_repeated_gives_its_first_answer_even_if_the_late_bet_is_in_another_asset(self):
        desk = Desk()
        desk.one(deposit("funds"))
        desk.one(open_session(asset="USD"))
        first = desk.one(rollback("b1"))
        desk.one(bet("b1", asset="USD"))
        assert as_stored(desk.one(rollback("b1"))) == as_stored(first)

    def test_by_another_reference_has_no_effect_either(self):
        desk = open_desk()
        desk.one(rollback("b1", "rb1"))
        assert told(desk.one(rollback("b1", "rb2"))) == ("approved", "already_rolled_back")
        desk.one(bet("b1"))
        assert told(desk.one(rollback("b1", "rb3"))) == ("approved", "already_rolled_back")
        assert desk.balance() == 1_000


class TestSecondRollback:
    def test_with_the_same_reference_is_a_repeat(self):
        desk = open_desk()
        desk.one(bet())
        first = desk.one(rollback())
        second = desk.one(rollback())
        assert second.is_repeat
        assert structs.replace(second, is_repeat=False, current_balance=None) == structs.replace(
            first, moved=0
        )
        assert desk.balance() == 1_000

    def test_with_another_reference_is_approved_without_effect(self):
        desk = open_desk()
        desk.one(bet())
        desk.one(rollback("b1", "rb1"))
        second = desk.one(rollback("b1", "rb2"))
        assert told(second) == ("approved", "already_rolled_back")
        assert second.journal_id is None
        assert desk.balance() == 1_000

    def test_of_a_win_takes_the_money_once(self):
        desk = open_desk()
        desk.one(bet())
        desk.one(win())
        desk.one(rollback("w1", "rb1"))
        assert told(desk.one(rollback("w1", "rb2"))) == ("approved", "already_rolled_back")
        assert desk.balance() == 900


class TestRollbackOfADeclinedBet:
    def test_is_approved_with_nothing_to_roll_back(self):
        desk = open_desk(funds=50)
        assert told(desk.one(bet("b1", 100))) == ("declined", "insufficient_funds")
        assert told(desk.one(rollback("b1"))) == ("approved", "nothing_to_roll_back")
        assert desk.balance() == 50

    def test_leaves_the_decline_as_it_was(self):
        desk = open_desk(funds=50)
        first = desk.one(bet("b1", 100))
        desk.one(rollback("b1"))
        assert as_stored(desk.one(bet("b1", 100))) == as_stored(first)


class TestARollbackTouchesOnlyItsTarget:
    def test_the_win_of_a_rolled_back_bet_stays_paid_and_the_round_carries_a_break(self):
        desk = open_desk()
        desk.one(bet())
        desk.one(win())
        assert told(desk.one(rollback("b1"))) == ("approved", "ok")
        assert desk.balance() == 1_040
        (found,) = desk.breaks("win_without_bet")
        assert (found.provider_round_id, found.amount) == ("r1", "40")

    def test_a_win_after_the_rollback_of_its_bet_is_paid_and_the_round_carries_a_break(self):
        desk = open_desk()
        desk.one(bet())
        desk.one(rollback("b1"))
        assert not desk.breaks()
        assert told(desk.one(win())) == ("approved", "ok")
        assert desk.balance() == 1_040
        assert len(desk.breaks("win_without_bet")) == 1

    def test_another_bet_of_the_round_stays(self):
        desk = open_desk()
        desk.one(bet("b1", 100))
        desk.one(bet("b2", 30))
        desk.one(win())
        desk.one(rollback("b1"))
        assert desk.balance() == 1_010
        assert (desk.round().bets, desk.round().live_bets, desk.round().staked) == (2, 1, 30)
        assert not desk.breaks()

    def test_a_rolled_back_bet_makes_room_for_a_new_one_in_its_round(self):
        desk = open_desk()
        desk.one(bet("b1"))
        desk.one(rollback("b1"))
        assert desk.session().rounds_open == 0
        assert told(desk.one(bet("b2", 60))) == ("approved", "ok")
        assert desk.session().rounds_open == 1


class TestWinWithoutItsBet:
    def test_is_paid_and_the_round_waits_for_the_bet_until_the_deadline(self):
        desk = open_desk()
        assert told(desk.one(win())) == ("approved", "ok")
        assert desk.balance() == 1_040
        assert desk.round().bet_due_at == NOW + BET_GRACE

    def test_waits_no_longer_once_the_bet_came(self):
        desk = open_desk()
        desk.one(win())
        assert told(desk.one(bet())) == ("approved", "ok")
        assert desk.round().bet_due_at is None

    def test_keeps_its_first_deadline_when_more_wins_come(self):
        desk = open_desk()
        desk.one(win("w1"))
        desk.now += timedelta(minutes=1)
        desk.one(win("w2"))
        assert desk.round().bet_due_at == NOW + BET_GRACE

    def test_waits_on_when_the_late_bet_is_declined(self):
        desk = open_desk()
        desk.one(rollback("b1"))
        desk.one(win())
        desk.one(bet("b1"))
        assert desk.round().bet_due_at == NOW + BET_GRACE

    def test_waits_no_longer_once_the_win_is_rolled_back(self):
        desk = open_desk()
        desk.one(win())
        desk.one(rollback("w1"))
        assert desk.round().bet_due_at is None
        assert desk.balance() == 1_000

    def test_has_no_deadline_when_its_bet_was_there(self):
        desk = open_desk()
        desk.one(bet())
        desk.one(win())
        assert desk.round().bet_due_at is None


class TestLateWin:
    def test_after_round_close_is_paid_and_recorded_as_late_money(self):
        desk = open_desk()
        desk.one(bet())
        desk.one(close_round())
        assert told(desk.one(win())) == ("approved", "ok")
        assert desk.events()[-1].code == "late_money"
        assert desk.balance() == 940

    def test_while_the_session_waits_for_rounds_is_paid_and_recorded_as_late_money(self):
        desk = open_desk()
        desk.one(bet())
        desk.one(close_session())
        assert told(desk.one(win())) == ("approved", "ok")
        assert desk.session().state == State.PENDING
        assert desk.events()[-1].code == "late_money"

    def test_after_settlement_is_paid_and_closed_again(self):
        desk = played_desk()
        assert told(desk.one(win("w2", 500))) == ("approved", "ok")
        assert (desk.balance(), desk.clearing()) == (1_440, 0)
        late, closing = desk.events()[-2:]
        assert (late.code, closing.cause) == ("late_money", "settlement")
        assert desk.session().state == State.SETTLED

    def test_of_an_unknown_round_after_settlement_leaves_nothing_open(self):
        desk = played_desk()
        desk.one(win("w2", 500, round_id="r2"))
        assert (desk.session().rounds_open, desk.clearing()) == (0, 0)
        assert desk.round("r2").state == "settled"

    def test_after_cancellation_is_paid_and_closed(self):
        desk = open_desk()
        desk.one(close_session())
        assert told(desk.one(win())) == ("approved", "ok")
        assert (desk.session().state, desk.clearing(), desk.balance()) == (State.CANCELLED, 0, 1_040)
        assert [event.code for event in desk.events()[-2:]] == ["late_money", "ok"]

    def test_after_a_failed_launch_is_paid_and_closed(self):
        desk = Desk()
        desk.one(open_session())
        desk.one(fail())
        assert told(desk.one(win())) == ("approved", "ok")
        assert (desk.session().state, desk.clearing(), desk.balance()) == (State.FAILED, 0, 40)

    def test_after_expiry_is_paid(self):
        desk = open_desk()
        desk.one(bet())
        desk.now = EXPIRES
        assert told(desk.one(win())) == ("approved", "ok")
        assert desk.balance() == 940

    def test_after_expiry_is_recorded_as_late_money(self):
        desk = open_desk()
        desk.one(bet())
        desk.now = EXPIRES
        desk.one(win())
        assert desk.events()[-1].code == "late_money"

    @pytest.mark.parametrize("late", [jackpot, promo])
    def test_of_another_kind_is_paid_after_settlement_from_its_own_source(self, late):
        desk = played_desk()
        desk.one(late("x1", 70))
        assert (desk.balance(), desk.clearing()) == (1_010, 0)


class TestLateBet:
    def test_after_round_close_is_declined(self):
        desk = open_desk()
        desk.one(bet("b1"))
        desk.one(close_round())
        assert told(desk.one(bet("b2"))) == ("declined", "round_closed")
        assert desk.balance() == 900

    def test_after_the_win_that_closed_the_round_is_declined(self):
        desk = open_desk()
        desk.one(bet("b1"))
        desk.one(win(close_round=True))
        assert told(desk.one(bet("b2"))) == ("declined", "round_closed")

    def test_of_a_round_that_was_closed_before_any_bet_is_declined(self):
        desk = open_desk()
        desk.one(close_round())
        assert told(desk.one(bet())) == ("declined", "round_closed")

    def test_when_the_launch_failed_is_declined_for_ever(self):
        desk = Desk()
        desk.one(deposit("funds", 1_000))
        desk.one(open_session())
        desk.one(fail())
        assert told(desk.one(bet())) == ("declined", "session_not_active")
        assert told(desk.one(bet())) == ("declined", "session_not_active")

    @pytest.mark.parametrize("end", [(close_session(),), (bet("b0"), close_session())])
    def test_when_the_session_is_not_open_for_play_is_declined_for_ever(self, end):
        desk = open_desk()
        for action in end:
            desk.one(action)
        first = desk.one(bet("b1", round_id="r9"))
        assert told(first) == ("declined", "session_not_active")
        assert as_stored(desk.one(bet("b1", round_id="r9"))) == as_stored(first)

    def test_after_expiry_is_declined(self):
        desk = open_desk()
        desk.now = EXPIRES
        assert told(desk.one(bet())) == ("declined", "session_not_active")

    def test_just_before_expiry_is_accepted(self):
        desk = open_desk()
        desk.now = EXPIRES - timedelta(microseconds=1)
        assert told(desk.one(bet())) == ("approved", "ok")


class TestTheSameFactTwice:
    def test_by_callback_and_by_notice_moves_money_once(self):
        desk = open_desk()
        desk.one(bet())
        first = desk.one(win())
        notice = desk.one(win(), time_source="webhook")
        assert notice.is_repeat
        assert notice.journal_id == first.journal_id
        assert desk.balance() == 940

    def test_a_second_close_of_a_round_changes_nothing(self):
        desk = open_desk()
        desk.one(bet())
        desk.one(close_round("c1"))
        before = desk.round()
        assert told(desk.one(close_round("c2"))) == ("approved", "ok")
        assert desk.round() == before
