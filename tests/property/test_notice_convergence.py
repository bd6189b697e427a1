"""I7 with webhooks: the same facts by callback, by notice or both, in any order and number, end in the same books.

A notice about something that has not come yet waits and is tried again after whatever comes; at the end of the story
nothing more comes, and what still waits becomes a person's work.
"""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from croupier.errors import CroupierError
from croupier.moneypath.commands import Action, NoticeTerms, Report
from croupier.moneypath.decide.notice import MAY_COME
from croupier.wallet.accounts import CLEARING, RECEIVABLE, WALLET
from model.calls import (
    PLAYER,
    PROVIDER,
    SESSION,
    bet,
    call,
    close_round,
    close_session,
    deposit,
    jackpot,
    open_session,
    rollback,
    win,
)
from model.desk import Desk
from model.seeds import REPEATABLE

WAITS = NoticeTerms(may_wait=True)
WAITED = NoticeTerms(may_wait=False)


class Told(Struct, frozen=True):
    """A fact as it arrives: by callback, or by notice."""

    action: Action
    is_notice: bool = False


def cb(action: Action) -> Told:
    return Told(action)


def notice(action: Action) -> Told:
    return Told(action, is_notice=True)


def untied(delivery_id: str = "msg-1") -> Told:
    """A notice that does not say which fact it is about."""
    return notice(
        Report(player_id=PLAYER, kind="untied_notice", subject=delivery_id, explanation="no reference")
    )


class Story:
    """A desk at which facts arrive; notices about what is not there yet wait."""

    def __init__(self, debits: list[Action]) -> None:
        self.desk = Desk()
        self.desk.one(deposit("funds", 1_000))
        for action in (open_session(SESSION, share_bps=777), *debits):
            assert self.desk.one(action).status == "approved"
        self._waiting: list[Told] = []

    def tell(self, told: Told) -> None:
        self._put(told, WAITS)
        # What waits is tried again until nothing of it moves on.
        for _ in range(len(self._waiting)):
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                self._put(one, WAITS)

    def end(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            self._put(one, WAITED)
        assert not self._waiting

    def _put(self, told: Told, terms: NoticeTerms) -> None:
        notice_terms = terms if told.is_notice else None
        provider = {"provider": PROVIDER} if told.is_notice else {}
        answer = self.desk.put(call(told.action, notice=notice_terms, **provider))
        if isinstance(answer, CroupierError):
            assert told.is_notice, answer
            assert answer.kind in MAY_COME, answer
            if terms.may_wait:
                self._waiting.append(told)

    def books(self):
        """Where money, session and rounds end up, and which breaks a person finds."""
        books = {}
        for (kind, owner, asset, fund), total in self.desk.books().items():
            key = (
                ("position", owner, asset, "") if kind in (WALLET, RECEIVABLE) else (kind, owner, asset, fund)
            )
            books[key] = books.get(key, 0) + total
        state = self.desk.session().state
        rounds = {key: (one.live_bets, one.staked, one.won) for key, one in self.desk.facts.rounds.items()}
        if state == "settled":
            assert not [key for key, total in books.items() if key[0] == CLEARING and total]
        return {key: total for key, total in books.items() if total}, state, rounds

    def jackpots_paid(self) -> int:
        """How many jackpot wins moved money."""
        return sum(
            entry.kind == "jackpot_win" for effects in self.desk.facts.applied for entry in effects.entries
        )


def story_of(debits, arrivals) -> Story:
    story = Story(debits)
    for told in arrivals:
        story.tell(told)
    story.end()
    return story


SCENARIOS = {
    "a round's end by callback, by notice, and twice": (
        [bet("b1", 100)],
        [
            cb(win("w1", 40)),
            cb(close_round()),
            notice(close_round()),
            notice(close_round()),
            notice(close_session()),
        ],
    ),
    "a jackpot by callback and by notice": (
        [bet("b1", 100, contribution=3)],
        [
            cb(jackpot("j1", 70)),
            notice(jackpot("j1", 70)),
            notice(close_round()),
            cb(win("w1", 5)),
            notice(close_session()),
            notice(jackpot("j1", 70)),
        ],
    ),
    "a jackpot by notice alone": (
        [bet("b1", 100, contribution=3)],
        [notice(jackpot("j1", 70)), cb(close_round()), cb(close_session()), notice(jackpot("j1", 70))],
    ),
    "a jackpot whose notice has a reference of its own": (
        [bet("b1", 100, contribution=3)],
        [
            cb(jackpot("j1", 70)),
            notice(jackpot("told-1", 70)),
            notice(jackpot("told-1", 70)),
            notice(close_round()),
            cb(close_session()),
            cb(jackpot("j1", 70)),
        ],
    ),
    "a jackpot that ends its round, told twice under two references": (
        [bet("b1", 100)],
        [
            cb(jackpot("j1", 70, close_round=True)),
            notice(jackpot("told-1", 70, close_round=True)),
            cb(win("w1", 9)),
            cb(close_session()),
        ],
    ),
    "two equal jackpots, and a notice of one of them under a reference of its own": (
        [bet("b1", 100, contribution=3)],
        [
            cb(jackpot("j1", 70)),
            cb(jackpot("j2", 70)),
            notice(jackpot("told-1", 70)),
            cb(close_round()),
            notice(close_session()),
            cb(jackpot("j2", 70)),
        ],
    ),
    "a bet rolled back by callback, by notice and once more": (
        [bet("b1", 100, contribution=3), bet("b2", 50)],
        [
            cb(rollback("b1", "rb1")),
            notice(rollback("b1", "rb1")),
            notice(rollback("b1", "rb2")),
            notice(close_round()),
            notice(close_session()),
            cb(win("w1", 7)),
        ],
    ),
    "a jackpot told and rolled back by both": (
        [bet("b1", 100)],
        [
            notice(jackpot("j1", 70)),
            cb(jackpot("j1", 70)),
            notice(rollback("j1", "rb1")),
            cb(rollback("j1", "rb1")),
            cb(close_round()),
            notice(close_session()),
        ],
    ),
    "notices that cannot be tied to anything": (
        [bet("b1", 100)],
        [
            untied("msg-1"),
            untied("msg-1"),
            notice(close_round("c9", "nobody")),
            cb(win("w1", 40)),
            cb(close_round()),
            notice(close_session()),
        ],
    ),
    "a round's end told before a win opens the round": (
        [bet("b1", 100)],
        [
            notice(close_round("c2", "r2")),
            cb(win("w2", 12, round_id="r2")),
            cb(close_round()),
            cb(close_session()),
            notice(close_round()),
        ],
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_order_ends_in_the_same_books(name: str) -> None:
    debits, arrivals = SCENARIOS[name]
    first = story_of(debits, arrivals).books()
    for order in set(permutations(range(len(arrivals)))):
        told = [arrivals[place] for place in order]
        assert story_of(debits, told).books() == first, told


@pytest.mark.parametrize("name", SCENARIOS)
def test_any_arrival_doubled_anywhere_changes_nothing(name: str) -> None:
    debits, arrivals = SCENARIOS[name]
    first = story_of(debits, arrivals).books()
    for doubled in arrivals:
        for place in range(len(arrivals) + 1):
            again = [*arrivals[:place], doubled, *arrivals[place:]]
            assert story_of(debits, again).books() == first, again


@pytest.mark.parametrize("name", [name for name in SCENARIOS if "jackpot" in name])
def test_no_order_pays_a_jackpot_twice_or_leaves_one_out(name: str) -> None:
    debits, arrivals = SCENARIOS[name]
    won = 2 if "two equal" in name else 1
    for order in set(permutations(range(len(arrivals)))):
        paid = story_of(debits, [arrivals[place] for place in order]).jackpots_paid()
        assert paid <= won, order
        # A win that its rollback overtook is not paid.
        assert paid == won or "rolled back" in name, order


def test_after_its_own_callback_a_notice_stands_for_no_other_win() -> None:
    """The usual order at a provider that tells everything twice: notice, its callback, and a second equal jackpot."""
    debits = [bet("b1", 100, contribution=3)]
    told = [notice(jackpot("j1", 70)), cb(jackpot("j1", 70)), cb(jackpot("j2", 70))]
    story = story_of(debits, told)
    assert story.jackpots_paid() == 2
    assert story.desk.breaks() == []


def test_a_fact_under_two_references_is_a_persons_work_in_every_order() -> None:
    debits, arrivals = SCENARIOS["a jackpot whose notice has a reference of its own"]
    for order in set(permutations(range(len(arrivals)))):
        breaks = story_of(debits, [arrivals[place] for place in order]).desk.breaks("untied_notice")
        assert breaks, order
        assert {one.owner for one in breaks} == {"finance"}


@st.composite
def long_stories(draw):
    """Up to fifty facts about a few approved bets, each by callback, by notice or both, and the same in another order.

    A jackpot's notice has the callback's reference, or one of its own where a callback tells it, too.
    """
    amount = st.sampled_from([1, 2, 7, 33, 100])
    debits, arrivals = [], []
    for number in range(draw(st.integers(1, 5))):
        taken = bet(f"b{number}", draw(amount), round_id=f"r{number}", contribution=draw(st.integers(0, 1)))
        debits.append(taken)
        facts: list[Action] = [close_round(f"c{number}", f"r{number}")]
        facts += [rollback(taken.reference, f"rb{number}-{n}") for n in range(draw(st.integers(0, 2)))]
        facts += [
            win(f"w{number}-{n}", draw(amount), round_id=f"r{number}") for n in range(draw(st.integers(0, 1)))
        ]
        for n in range(draw(st.integers(0, 2))):
            # Amounts differ within a round: two jackpots of one amount are told apart by their references alone.
            won = jackpot(f"j{number}-{n}", 50 + n, round_id=f"r{number}", close_round=draw(st.booleans()))
            if draw(st.booleans()):
                other = jackpot(f"told-{number}-{n}", 50 + n, round_id=f"r{number}")
                arrivals += [cb(won), notice(other)]
            else:
                facts.append(won)
        for fact in facts:
            arrivals += (
                draw(st.sampled_from([[cb(fact)], [cb(fact), notice(fact)], [notice(fact), notice(fact)]]))
                if not (isinstance(fact, type(win())) and fact.kind.value == "win")
                else [cb(fact)]
            )
    arrivals.append(draw(st.sampled_from([cb(close_session()), notice(close_session())])))
    arrivals = arrivals[:45]
    doubled = draw(st.lists(st.sampled_from(arrivals), max_size=5))
    return debits, draw(st.permutations(arrivals)), draw(st.permutations([*arrivals, *doubled]))


@settings(REPEATABLE, max_examples=300)
@given(long_stories())
def test_any_long_story_told_in_another_order_with_repeats_ends_in_the_same_books(story) -> None:
    debits, once, again = story
    assert story_of(debits, once).books() == story_of(debits, again).books()
