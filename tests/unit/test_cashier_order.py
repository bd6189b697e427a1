"""Withdrawals and their cancellation, which follows the rules of rollbacks."""

from model.calls import cancel, deposit, withdrawal
from model.desk import as_stored, open_desk


def told(outcome):
    return outcome.status, outcome.code


def test_the_money_comes_back_once():
    desk = open_desk()
    desk.one(withdrawal())
    first = desk.one(cancel())
    assert (told(first), first.balance) == (("approved", "ok"), 1_000)
    second = desk.one(cancel())
    assert second.is_repeat
    assert as_stored(second) == as_stored(first)
    assert desk.balance() == 1_000


def test_before_its_withdrawal_a_cancellation_makes_it_a_decline():
    desk = open_desk()
    assert told(desk.one(cancel())) == ("approved", "nothing_to_roll_back")
    assert told(desk.one(withdrawal())) == ("declined", "tombstoned")
    assert desk.balance() == 1_000


def test_of_a_declined_withdrawal_there_is_nothing_to_cancel():
    desk = open_desk(funds=10)
    assert told(desk.one(withdrawal())) == ("declined", "insufficient_funds")
    assert told(desk.one(cancel())) == ("approved", "nothing_to_roll_back")
    assert desk.balance() == 10


def test_a_cancelled_withdrawal_repeats_as_it_was():
    desk = open_desk()
    first = desk.one(withdrawal())
    desk.one(cancel())
    assert as_stored(desk.one(withdrawal())) == as_stored(first)
    assert desk.balance() == 1_000


def test_the_balance_told_is_that_of_the_fund_the_money_returns_to():
    desk = open_desk()
    desk.one(deposit("d2", 50, fund="bonus"))
    desk.one(withdrawal("o1", 50, fund="bonus"))
    assert desk.one(cancel("o1")).balance == 50
    assert desk.balance(fund="bonus") == 50
