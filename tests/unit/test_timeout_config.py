"""The timeouts of the configuration: each state has a rule, and none that makes no sense there."""

from pathlib import Path

import pytest

from croupier.play.session import State
from croupier.play.timeouts import DEFAULT_POLICY, LEGAL_ACTS, Act, Rule
from croupier.runtime.config import Config, ConfigProblems, Problem, load_config, timeout_policy
from croupier.runtime.config.starter import write_starter

OPS = "[owners.ops]\ncontacts = []\n"


def load(folder: Path, text: str) -> Config:
    path = folder / "croupier.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, {})


def only_problem(folder: Path, text: str) -> Problem:
    with pytest.raises(ConfigProblems) as caught:
        load(folder, text)
    (problem,) = caught.value.problems
    return problem


def test_the_starter_shows_the_built_in_rules(tmp_path: Path) -> None:
    config = load_config(write_starter(tmp_path).config_path, {})
    assert set(config.timeouts) == {state.value for state in LEGAL_ACTS}
    assert timeout_policy(config.timeouts).rules == DEFAULT_POLICY.rules
    assert {rule.owner for rule in DEFAULT_POLICY.rules.values()} <= set(config.owners)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("action", Act)
def test_a_timeout_does_what_can_be_done_in_its_state(tmp_path: Path, state: State, action: Act) -> None:
    text = OPS + f"[timeouts.{state}]\nafter = '1h'\nowner = 'ops'\naction = '{action}'\n"
    legal = {
        "created": {"cancel", "probe", "alert"},
        "launched": {"cancel", "alert"},
        "active": {"close", "alert"},
        "pending_settlement": {"reconcile", "alert"},
    }
    if action in legal.get(state, set()):
        rule = timeout_policy(load(tmp_path, text).timeouts).rule_of(state)
        assert rule == Rule(3600, "ops", action)
    elif state in legal:
        problem = only_problem(tmp_path, text)
        assert problem.where == f"timeouts.{state}.action"
        assert "alert" in problem.fix or "did you mean" in problem.fix
    else:
        assert only_problem(tmp_path, text).where == f"timeouts.{state}"


def test_a_state_without_a_section_keeps_the_built_in_rule(tmp_path: Path) -> None:
    text = OPS + "[timeouts.active]\nafter = '30m'\nowner = 'ops'\naction = 'close'\n"
    policy = timeout_policy(load(tmp_path, text).timeouts)
    assert policy.rule_of(State.ACTIVE) == Rule(1800, "ops", Act.CLOSE)
    assert {state: policy.rule_of(state) for state in LEGAL_ACTS if state != State.ACTIVE} == {
        state: rule for state, rule in DEFAULT_POLICY.rules.items() if state != State.ACTIVE
    }


@pytest.mark.parametrize(
    ("text", "where"), [("clock_skew_s = 0", "clock_skew_s"), ("clock_settle_s = -1", "clock_settle_s")]
)
def test_the_bounds_of_the_clock_have_edges(tmp_path: Path, text: str, where: str) -> None:
    assert only_problem(tmp_path, f"[limits]\n{text}").where == f"limits.{where}"
    limits = load(tmp_path, "[limits]\nclock_skew_s = 300\nclock_settle_s = 0").limits
    assert (limits.clock_skew_s, limits.clock_settle_s) == (300, 0)
