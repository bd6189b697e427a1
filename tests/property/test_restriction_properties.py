"""H4: wherever a restriction falls among a player's calls, it changes the answers to later stakes and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import CroupierError
from croupier.moneypath.commands import Action, Bet
from model.calls import bet, call, close_round, jackpot, lift, promo, restrict, rollback, win
from model.desk import Desk, open_desk

NAMES = st.sampled_from(["b1", "b2", "b3"])
CREDITS = st.one_of(
    st.builds(lambda number, amount: win(f"w{number}", amount), st.integers(1, 3), st.integers(0, 90)),
    st.builds(lambda number: jackpot(f"j{number}", 70), st.integers(1, 2)),
    st.builds(lambda number: promo(f"p{number}", 5), st.integers(1, 2)),
    st.builds(lambda target, number: rollback(target, f"rb{number}"), NAMES, st.integers(1, 3)),
    st.just(close_round()),
)
BETS = st.builds(lambda name: bet(name, 60), NAMES)
LATER_BETS = st.builds(lambda number: bet(f"late-{number}", 20 * number), st.integers(0, 3))


def told(desk: Desk, action: Action) -> tuple[object, ...]:
    """What an action of its own call is answered with."""
    answer = desk.put(call(action))
    if isinstance(answer, CroupierError):
        return (answer.kind.code, answer.detail)
    return (answer[0].status, answer[0].code, answer[0].balance, answer[0].is_repeat)


@given(st.lists(BETS, max_size=4), st.lists(st.one_of(CREDITS, LATER_BETS), max_size=12), st.booleans())
def test_after_a_restriction_stakes_are_declined_and_credits_are_what_they_were(before, after, is_lifted):
    plain, stopped = open_desk(), open_desk()
    for action in before:
        assert told(plain, action) == told(stopped, action)
    stopped.one(restrict())
    if is_lifted:
        stopped.one(lift())
    for action in after:
        if isinstance(action, Bet) and not is_lifted:
            assert told(stopped, action)[1] == "player_restricted"
        else:
            assert told(plain, action) == told(stopped, action)
    assert plain.books() == stopped.books()
