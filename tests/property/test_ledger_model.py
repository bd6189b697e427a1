"""The pure decisions against a second, simpler ledger, after every step of generated runs (I1, I2, I5)."""

from datetime import timedelta

from hypothesis import given, settings

from croupier.errors import CroupierError
from croupier.wallet.accounts import CLEARING, RECEIVABLE, WALLET
from model.answers import Told
from model.calls import NOW, OTHER_PLAYER, PLAYER, bet, call, deposit, open_session
from model.desk import Desk
from model.ledger import Ledger
from model.replay import replay
from model.scripts import scripts
from model.seeds import REPEATABLE

FINAL_STATES = ("settled", "cancelled", "failed")
PROVIDER_FACTS = ("win_without_bet",)


def seen(answer):
    """An answer as the model tells it."""
    if isinstance(answer, CroupierError):
        return answer.kind.code
    return tuple(
        Told(
            one.status,
            one.code,
            "" if one.reference.startswith("ses_") else one.reference,
            one.balance,
            one.is_repeat and not one.reference.startswith("ses_"),
        )
        for one in answer
    )


def expected(told, answer):
    """What the model says. A rollback that names no asset may tell any balance or none."""
    if isinstance(told, str) or not isinstance(answer, tuple):
        return told
    return tuple(
        mine
        if mine.balance is not None
        else Told(mine.status, mine.code, mine.reference, his.balance, mine.is_repeat)
        for mine, his in zip(told, answer, strict=True)
    )


def breaks_of(desk):
    """Breaks as the model names them."""
    found = set()
    for one in desk.breaks():
        name = f"{one.session_id}/{one.provider_round_id}"
        found.add((one.kind, name if one.kind in PROVIDER_FACTS else one.subject.split(":")[0]))
    return found


def check_books(desk, ledger):
    books = desk.books()
    assert books == ledger.books()
    for (kind, owner, asset, fund), total in books.items():
        assert total > 0 or kind != WALLET
        assert total < 0 or kind != RECEIVABLE
        if kind in (WALLET, RECEIVABLE):
            assert desk.balance(owner, asset, fund) == total or kind == RECEIVABLE
    for asset in {key[2] for key in books}:
        assert sum(total for key, total in books.items() if key[2] == asset) == 0
    for posted in desk.facts.posted.values():
        assert sum(one.leg.amount for one in posted) == 0
    assert not [key for key in books if key[0] == CLEARING and state_of(desk, key[1]) in FINAL_STATES], (
        "a session that is over holds nothing"
    )


def state_of(desk, session_id):
    return next(one.state for one in desk.facts.sessions.values() if str(one.id) == session_id)


def check_play(desk, ledger):
    for session_id, session in desk.facts.sessions.items():
        assert session.state == ledger.states[session_id]
        is_over = session.state in FINAL_STATES
        assert session.rounds_open == (0 if is_over else ledger.rounds_open(session_id))
    for (session_id, name), kept in desk.facts.rounds.items():
        mine = ledger.round(session_id, name)
        assert (kept.bets, kept.live_bets) == (mine.bets, len(mine.live_bets))
        assert (kept.staked, kept.won) == (mine.staked, mine.won)
        assert (kept.bet_due_at is not None) == (mine.won > 0 and not mine.bets)


def run(script, check):
    """Let desk and model decide every call, and compare after each."""
    desk, ledger = Desk(), Ledger(players={PLAYER, OTHER_PLAYER})
    for second, request in enumerate(script.calls):
        desk.now = NOW + timedelta(seconds=second)
        check(desk, ledger, request)
    return desk


def decide_and_compare(desk, ledger, request):
    answer = desk.put(request)
    told = ledger.decide(request, desk.now)
    assert seen(answer) == expected(told, answer)
    check_books(desk, ledger)
    check_play(desk, ledger)
    assert breaks_of(desk) == ledger.breaks


@settings(REPEATABLE, max_examples=1_500)
@given(scripts())
def test_every_step_of_any_run_agrees_with_the_simpler_ledger(script):
    run(script, decide_and_compare)


def test_a_bet_beyond_what_a_session_can_hold_leaves_the_balance_of_before():
    # Generated once: together the two bets need 39 digits in the session's clearing.
    most = 6 * 10**37
    desk, ledger = Desk(), Ledger(players={PLAYER, OTHER_PLAYER})
    for action in (
        deposit("d1", most), open_session(), bet("b1", most), deposit("d2", most), bet("b2", most)
    ):  # fmt: skip
        decide_and_compare(desk, ledger, call(action))
    assert desk.facts.references["acme", "b2"].code == "limit_reached"


@settings(REPEATABLE, max_examples=100)
@given(scripts())
def test_sessions_rebuilt_from_their_history_are_the_sessions_that_are_kept(script):
    desk = run(script, lambda desk, _, request: desk.put(request))
    history = [event for effects in desk.facts.applied for event in effects.events]
    assert replay(history)[0] == desk.facts.sessions
    for session_id in desk.facts.sessions:
        own = [event.seq for event in history if event.session_id == session_id]
        assert own == list(range(1, len(own) + 1))


@settings(REPEATABLE, max_examples=100)
@given(scripts())
def test_rounds_rebuilt_from_their_history_are_the_rounds_that_are_kept(script):
    desk = run(script, lambda desk, _, request: desk.put(request))
    history = [event for effects in desk.facts.applied for event in effects.events]
    assert replay(history)[1] == desk.facts.rounds


@settings(REPEATABLE, max_examples=100)
@given(scripts())
def test_asking_everything_again_moves_nothing_and_is_answered_as_before(script):
    desk = Desk()
    answers = [desk.put(request) for request in script.calls]
    books = desk.books()
    for request, first in zip(script.calls, answers, strict=True):
        again = desk.put(request)
        if isinstance(first, tuple) and len(first) == 1 and first[0].reference[:3] != "ses":
            assert seen(again) == seen(first)
    assert desk.books() == books
