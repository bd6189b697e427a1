"""Guards of the money path that no order of calls reaches: each states what must not be guessed or kept wrongly."""

import pytest

from croupier.errors import Violation
from croupier.moneypath.facts import Effects
from croupier.play.round import RoundState
from croupier.wallet.accounts import POOL
from model.calls import SESSION, bet, close_round, close_session, confirm, fail, open_session
from model.desk import Desk, open_desk


def test_a_pool_whose_balance_was_not_loaded_is_never_taken_for_empty() -> None:
    desk = open_desk()
    desk.one(bet("b", contribution=3))
    entries = desk.facts.applied[-1].entries
    other = open_desk()
    for key in [key for key in other.facts.balances if key.kind == POOL]:
        del other.facts.balances[key]
    with pytest.raises(Violation, match="was not loaded"):
        other.facts.apply(Effects(entries=entries))


def test_a_round_of_a_session_that_is_cancelled_does_not_stay_closed() -> None:
    desk = Desk()
    desk.one(open_session(SESSION))
    desk.one(close_round())
    desk.one(close_session())
    assert [round_.state for round_ in desk.facts.rounds.values()] == [RoundState.VOIDED]


def test_a_launch_that_was_confirmed_is_not_failed_by_a_second_attempt() -> None:
    desk = Desk()
    desk.one(open_session(SESSION))
    desk.one(confirm())
    assert desk.refusal(fail()).kind.code == "illegal_transition"
    assert desk.session().state == "launched"
