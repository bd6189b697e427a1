"""Shares of players: stable, growing without losing anybody, even, and another part for every flag and provider."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.governance.flags.known import FLAGS, ROLLOUT
from croupier.governance.flags.rules import WHOLE, Rule, Situation, Target, arrange, explain, position_of

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PLAYERS = 100_000

names = st.sampled_from(["", "one", "two"])
targets = st.builds(
    Target,
    flag=st.sampled_from(sorted(FLAGS)),
    provider=names,
    game_group=names,
    game=names,
    jurisdiction=names,
)
shares = st.one_of(st.none(), st.integers(0, WHOLE))
rules = st.builds(Rule, target=targets, share_bps=shares, version=st.just(1), since=st.just(T0))
rule_sets = st.lists(rules, unique_by=lambda rule: rule.target, max_size=12)
situations = st.builds(
    Situation,
    player_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    provider=names,
    game_group=names,
    game=names,
    jurisdiction=names,
)


@given(rule_sets, situations, st.sampled_from(sorted(FLAGS)), st.randoms())
def test_the_answer_does_not_depend_on_the_order_of_the_rules(
    found: list[Rule], situation: Situation, flag: str, chance
) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)
    answer = explain(FLAGS[flag], arrange(found), situation)
    assert explain(FLAGS[flag], arrange(shuffled), situation) == answer
    if answer.rule is not None:
        assert answer.rule in found
        named = [(name, getattr(answer.rule.target, name)) for name in ("provider", "game", "jurisdiction")]
        assert all(not wanted or getattr(situation, name) == wanted for name, wanted in named)


@given(situations.filter(lambda one: bool(one.player_id)), st.integers(0, WHOLE), st.integers(0, WHOLE))
def test_raising_a_share_keeps_everybody_who_was_in(situation: Situation, one: int, other: int) -> None:
    def is_in(share: int) -> bool | None:
        rule = Rule(target=Target(flag="rollout"), share_bps=share, version=1, since=T0)
        return explain(ROLLOUT, arrange([rule]), situation).is_on

    low, high = sorted((one, other))
    assert not is_in(low) or is_in(high)
    assert is_in(low) is not None
    assert is_in(low) == is_in(low)
    assert (is_in(0), is_in(WHOLE)) == (False, True)


@pytest.mark.parametrize("shape", ["player-{}", "{:08d}", "{}@example.org"])
def test_a_share_is_that_share_of_players_within_one_percent(shape: str) -> None:
    target = Target(flag="rollout", provider="acme_v2")
    positions = [position_of(target, shape.format(number)) for number in range(PLAYERS)]
    assert min(positions) >= 0
    assert max(positions) < WHOLE
    for share in (100, 500, 1000, 2500, 5000, 9000):
        found = sum(position < share for position in positions)
        assert abs(found - PLAYERS * share // WHOLE) <= PLAYERS // 100, share


def test_the_first_players_of_one_rollout_are_not_the_first_of_another() -> None:
    players = [f"player-{number}" for number in range(PLAYERS // 5)]
    firsts = [
        {player for player in players if position_of(target, player) < 1000}
        for target in (
            Target(flag="rollout", provider="acme_v2"),
            Target(flag="rollout", provider="acme_v3"),
            Target(flag="launch", provider="acme_v2"),
        )
    ]
    for one, other in itertools.combinations(firsts, 2):
        # A tenth of a tenth, if they are independent.
        assert len(one & other) < len(players) * 2 // 100


def test_a_narrower_rule_places_a_player_as_the_broader_one_does() -> None:
    broad = Target(flag="rollout", provider="acme_v2")
    narrow = Target(flag="rollout", provider="acme_v2", game="dice", jurisdiction="MT")
    assert position_of(broad, "alice") == position_of(narrow, "alice")


def test_positions_are_the_same_in_every_version() -> None:
    """These are kept for ever: a player who was sent to an account goes on being sent there."""
    target = Target(flag="rollout", provider="acme_v2")
    assert [position_of(target, player) for player in ("alice", "bob", "żółw")] == [1752, 5642, 3097]
