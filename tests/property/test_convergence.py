"""I7, convergence: wins, rollbacks, closes and repeats about approved debits end in the same books.

The same books means: for every asset, equal totals of
- each player's position, which is wallet plus receivable. A win rolled back before another credit takes
  from the wallet what is there and leaves the rest owed, one rolled back after it takes all from the wallet,
  and later credits do not silently repay what is owed: the split depends on the order, the sum must not;
- every session's clearing (nothing, once the session is over);
- payable of each provider, revenue, cash, promotions, each jackpot pool.

Sessions must end in the same state, and rounds with the same live bets, stakes and wins.
"""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croupier.wallet.accounts import CLEARING, RECEIVABLE, WALLET
from model.calls import (
    OTHER_PLAYER,
    OTHER_SESSION,
    SESSION,
    bet,
    cancel,
    close_round,
    close_session,
    deposit,
    jackpot,
    open_session,
    promo,
    rollback,
    sessionless,
    win,
    withdrawal,
)
from model.desk import Desk
from model.seeds import REPEATABLE

OTHER = {"session_id": OTHER_SESSION, "player_id": OTHER_PLAYER}
SESSIONS = [
    open_session(SESSION, share_bps=777),
    open_session(
        OTHER_SESSION, player_id=OTHER_PLAYER, share_bps=3_333, jackpot_pool=None, promo_source="provider"
    ),
]

SCENARIOS = {
    "a lost round": (
        [bet("b1", 100)],
        [close_round(), close_session(), close_session(), close_round("c2"), win("w0", 0), close_round()],
    ),
    "wins, late and early": (
        [bet("b1", 100, contribution=3)],
        [win("w1", 40), win("w2", 999), jackpot("j1", 70), promo("p1", 5), close_round(), close_session()],
    ),
    "a bet rolled back twice under a win": (
        [bet("b1", 100, contribution=3)],
        [
            rollback("b1", "rb1"),
            rollback("b1", "rb2"),
            rollback("b1", "rb1"),
            win("w1", 40),
            close_round(),
            close_session(),
        ],
    ),
    "one of two bets rolled back": (
        [bet("b1", 99, contribution=1), bet("b2", 50, contribution=2)],
        [
            rollback("b2", "rb2"),
            win("w1", 13),
            win("w1", 13),
            rollback("w1", "rb1"),
            close_round(),
            close_session(),
        ],
    ),
    "wins rolled back before and after they come": (
        [bet("b1", 1_000)],
        [
            win("w1", 40),
            rollback("w1", "rb1"),
            win("w2", 30),
            rollback("w2", "rb2"),
            close_round(),
            close_session(),
        ],
    ),
    "a spent win among other credits": (
        [bet("b1", 1_000)],
        [
            win("w1", 500),
            rollback("w1", "rb1"),
            win("w2", 7),
            deposit("d1", 3),
            close_round(),
            close_session(),
        ],
    ),
    "everything undone": (
        [bet("b1", 100, contribution=7)],
        [
            win("w1", 40),
            jackpot("j1", 9),
            rollback("b1", "rb1"),
            rollback("w1", "rb2"),
            rollback("j1", "rb3"),
            close_session(),
        ],
    ),
    "two rounds of one session": (
        [bet("b1", 100), bet("b2", 33, round_id="r2")],
        [
            win("w1", 1),
            win("w2", 260, round_id="r2"),
            close_round("c1"),
            close_round("c2", "r2"),
            rollback("b2", "rb2"),
            close_session(),
        ],
    ),
    "two sessions of one provider": (
        [bet("b1", 100, contribution=7), bet("b2", 50, contribution=2, **OTHER)],
        [
            close_round("c1"),
            close_session(),
            win("w2", 80, **OTHER),
            close_round("c2", **OTHER),
            close_session(**OTHER),
            rollback("b2", "rb2", player_id=OTHER_PLAYER),
        ],
    ),
    "a round closed by its win": (
        [bet("b1", 100)],
        [
            win("w1", 5, close_round=True),
            win("w2", 6, close_round=True),
            rollback("w1"),
            close_session(),
            close_round(),
        ],
    ),
    "a round closed by a win that is rolled back": (
        [bet("b1", 100)],
        [win("w1", 5, close_round=True), rollback("w1", "rb1"), close_session()],
    ),
    "a withdrawal cancelled": (
        [bet("b1", 100), withdrawal("o1", 900)],
        [cancel("o1"), cancel("o1"), win("w1", 50), rollback("w1", "rb1"), close_round(), close_session()],
    ),
    "wins outside sessions": (
        [bet("b1", 1_000)],
        [
            sessionless(jackpot("j1", 60)),
            rollback("j1", "rb1"),
            sessionless(promo("p1", 7)),
            promo("p2", 8),
            rollback("p2", "rb2"),
        ],
    ),
    "one wei beside a hundred tokens of 18 decimals": (
        [bet("b1", 1), deposit("d0", 10**20), bet("b2", 10**20)],
        [
            win("w1", 10**20 - 1),
            win("w2", 1),
            rollback("b1", "rb1"),
            close_round(),
            close_session(),
            rollback("w1", "rb2"),
        ],
    ),
}


def desk_after(debits):
    """A desk where two sessions are open and these debits were decided, all of them approved."""
    desk = Desk()
    desk.one(deposit("funds-1", 1_000))
    desk.one(deposit("funds-2", 1_000, player_id=OTHER_PLAYER))
    for action in (*SESSIONS, *debits):
        assert desk.one(action).status == "approved"
    return desk


def end_of(debits, arrivals):
    """Where money, sessions and rounds end up: what must not depend on the order of the arrivals."""
    desk = desk_after(debits)
    for action in arrivals:
        desk.one(action)
    books = {}
    for (kind, owner, asset, fund), total in desk.books().items():
        key = ("position", owner, asset, "") if kind in (WALLET, RECEIVABLE) else (kind, owner, asset, fund)
        books[key] = books.get(key, 0) + total
    sessions = {session.id: session.state for session in desk.facts.sessions.values()}
    rounds = {key: (one.live_bets, one.staked, one.won) for key, one in desk.facts.rounds.items()}
    over = {str(session_id) for session_id, state in sessions.items() if state == "settled"}
    assert not [key for key, total in books.items() if key[0] == CLEARING and key[1] in over and total]
    return {key: total for key, total in books.items() if total}, sessions, rounds


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_ends_in_the_same_books(name):
    debits, arrivals = SCENARIOS[name]
    first = end_of(debits, arrivals)
    for order in set(permutations(range(len(arrivals)))):
        assert end_of(debits, [arrivals[place] for place in order]) == first, [
            arrivals[place] for place in order
        ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_any_arrival_doubled_anywhere_changes_nothing(name):
    debits, arrivals = SCENARIOS[name]
    first = end_of(debits, arrivals)
    for doubled in arrivals:
        for place in range(len(arrivals) + 1):
            again = [*arrivals[:place], doubled, *arrivals[place:]]
            assert end_of(debits, again) == first, again


def test_the_position_is_split_by_the_order_and_its_sum_is_not():
    debits, (first_win, undo, second_win, *_) = SCENARIOS["a spent win among other credits"]
    desks = []
    for order in ((first_win, undo, second_win), (first_win, second_win, undo)):
        desk = desk_after([*debits])
        desk.one(first_win)
        desk.one(withdrawal("o1", 500))
        for action in order[1:]:
            desk.one(action)
        desks.append(desk)
    assert [(desk.balance(), desk.receivable()) for desk in desks] == [(7, -500), (0, -493)]


@st.composite
def stories(draw):
    """Approved debits, what arrives about them, and the same in another order with some of it doubled."""
    amount = st.sampled_from([1, 2, 7, 33, 100])
    debits, arrivals = [], [close_session()]
    for number in range(draw(st.integers(1, 3))):
        round_id = draw(st.sampled_from(["r1", "r2"]))
        taken = bet(f"b{number}", draw(amount), round_id=round_id, contribution=draw(st.integers(0, 2)))
        debits.append(taken)
        arrivals.append(close_round(f"c{number}", round_id))
        arrivals += [rollback(taken.reference, f"rb{number}-{n}") for n in range(draw(st.integers(0, 2)))]
    rounds = sorted({taken.round_id for taken in debits})
    for number in range(draw(st.integers(0, 3))):
        build = draw(st.sampled_from([win, win, jackpot, promo]))
        won = build(
            f"w{number}",
            draw(amount),
            round_id=draw(st.sampled_from(rounds)),
            close_round=draw(st.booleans()),
        )
        arrivals += [
            won,
            *[rollback(won.reference, f"rw{number}-{n}") for n in range(draw(st.integers(0, 2)))],
        ]
    if draw(st.booleans()):
        debits.append(withdrawal("o1", draw(st.sampled_from([1, 500, 600]))))
        arrivals.append(cancel("o1"))
    left_out = draw(st.sets(st.sampled_from(range(len(arrivals))), max_size=3))
    kept = [one for place, one in enumerate(arrivals) if place not in left_out]
    doubled = draw(st.lists(st.sampled_from(kept), max_size=4)) if kept else []
    return debits, draw(st.permutations(kept)), draw(st.permutations([*kept, *doubled]))


@settings(REPEATABLE, max_examples=600)
@given(stories())
def test_any_story_told_in_another_order_with_repeats_ends_in_the_same_books(story):
    debits, once, again = story
    assert end_of(debits, once) == end_of(debits, again)
