"""docs/how-to/roll-out-a-provider-version.md, executed: its shell blocks in order, in one shell, two workers (J1)."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from e2e.executed_pages import MOVED, Executed, execute

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/roll-out-a-provider-version.md"

# The page writes addresses into files of its own, too.
HEAD: Final = (
    MOVED
    + r"""
eval "moved_$(declare -f croupier)"
croupier() {
    for file in croupier.toml accounts.toml; do
        if [ -f "$file" ]; then
            sed -i "s|127.0.0.1:8702|$CROUPIER_SANDBOX_LISTEN|; s|127.0.0.1:8700|$CROUPIER_HTTP_PUBLIC|" "$file"
        fi
    done
    moved_croupier "$@"
}
"""
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return execute(PAGE, tmp_path_factory.mktemp("rollout"), HEAD)


def test_every_command_of_the_page_succeeds(page: Executed) -> None:
    assert page.status == 0, f"{page.complaints}\n{'=' * 20}\n" + "\n".join(page.printed)


def test_the_first_step_is_seen_in_the_list(page: Executed) -> None:
    said = page.said_by("first step")
    assert "rollout provider=sandbox_v2: default → 5% (version 1)" in said
    assert re.search(r"^rollout\tsandbox_v2\t\*\t\*\t\*\t5%\t1\t", said, re.MULTILINE)


def test_at_half_the_players_are_at_both_accounts(page: Executed) -> None:
    said = page.said_by("it goes well")
    counts = {name: int(number) for number, name in re.findall(r'(\d+) +"provider": "(\w+)"', said)}
    assert set(counts) == {"sandbox", "sandbox_v2"}
    assert sum(counts.values()) == 8


def test_two_rollbacks_go_two_steps_back(page: Executed) -> None:
    said = page.said_by("complaints, ticket")
    assert "on → 50% (version 4)" in said
    assert "50% → 5% (version 5)" in said
    assert len(re.findall(r"\trollback\t", said)) == 2


def test_the_guards_halt_the_version_that_does_not_answer(page: Executed) -> None:
    said = page.said_by("cat last.txt")
    assert re.search(r"on → off\t7\tguard\tguard\t(\d+ of \d+ launches failed|its breaker)", said), said
    opened = json.loads(said[said.index("{") :])
    assert (opened["provider"], opened["state"]) == ("sandbox", "launched")


def test_a_game_that_is_switched_off_gets_a_friendly_word(page: Executed) -> None:
    said = page.said_by("the regulator asks")
    problem, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
    assert (problem["code"], problem["reason"]) == ("provider_unavailable", "switched_off")
    assert "short break" in problem["player_message"]
    assert "off → default (version 2)" in said


def test_nothing_goes_live_before_it_is_checked_and_signed(page: Executed) -> None:
    before, after = page.all_said_by("croupier provider cutover sandbox_v2")
    for what in ("contract suite", "finance has not signed off", "support has not signed off"):
        assert what in before
    assert "it may not take players yet" in before
    assert "finance has signed off" in after
    assert after.rstrip().endswith("it may take players")
