"""docs/how-to/stop-a-player.md, executed: its shell blocks in order, in one shell, against two workers (H4)."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from e2e.executed_pages import MOVED, Executed, execute

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/stop-a-player.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return execute(PAGE, tmp_path_factory.mktemp("stop"), MOVED)


def test_every_command_of_the_page_succeeds(page: Executed) -> None:
    assert page.status == 0, f"{page.complaints}\n{'=' * 20}\n" + "\n".join(page.printed)


def test_play_stops_with_the_restriction_and_goes_on_without_it(page: Executed) -> None:
    before, during, after = page.all_said_by(". ./play.sh")
    assert "rounds: 3 stopped by: None" in before
    assert "rounds: 1 stopped by: player_restricted" in during
    assert "rounds: 3 stopped by: None" in after


def test_the_session_is_settled_by_the_restriction(page: Executed) -> None:
    said = page.said_by("croupier session timeline")
    assert "block" in said
    assert "settled" in said.splitlines()[-1]


def test_who_placed_it_and_why_is_shown(page: Executed) -> None:
    placed = page.said_by("croupier player restrict alice")
    assert re.search(r"^restriction_id +rst_[0-9a-f]{32}$", placed, re.MULTILINE)
    listed = page.all_said_by("croupier player restrictions alice")[0]
    assert "chargeback, case 4711" in listed


def test_a_new_session_opens_once_it_is_lifted(page: Executed) -> None:
    said = page.said_by("croupier player lift")
    assert re.search(r"^lift_reason +case 4711 closed$", said, re.MULTILINE)
    opened = said[said.index("{") : said.rindex("}") + 1]
    assert json.loads(opened)["launch_url"].startswith("http://127.0.0.1:")
