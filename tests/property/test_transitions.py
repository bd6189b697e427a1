"""I5, legal path: the table of session states is closed, and no state refuses a credit."""

from itertools import product

import pytest
from msgspec import structs

from croupier.play.session import (
    FINAL,
    OPEN_FOR_PLAY,
    TRANSITIONS,
    Change,
    IllegalTransition,
    SessionEvent,
    State,
    apply,
)
from model.calls import (
    NOW,
    OPENING,
    SESSION,
    bet,
    close_round,
    jackpot,
    promo,
    rollback,
    win,
)
from model.desk import open_desk

CREATED = apply(
    None,
    SessionEvent(
        7,
        SESSION,
        1,
        None,
        "created",
        "created",
        None,
        (),
        NOW,
        "us",
        NOW,
        "c",
        None,
        None,
        "ok",
        Change(opening=OPENING),
    ),
)
PAIRS = list(product(State, State))
LEGAL = [
    ("created", "launched"),
    ("created", "active"),
    ("created", "failed"),
    ("created", "cancelled"),
    ("launched", "active"),
    ("launched", "cancelled"),
    ("launched", "failed"),
    ("active", "pending_settlement"),
    ("pending_settlement", "settled"),
    ("active", "reversed"),
    ("pending_settlement", "reversed"),
    ("settled", "reversed"),
]


def event(source, target, *, seq=2, change=None):
    return SessionEvent(
        7,
        SESSION,
        seq,
        source,
        target,
        "test",
        None,
        (),
        NOW,
        "us",
        NOW,
        "c",
        None,
        None,
        "ok",
        change or Change(),
    )


def session_in(state):
    return structs.replace(CREATED, state=state.value)


def desk_in(state):
    """A desk whose session has an approved bet and win, put into a state."""
    desk = open_desk()
    desk.one(bet())
    desk.one(win())
    desk.facts.sessions[SESSION] = structs.replace(desk.session(), state=state.value)
    return desk


def test_the_table_is_the_agreed_one():
    assert {(str(source), str(target)) for source, target in TRANSITIONS} == set(LEGAL)


def test_final_states_lead_nowhere_but_to_reversal():
    assert [target for source, target in TRANSITIONS if source in FINAL] == [State.REVERSED]


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_move_is_made_if_and_only_if_the_table_has_it(source, target):
    session = session_in(source)
    if source == target or (source.value, target.value) in LEGAL:
        assert apply(session, event(source.value, target.value)).state == target.value
    else:
        with pytest.raises(IllegalTransition):
            apply(session, event(source.value, target.value))


@pytest.mark.parametrize("seq", [0, 1, 3])
def test_an_event_that_is_not_the_next_is_refused(seq):
    with pytest.raises(IllegalTransition):
        apply(CREATED, event("created", "launched", seq=seq))


@pytest.mark.parametrize("claimed", [state for state in State if state is not State.CREATED])
def test_an_event_that_begins_in_another_state_is_refused(claimed):
    with pytest.raises(IllegalTransition):
        apply(CREATED, event(claimed.value, claimed.value))


@pytest.mark.parametrize(
    "first",
    [
        event(None, "created", seq=1),
        event(None, "launched", seq=1, change=Change(opening=OPENING)),
        event(None, "created", seq=2, change=Change(opening=OPENING)),
    ],
)
def test_a_history_begins_with_a_creation(first):
    with pytest.raises(IllegalTransition):
        apply(None, first)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(
    "credit", [win("x"), jackpot("x"), promo("x"), rollback("b1", "x"), rollback("w1", "x")]
)
def test_no_state_refuses_a_credit(state, credit):
    desk = desk_in(state)
    outcome = desk.one(credit)
    assert (outcome.status, outcome.code) == ("approved", "ok")
    if state in FINAL:
        assert desk.clearing() == 0


@pytest.mark.parametrize("state", State)
def test_no_state_refuses_the_end_of_a_round(state):
    desk = desk_in(state)
    assert desk.one(close_round()).status == "approved"
    assert desk.round().state != "open"


@pytest.mark.parametrize("state", State)
def test_late_money_leaves_a_final_state_as_it_is(state):
    desk = desk_in(state)
    desk.one(win("x"))
    if state in FINAL:
        assert desk.session().state == state
    else:
        assert desk.session().state in (State.ACTIVE, State.PENDING)


@pytest.mark.parametrize("state", State)
def test_a_debit_needs_a_session_open_for_play(state):
    outcome = desk_in(state).one(bet("x", 10))
    wanted = "ok" if state in OPEN_FOR_PLAY else "session_not_active"
    assert outcome.code == wanted
