"""docs/how-to/hold-back-a-sick-provider.md, executed: its shell blocks in order, in one shell, on two workers (F2)."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from e2e.executed_pages import MOVED, Executed, execute

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/hold-back-a-sick-provider.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return execute(PAGE, tmp_path_factory.mktemp("sick"), MOVED)


def test_every_command_of_the_page_succeeds(page: Executed) -> None:
    assert page.status == 0, f"{page.complaints}\n{'=' * 20}\n" + "\n".join(page.printed)


def test_after_ten_failures_the_player_gets_a_friendly_word(page: Executed) -> None:
    refused = json.loads(page.said_by("> tried.json"))
    assert (refused["status"], refused["code"]) == (503, "provider_unavailable")
    assert "short break" in refused["player_message"]


def test_it_is_seen_open_then_held_and_its_history_says_why(page: Executed) -> None:
    counted = page.said_by("croupier breakers history")
    assert re.search(r"^sandbox\tlaunch\topen\t", counted, re.MULTILINE)
    assert re.search(r"closed → open\tfailures\tcroupier\t\d+ of \d+ calls failed", counted)
    held = page.said_by("croupier breakers open sandbox")
    assert "sandbox:launch: held open" in held
    assert re.search(r"^sandbox\tlaunch\theld open\t", held, re.MULTILINE)


def test_a_game_opens_once_it_is_closed_by_hand(page: Executed) -> None:
    said = page.said_by("croupier breakers close sandbox")
    assert "sandbox:launch: closed" in said
    assert json.loads(said[said.index("{") :])["launch_url"].startswith("http://127.0.0.1:")
