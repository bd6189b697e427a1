"""Flags as pure rules: who is in, how shares are written, what a rollback takes back, when a rollout is halted (J1)."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest
from openfeature.flag_evaluation import Reason

from croupier.governance.flags.guard import GuardLimits, Halt, Observed, judge
from croupier.governance.flags.history import Cause, Change, find_last
from croupier.governance.flags.known import FLAGS, LAUNCH, ROLLOUT
from croupier.governance.flags.rules import WHOLE, Rule, Situation, Target, arrange, explain
from croupier.governance.flags.shares import parse_share, render_share

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DICE = Situation(player_id="alice", provider="acme", game_group="slots", game="dice", jurisdiction="MT")


def rule(share_bps: int | None, flag: str = "launch", **named: str) -> Rule:
    return Rule(target=Target(flag=flag, **named), share_bps=share_bps, version=1, since=T0)


def test_without_a_rule_a_flag_has_its_default() -> None:
    launch, rollout = (explain(flag, arrange([]), DICE) for flag in (LAUNCH, ROLLOUT))
    assert (launch.is_on, launch.reason, launch.rule) == (True, Reason.DEFAULT, None)
    assert (rollout.is_on, rollout.reason) == (False, Reason.DEFAULT)


@pytest.mark.parametrize(
    "named",
    [{"provider": "other"}, {"game_group": "live"}, {"game": "limbo"}, {"jurisdiction": "SE"}],
)
def test_a_rule_about_something_else_does_not_apply(named: dict[str, str]) -> None:
    assert explain(LAUNCH, arrange([rule(0, **named)]), DICE).reason is Reason.DEFAULT
    unknown = Situation(player_id="alice")
    assert explain(LAUNCH, arrange([rule(0, **named)]), unknown).is_on, "what is not known is not named"


def test_the_more_specific_rule_decides_and_the_law_goes_first() -> None:
    ordered: list[dict[str, str]] = [
        {},
        {"provider": "acme"},
        {"game_group": "slots"},
        {"game_group": "slots", "provider": "acme"},
        {"game": "dice"},
        {"game": "dice", "game_group": "slots", "provider": "acme"},
        {"jurisdiction": "MT"},
        {"jurisdiction": "MT", "game": "dice"},
    ]
    for weaker, stronger in itertools.pairwise(ordered):
        for order in (1, -1):
            rules = [rule(WHOLE, **weaker), rule(0, **stronger)][::order]
            answer = explain(LAUNCH, arrange(rules), DICE)
            assert (answer.is_on, answer.reason) == (False, Reason.TARGETING_MATCH)
            assert answer.rule is not None
            assert answer.rule.target == Target(flag="launch", **stronger)


def test_a_rule_that_was_taken_away_leaves_it_to_the_broader_one() -> None:
    rules = arrange([rule(None, game="dice"), rule(0, provider="acme")])
    answer = explain(LAUNCH, rules, DICE)
    assert (answer.is_on, answer.rule) == (False, rule(0, provider="acme"))


def test_a_share_says_where_the_player_stands() -> None:
    answer = explain(LAUNCH, arrange([rule(5000)]), DICE)
    assert answer.reason is Reason.SPLIT
    assert answer.position is not None
    exact = (answer.position, answer.position + 1)
    assert [explain(LAUNCH, arrange([rule(share)]), DICE).is_on for share in exact] == [False, True]


def test_a_share_needs_a_player() -> None:
    nobody = Situation(provider="acme")
    assert explain(LAUNCH, arrange([rule(5000)]), nobody).is_on is None
    assert explain(LAUNCH, arrange([rule(0)]), nobody).is_on is False


def test_every_flag_says_what_it_is_for() -> None:
    assert set(FLAGS) == {"launch", "rollout"}
    assert all(name == flag.name and flag.meaning for name, flag in FLAGS.items())


@pytest.mark.parametrize(
    ("text", "share", "shown"),
    [
        ("on", 10_000, "on"),
        ("off", 0, "off"),
        ("100", 10_000, "on"),
        ("0%", 0, "off"),
        ("5", 500, "5%"),
        ("5 %", 500, "5%"),
        ("12.5%", 1250, "12.5%"),
        ("0.01", 1, "0.01%"),
        ("99.99%", 9999, "99.99%"),
    ],
)
def test_shares_are_read_and_shown(text: str, share: int, shown: str) -> None:
    assert parse_share(text) == share
    assert render_share(share) == shown


@pytest.mark.parametrize("text", ["", "-1", "100.01", "101", "0.001", "1e1", "five", "%", "5%%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="on, off, or a share"):
        parse_share(text)


def change(version: int, from_bps: int | None, to_bps: int | None, undoes: int | None = None) -> Change:
    cause = Cause.MANUAL if undoes is None else Cause.ROLLBACK
    target = Target(flag="rollout", provider="v2")
    return Change(
        target=target,
        version=version,
        at=T0,
        from_bps=from_bps,
        to_bps=to_bps,
        cause=cause,
        undoes=undoes,
        actor="cli:ann",
        reason="because",
    )


def test_each_rollback_goes_one_step_further_back() -> None:
    steps = [change(1, None, 500), change(2, 500, 2000), change(3, 2000, 5000)]
    found = []
    for _ in range(3):
        last = find_last(reversed(steps))
        assert last is not None
        found.append(last.from_bps)
        steps.append(change(len(steps) + 1, steps[-1].to_bps, last.from_bps, undoes=last.version))
    assert found == [2000, 500, None]
    assert find_last(reversed(steps)) is None


def test_a_change_after_a_rollback_is_taken_back_first() -> None:
    steps = [change(1, None, 500), change(2, 500, 2000), change(3, 2000, 500, undoes=2), change(4, 500, 900)]
    last = find_last(reversed(steps))
    assert last is not None
    assert (last.version, last.from_bps) == (4, 500)


LIMITS = GuardLimits(min_launches=20, error_percent=10, late_settlements=1, mismatches=2, settlement_lag_s=60)


def seen(**fields: Any) -> Observed:
    calm = {"launches": 20, "failed": 2, "late": 1, "mismatches": 2, "is_held_back": False}
    return Observed(**(calm | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"launches": 0, "failed": 0},
        {"launches": 19, "failed": 19},
        {"launches": 30, "failed": 3},
    ],
)
def test_what_is_within_every_limit_goes_on(fields: dict[str, int]) -> None:
    assert judge(seen(**fields), LIMITS) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"failed": 3}, "3 of 20 launches failed, more than 10%"),
        ({"launches": 29, "failed": 3}, "3 of 29 launches failed, more than 10%"),
        ({"late": 2}, "sessions that wait for settlement for more than 60 s: 2, allowed 1"),
        ({"mismatches": 3}, "open breaks: 3, allowed 2"),
        ({"is_held_back": True}, "its breaker holds launches back"),
        (
            {"failed": 20, "mismatches": 5},
            "20 of 20 launches failed, more than 10%; open breaks: 5, allowed 2",
        ),
    ],
)
def test_what_is_one_beyond_a_limit_is_halted_with_the_numbers(fields: dict[str, int], reason: str) -> None:
    assert judge(seen(**fields), LIMITS) == Halt(reason)


def test_no_errors_at_all_may_be_asked_for() -> None:
    strict = GuardLimits(min_launches=1, error_percent=0)
    assert judge(seen(launches=1, failed=0, late=0, mismatches=0), strict) is None
    assert judge(seen(launches=1, failed=1, late=0, mismatches=0), strict) is not None
