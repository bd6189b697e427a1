"""Restrictions: stakes stop at once, credits never do (H4, C4)."""

from datetime import timedelta
from uuid import UUID

import pytest

from croupier.errors import MALFORMED, NOT_ELIGIBLE, UNKNOWN_RESTRICTION, UNKNOWN_TARGET
from croupier.play.session import State
from model.calls import (
    NOW,
    OTHER_PLAYER,
    OTHER_SESSION,
    bet,
    cancel,
    close_round,
    close_session,
    deposit,
    jackpot,
    lift,
    open_session,
    promo,
    restrict,
    rollback,
    sessionless,
    win,
    withdrawal,
)
from model.desk import Desk, open_desk

SECOND = UUID(int=0x5E55_0004)


def test_a_restricted_players_bets_are_declined_for_ever_under_their_reference():
    desk = open_desk()
    desk.one(restrict())
    declined = desk.one(bet())
    assert (declined.status, declined.code) == ("declined", "player_restricted")
    assert declined.journal_id is None
    desk.one(lift())
    again = desk.one(bet())
    assert (again.code, again.is_repeat) == ("player_restricted", True)
    assert desk.one(bet("b2")).is_approved


def test_a_bet_of_nothing_is_a_bet_too():
    desk = open_desk()
    desk.one(restrict())
    assert desk.one(bet(amount=0)).code == "player_restricted"


@pytest.mark.parametrize(
    "credit",
    [
        win(),
        win(amount=0),
        win(close_round=True),
        jackpot(),
        promo(),
        sessionless(jackpot()),
        rollback("b0"),
        rollback("never-came"),
        close_round(),
        deposit("more"),
        withdrawal("o2", 10),
        cancel(),
    ],
)
def test_everything_but_a_stake_is_decided_as_if_there_were_no_restriction(credit):
    outcomes = []
    for is_restricted in (False, True):
        desk = open_desk()
        desk.one(bet("b0", 50))
        desk.one(withdrawal("o1", 5))
        if is_restricted:
            desk.one(restrict())
        outcome = desk.one(credit)
        outcomes.append((outcome.status, outcome.code, outcome.balance, desk.books()))
    assert outcomes[0] == outcomes[1]


def test_a_bet_with_its_win_is_declined_whole():
    desk = open_desk()
    desk.one(restrict())
    before = desk.balance()
    outcomes = desk.decide(bet(), win())
    assert [one.code for one in outcomes] == ["player_restricted"] * 2
    assert desk.balance() == before


def test_other_players_go_on():
    desk = open_desk()
    desk.one(deposit("d2", player_id=OTHER_PLAYER))
    desk.one(open_session(OTHER_SESSION, player_id=OTHER_PLAYER))
    desk.one(restrict())
    assert desk.one(bet(player_id=OTHER_PLAYER, session_id=OTHER_SESSION)).is_approved


def test_no_session_opens_until_the_last_restriction_has_gone():
    desk = Desk()
    desk.one(deposit())
    desk.one(restrict())
    desk.one(restrict(SECOND, kind="location_lost"))
    for lifting in (lift(), lift(SECOND)):
        refused = desk.refusal(open_session())
        assert refused.kind is NOT_ELIGIBLE
        assert (refused.reason, refused.field) == ("player_restricted", "player_id")
        desk.one(lifting)
    assert desk.one(open_session()).is_approved


def test_a_restriction_and_the_closing_of_its_sessions_are_one_decision():
    desk = open_desk()
    desk.one(bet())
    desk.decide(restrict(), close_session())
    assert desk.session().state == State.PENDING
    assert desk.one(bet("b2")).code == "player_restricted", "what the player is told is why, not how"
    desk.one(win(close_round=True))
    assert desk.session().state == State.SETTLED


def test_it_ends_by_itself_at_its_time_and_not_before():
    desk = open_desk()
    desk.one(restrict(until=NOW + timedelta(hours=1)))
    desk.now = NOW + timedelta(hours=1) - timedelta(microseconds=1)
    assert desk.one(bet("b1")).code == "player_restricted"
    desk.now = NOW + timedelta(hours=1)
    assert desk.one(bet("b2")).is_approved
    assert desk.refusal(lift()).kind is UNKNOWN_RESTRICTION, "what has ended cannot be lifted"


def test_lifting_is_once_and_of_ones_own():
    desk = open_desk()
    desk.one(restrict())
    assert desk.refusal(lift(player_id=OTHER_PLAYER)).kind is UNKNOWN_RESTRICTION
    assert desk.refusal(lift(SECOND)).kind is UNKNOWN_RESTRICTION
    desk.one(lift())
    assert desk.refusal(lift()).kind is UNKNOWN_RESTRICTION
    (kept,) = desk.facts.restrictions["player-1"]
    assert (kept.placed_by, kept.reason, kept.lifted_by, kept.lift_reason) == (
        "key-1",
        "asked to",
        "key-2",
        "a mistake",
    )


def test_what_would_have_ended_already_is_refused():
    desk = open_desk()
    refused = desk.refusal(restrict(until=NOW))
    assert (refused.kind, refused.field) == (MALFORMED, "until")
    assert desk.one(restrict(until=NOW + timedelta(microseconds=1))).is_approved


def test_a_redo_places_one():
    desk = open_desk()
    assert not desk.one(restrict()).is_repeat
    assert desk.one(restrict()).is_repeat
    assert len(desk.facts.restrictions["player-1"]) == 1


def test_a_call_that_is_undone_leaves_none():
    desk = open_desk()
    refused = desk.refusal(restrict(), win(target_reference="nothing", needs_target=True))
    assert refused.kind is UNKNOWN_TARGET
    assert desk.one(bet()).is_approved
