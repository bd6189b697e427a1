"""Sessions: how they become active, wait for their rounds, settle and are cancelled."""

import pytest

from croupier.play.session import State
from model.calls import (
    bet,
    close_round,
    close_session,
    confirm,
    deposit,
    fail,
    jackpot,
    open_session,
    promo,
    rollback,
    win,
)
from model.desk import Desk, open_desk, settle_session


@pytest.mark.parametrize("first", [bet(), win(), win(amount=0), jackpot(), promo()])
@pytest.mark.parametrize("is_confirmed", [True, False])
def test_the_first_accepted_money_call_activates(first, is_confirmed):
    desk = Desk()
    desk.one(deposit("funds"))
    desk.one(open_session())
    if is_confirmed:
        desk.one(confirm())
    desk.one(first)
    assert desk.session().state == State.ACTIVE


def test_a_declined_bet_does_not_activate():
    desk = open_desk(funds=0)
    desk.one(bet())
    assert desk.session().state == State.LAUNCHED


def test_a_launch_confirmed_after_the_first_money_call_adds_the_url_only():
    desk = Desk()
    desk.one(deposit("funds"))
    desk.one(open_session())
    desk.one(bet())
    desk.one(confirm())
    assert desk.session().state == State.ACTIVE
    assert desk.session().launch_url == confirm().launch_url


def test_closing_an_unplayed_session_cancels_it():
    for actions in ((open_session(),), (open_session(), confirm())):
        desk = Desk()
        for action in actions:
            desk.one(action)
        desk.one(close_session())
        assert desk.session().state == State.CANCELLED


def test_closing_a_played_session_waits_for_its_rounds():
    desk = open_desk()
    desk.one(bet())
    desk.one(close_session())
    assert desk.session().state == State.PENDING
    desk.one(close_round())
    assert desk.session().state == State.SETTLED


def test_a_round_whose_bets_were_all_rolled_back_is_not_waited_for():
    desk = open_desk()
    desk.one(bet())
    desk.one(close_session())
    desk.one(rollback())
    assert desk.session().state == State.SETTLED
    assert desk.round().state == "voided"


def test_settlement_settles_every_round_of_the_session():
    desk = open_desk()
    desk.one(bet("b1", round_id="r1"))
    desk.one(bet("b2", round_id="r2"))
    desk.one(rollback("b2"))
    desk.one(close_round("c1", "r1"))
    settle_session(desk)
    assert (desk.round("r1").state, desk.round("r2").state) == ("settled", "voided")


def test_closing_twice_is_a_repeat():
    desk = open_desk()
    desk.one(bet())
    desk.one(close_round())
    settle_session(desk)
    assert desk.one(close_session()).is_repeat


def test_a_played_session_does_not_fail_to_launch():
    desk = open_desk()
    desk.one(bet())
    assert desk.refusal(fail()).kind.code == "illegal_transition"
    assert desk.session().state == State.ACTIVE


def test_opening_again_finds_the_session():
    desk = open_desk()
    desk.one(bet())
    assert desk.one(open_session()).is_repeat
    assert desk.session().state == State.ACTIVE
