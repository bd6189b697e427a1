"""Calls that carry no session: where they belong, and what a token opens."""

from datetime import timedelta

import pytest
from msgspec import structs

from croupier.moneypath.commands import IssueToken, ReadBalance, Rules
from croupier.moneypath.decide.seat import TOKEN_GRACE
from model.calls import (
    OTHER_PLAYER,
    OTHER_SESSION,
    PLAYER,
    SESSION,
    bet,
    close_round,
    close_session,
    deposit,
    open_session,
    rollback,
    win,
)
from model.desk import Desk, open_desk

OLD, NEW = "sha256:old", "sha256:new"
STRICT = Rules(strict_tokens=True)


def unseated(action):
    return structs.replace(action, session_id=None)


def issue(token=OLD, **fields):
    return IssueToken(session_id=SESSION, player_id=PLAYER, token_hash=token, **fields)


def swap(presented, successor):
    return swap_of(PLAYER, presented, successor)


def swap_of(player, presented, successor):
    return IssueToken(session_id=None, player_id=player, token_hash=successor, replaces=presented)


@pytest.fixture
def desk():
    return open_desk()


def test_a_bet_goes_to_the_newest_open_session(desk):
    desk.one(open_session(OTHER_SESSION))
    assert desk.one(unseated(bet())).code == "ok"
    assert desk.round("r1", OTHER_SESSION).staked == 100
    assert desk.reference("b1").session_id == OTHER_SESSION


def test_a_bet_stays_with_its_round(desk):
    desk.one(bet("b1"))
    desk.one(open_session(OTHER_SESSION))
    desk.one(unseated(bet("b2")))
    assert desk.round("r1").staked == 200


def test_both_bets_of_one_call_have_one_seat(desk):
    desk.one(open_session(OTHER_SESSION))
    desk.decide(unseated(bet("b1")), unseated(win("w1")), unseated(close_round("c1")))
    assert desk.round("r1", OTHER_SESSION).state == "closed"


@pytest.mark.parametrize("wrong", [{"asset": "USD"}, {"game_id": "roulette"}])
def test_a_bet_of_another_asset_or_game_has_no_seat(desk, wrong):
    outcome = desk.one(unseated(bet(**wrong)))
    assert (outcome.status, outcome.code) == ("declined", "session_not_active")


def test_another_game_has_a_seat_where_the_protocol_lets_it_change(desk):
    assert desk.one(unseated(bet(game_id="roulette")), rules=Rules(game_may_change=True)).code == "ok"


def test_a_bet_of_a_player_without_any_session_is_declined_for_ever():
    desk = Desk()
    desk.one(deposit("funds"))
    assert desk.one(unseated(bet())).code == "session_not_active"
    desk.one(open_session())
    again = desk.one(unseated(bet()))
    assert (again.code, again.is_repeat) == ("session_not_active", True)
    assert desk.balance() == 1_000


def test_a_bet_of_a_player_nobody_knows_is_refused(desk):
    assert desk.refusal(unseated(bet(player_id="nobody"))).kind.code == "unknown_player"


def test_a_win_goes_to_its_round_even_when_a_newer_session_is_open(desk):
    desk.one(bet())
    desk.one(open_session(OTHER_SESSION))
    desk.one(unseated(win()))
    assert desk.round("r1").won == 40


def test_a_win_goes_to_the_session_of_the_bet_it_settles(desk):
    desk.one(bet())
    desk.one(open_session(OTHER_SESSION))
    desk.one(unseated(win(round_id="other-round", target_reference="b1")))
    assert desk.round("other-round").won == 40


def test_a_win_after_every_session_is_over_is_paid_in_the_newest(desk):
    desk.one(bet())
    desk.one(close_round("c1"))
    desk.one(close_session())
    assert desk.one(unseated(win(round_id="late"))).code == "ok"
    assert desk.balance() == 940
    assert desk.clearing() == 0


def test_a_credit_of_a_player_without_any_session_is_finances_work():
    desk = Desk()
    desk.one(deposit("funds"))
    assert desk.refusal(unseated(win())).kind.code == "unknown_session"
    assert [found.kind for found in desk.breaks()] == ["refused_credit"]


def test_closing_a_round_finds_its_session(desk):
    desk.one(bet())
    desk.one(open_session(OTHER_SESSION))
    desk.one(unseated(close_round()))
    assert desk.round("r1").state == "closed"
    assert desk.one(unseated(close_round())).is_repeat


def test_a_repeat_without_a_session_is_a_repeat(desk):
    first = desk.one(bet())
    again = desk.one(unseated(bet()))
    assert again.is_repeat
    assert again.journal_id == first.journal_id


class TestTokens:
    def test_a_token_seats_a_bet(self, desk):
        desk.one(issue())
        desk.one(open_session(OTHER_SESSION))
        desk.one(unseated(bet()), token_hash=OLD)
        assert desk.round("r1", SESSION).staked == 100

    def test_an_unknown_token_refuses_debit_and_balance_and_stores_nothing(self, desk):
        balance = ReadBalance(session_id=None, player_id=PLAYER, asset=None)
        for action in (unseated(bet()), balance):
            assert desk.refusal(action, token_hash=NEW).kind.code == "unknown_session"
        assert desk.reference("b1") is None

    def test_an_unknown_token_never_stops_a_credit(self, desk):
        desk.one(bet())
        assert desk.one(unseated(win()), token_hash=NEW).code == "ok"
        assert desk.one(rollback(), token_hash=NEW).code == "ok"

    def test_a_strict_protocol_refuses_credits_under_a_token_the_player_never_had(self, desk):
        desk.one(bet())
        for action in (unseated(win()), rollback()):
            assert desk.refusal(action, token_hash=NEW, rules=STRICT).kind.code == "unknown_session"
        assert desk.balance() == 900
        assert {found.kind for found in desk.breaks()} == {"refused_credit"}

    def test_a_replaced_token_refuses_debits_and_still_takes_credits(self, desk):
        desk.one(issue())
        desk.one(unseated(bet()), token_hash=OLD)
        desk.one(swap(OLD, NEW))
        assert desk.refusal(unseated(bet("b2")), token_hash=OLD).kind.code == "token_expired"
        assert desk.one(unseated(bet("b3")), token_hash=NEW).code == "ok"
        assert desk.one(unseated(win()), token_hash=OLD, rules=STRICT).code == "ok"

    def test_a_lost_answer_to_a_swap_can_be_asked_for_again_for_a_moment(self, desk):
        desk.one(issue())
        desk.one(swap(OLD, "sha256:lost"))
        desk.now += TOKEN_GRACE
        assert desk.one(swap(OLD, NEW)).code == "ok"
        desk.now += timedelta(seconds=1)
        assert desk.refusal(swap(OLD, "sha256:late")).kind.code == "token_expired"
        assert desk.one(unseated(bet()), token_hash=NEW).code == "ok"

    def test_a_token_nobody_issued_is_not_swapped(self, desk):
        assert desk.refusal(swap(OLD, NEW)).kind.code == "unknown_session"

    def test_a_token_of_another_player_opens_nothing(self, desk):
        desk.one(issue())
        others = unseated(bet(player_id=OTHER_PLAYER)), swap_of(OTHER_PLAYER, OLD, NEW)
        for action in others:
            assert desk.refusal(action, token_hash=OLD).kind.code == "unknown_session"
        stolen = unseated(win(player_id=OTHER_PLAYER))
        assert desk.refusal(stolen, token_hash=OLD, rules=STRICT).kind.code == "unknown_session"

    def test_a_token_of_a_session_that_is_over_tells_no_balance(self, desk):
        desk.one(issue())
        desk.one(close_session())
        balance = ReadBalance(session_id=None, player_id=PLAYER, asset=None)
        assert desk.refusal(balance, token_hash=OLD).kind.code == "token_expired"
        assert desk.refusal(swap(OLD, NEW)).kind.code == "token_expired"


class TestBalanceWithoutASession:
    def test_it_is_the_wallets(self, desk):
        told = desk.one(ReadBalance(session_id=None, player_id=PLAYER, asset="EUR"))
        assert (told.balance, told.asset) == (1_000, "EUR")

    def test_without_asset_only_the_player_is_known(self, desk):
        assert desk.one(ReadBalance(session_id=None, player_id=PLAYER, asset=None)).balance is None
        nobody = ReadBalance(session_id=None, player_id="nobody", asset=None)
        assert desk.refusal(nobody).kind.code == "unknown_player"
