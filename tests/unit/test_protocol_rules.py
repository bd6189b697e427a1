"""What protocols decide otherwise than the native one: targets that must be there, spent wins, undone rollbacks."""

import pytest

from croupier.moneypath.commands import Rules, SpentWin
from model.calls import (
    ASSET,
    OTHER_PLAYER,
    bet,
    close_round,
    close_session,
    deposit,
    jackpot,
    rollback,
    win,
    withdrawal,
)
from model.desk import open_desk

CLAMP = Rules(spent_win=SpentWin.CLAMP)
REFUSE = Rules(spent_win=SpentWin.REFUSE)
UNDOES = Rules(undoes_rollbacks=True)


def settling(target="b1", **fields):
    return win(target_reference=target, needs_target=True, **fields)


@pytest.fixture
def desk():
    return open_desk()


def is_settled_to_zero(desk):
    desk.one(close_round("closing"))
    desk.one(close_session())
    return desk.session().state == "settled" and desk.clearing() == 0


class TestWinsThatNeedTheirBet:
    def test_a_taken_bet_is_settled(self, desk):
        desk.one(bet())
        assert desk.one(settling()).code == "ok"
        assert desk.one(settling()).is_repeat

    def test_an_unknown_bet_is_refused_and_may_come_later(self, desk):
        assert desk.refusal(settling()).kind.code == "unknown_target"
        assert [found.kind for found in desk.breaks()] == ["refused_credit"]
        desk.one(bet())
        assert desk.one(settling()).code == "ok"

    def test_a_declined_bet_was_never_taken(self, desk):
        desk.one(bet(amount=5_000))
        assert desk.refusal(settling()).kind.code == "unknown_target"

    @pytest.mark.parametrize("is_early", [True, False])
    def test_a_bet_that_was_rolled_back_wins_nothing(self, desk, is_early):
        desk.decide(*((rollback(),) if is_early else (bet(), rollback())))
        assert desk.refusal(settling()).kind.code == "target_rolled_back"
        assert desk.balance() == 1_000

    @pytest.mark.parametrize("wrong", [{"player_id": OTHER_PLAYER}, {"asset": "USD"}])
    def test_another_players_or_assets_bet_is_not_its_bet(self, desk, wrong):
        desk.one(bet())
        assert desk.refusal(settling(**wrong)).kind.code == "session_mismatch"

    def test_another_target_under_the_same_reference_is_a_conflict(self, desk):
        desk.decide(bet("b1"), bet("b2"))
        desk.one(settling("b1"))
        assert desk.refusal(settling("b2")).kind.code == "reference_conflict"


class TestSettledBets:
    def test_a_settled_bet_is_not_rolled_back(self, desk):
        desk.decide(bet(), win())
        error = desk.refusal(rollback(settled_by="w1"))
        assert error.kind.code == "target_settled"
        assert desk.balance() == 940

    def test_a_bet_whose_win_was_taken_back_is(self, desk):
        desk.decide(bet(), win(), rollback("w1", "rb-win"))
        assert desk.one(rollback(settled_by="w1")).code == "ok"
        assert desk.balance() == 1_000


class TestAmountsOfRollbacks:
    def test_the_right_amount_is_approved(self, desk):
        desk.one(bet())
        assert desk.one(rollback(amount=100)).code == "ok"

    def test_another_amount_is_refused(self, desk):
        desk.one(bet())
        error = desk.refusal(rollback(amount=99))
        assert (error.kind.code, error.field) == ("session_mismatch", "amount")
        assert desk.balance() == 900


class TestSpentWins:
    @pytest.fixture
    def spender(self, desk):
        desk.decide(bet(), win(amount=500))
        desk.one(withdrawal(amount=1_200))
        return desk

    def test_clamping_takes_what_is_there_and_leaves_no_debt(self, spender):
        outcome = spender.one(rollback("w1"), rules=CLAMP)
        assert (outcome.code, outcome.balance) == ("rolled_back_in_part", 0)
        assert (spender.balance(), spender.receivable()) == (0, 0)
        assert spender.session().won == 300
        assert is_settled_to_zero(spender)

    def test_clamping_an_empty_wallet_moves_nothing(self, spender):
        spender.one(withdrawal("o2", 200))
        outcome = spender.one(rollback("w1"), rules=CLAMP)
        assert (outcome.code, outcome.journal_id) == ("rolled_back_in_part", None)
        assert spender.session().won == 500
        assert is_settled_to_zero(spender)

    def test_clamping_a_jackpot_leaves_the_rest_with_the_player(self, desk):
        desk.one(jackpot(amount=500))
        desk.one(withdrawal(amount=1_200))
        desk.one(rollback("j1"), rules=CLAMP)
        assert desk.total("jackpot_pool") == -200

    def test_refusing_keeps_the_win(self, spender):
        outcome = spender.one(rollback("w1"), rules=REFUSE)
        assert (outcome.status, outcome.code) == ("declined", "insufficient_funds")
        assert spender.balance() == 200

    @pytest.mark.parametrize("rules", [CLAMP, REFUSE])
    def test_an_unspent_win_comes_back_whole(self, desk, rules):
        desk.decide(bet(), win(amount=500))
        assert desk.one(rollback("w1"), rules=rules).balance == 900


class TestRollbacksOfRollbacks:
    def test_the_bet_stands_again(self, desk):
        desk.decide(bet(), rollback())
        assert desk.one(rollback("rb1", "again"), rules=UNDOES).code == "ok"
        assert desk.balance() == 900
        assert (desk.session().staked, desk.round("r1").live_bets) == (100, 1)
        assert is_settled_to_zero(desk)

    def test_the_contribution_stands_again(self, desk):
        desk.decide(bet(contribution=7), rollback())
        desk.one(rollback("rb1", "again"), rules=UNDOES)
        assert desk.session().contributed == 7
        assert is_settled_to_zero(desk)

    def test_the_win_stands_again(self, desk):
        desk.decide(bet(), win(), rollback("w1"))
        desk.one(rollback("rb1", "again"), rules=UNDOES)
        assert desk.balance() == 940
        assert is_settled_to_zero(desk)

    def test_the_bet_can_be_rolled_back_once_more(self, desk):
        desk.decide(bet(), rollback())
        desk.one(rollback("rb1", "again"), rules=UNDOES)
        assert desk.one(rollback("b1", "rb2"), rules=UNDOES).code == "ok"
        assert desk.balance() == 1_000
        assert desk.one(rollback("b1", "rb3"), rules=UNDOES).code == "already_rolled_back"

    def test_a_refund_that_was_spent_becomes_a_debt(self, desk):
        desk.decide(bet(amount=1_000), rollback())
        desk.one(withdrawal(amount=950))
        desk.one(rollback("rb1", "again"), rules=UNDOES)
        assert (desk.balance(), desk.receivable()) == (0, -950)
        assert [found.kind for found in desk.breaks()] == ["receivable"]

    def test_a_rollback_of_nothing_has_nothing_to_undo(self, desk):
        desk.one(rollback())
        assert desk.one(rollback("rb1", "again"), rules=UNDOES).code == "nothing_to_roll_back"

    def test_what_stands_again_is_not_undone_by_its_own_rollback(self, desk):
        desk.decide(bet(), rollback())
        desk.one(rollback("rb1", "again"), rules=UNDOES)
        assert desk.one(rollback("again", "once-more"), rules=UNDOES).code == "nothing_to_roll_back"
        assert desk.balance() == 900

    def test_the_native_protocol_has_none(self, desk):
        desk.decide(bet(), rollback())
        assert desk.refusal(rollback("rb1", "again")).kind.code == "malformed"


def test_a_repeat_tells_the_balance_of_then_and_of_now(desk):
    first = desk.one(bet())
    desk.one(deposit("more", 500))
    again = desk.one(bet())
    assert (first.balance, again.balance, again.current_balance) == (900, 900, 1_400)
    assert first.decision_id == again.decision_id


def test_an_error_tells_the_balance_where_it_is_known(desk):
    desk.one(bet())
    error = desk.refusal(bet(amount=50))
    assert error.kind.code == "reference_conflict"
    assert error.balance == (900, ASSET)


def test_a_call_that_rolls_back_its_own_later_action_is_refused_whole(desk):
    """The tombstone would be the call's own: taking the call back takes it away, and the rest must not stand."""
    error = desk.refusal(bet("a"), rollback("x", "r"), bet("x", 5))
    assert (error.kind.code, error.field) == ("malformed", "target_reference")
    assert desk.balance() == 1_000
    assert all(desk.reference(name) is None for name in ("a", "r", "x"))
