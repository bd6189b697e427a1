"""docs/how-to/decide-who-may-play.md, executed: its shell blocks in order, in one shell, against two workers (H4)."""

import json
from pathlib import Path
from typing import Final

import pytest

from e2e.executed_pages import MOVED, Executed, execute

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/decide-who-may-play.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return execute(PAGE, tmp_path_factory.mktemp("eligibility"), MOVED)


def test_every_command_of_the_page_succeeds(page: Executed) -> None:
    assert page.status == 0, f"{page.complaints}\n{'=' * 20}\n" + "\n".join(page.printed)


def test_packs_are_listed_and_shown_with_their_sources(page: Executed) -> None:
    listed = page.said_by("croupier jurisdiction list")
    assert "US-NJ" in listed
    assert "GAMSTOP" in listed
    assert "unverified" in listed


def test_each_launch_is_decided_for_its_own_reason(page: Executed) -> None:
    said = page.said_by("croupier api POST /v1/sessions")
    assert '"state": "launched"' in said
    for reason in ("self_excluded", "jurisdiction_unknown", "exclusion_unanswered"):
        assert f'"reason": "{reason}"' in said
    assert '"code": "eligibility_unanswered"' in said


def test_decisions_are_shown_afterwards(page: Executed) -> None:
    said = page.said_by("croupier player eligibility alice")
    alice, _, document = said.partition("{")
    assert "jurisdiction_unknown" in alice
    assert "MT/1" in alice
    (decision,) = json.loads("{" + document)["decisions"]
    assert (decision["granted"], decision["reason"]) == (False, "self_excluded")
    assert decision["evidence"]["exclusion"]["status"] == "excluded"
