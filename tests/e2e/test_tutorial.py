"""docs/tutorial/first-session.md, executed: its shell blocks in order, in one shell, in an empty folder."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from e2e.executed_pages import MOVED, Executed, blocks_of, execute, render_script

PAGE: Final = Path(__file__).parents[2] / "docs/tutorial/first-session.md"


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """The page, run from its first command to its last."""
    return execute(PAGE, tmp_path_factory.mktemp("tutorial"), MOVED)


def answers(tutorial: Executed, needle: str) -> list[dict[str, Any]]:
    """The JSON documents that the blocks with this text printed."""
    return [json.loads(said) for said in tutorial.all_said_by(needle)]


def test_every_command_of_the_page_succeeds(tutorial: Executed) -> None:
    assert tutorial.status == 0, f"{tutorial.complaints}\n{'=' * 20}\n" + "\n".join(tutorial.printed)


def test_the_doctor_finds_nothing_wrong_with_a_new_configuration(tutorial: Executed) -> None:
    said = tutorial.said_by("croupier init")
    assert "wrote casino/croupier.toml" in said
    assert "FAIL" not in said


def test_the_log_says_when_the_gateway_serves(tutorial: Executed) -> None:
    assert "serving" in tutorial.complaints


def test_the_same_deposit_twice_is_one_deposit(tutorial: Executed) -> None:
    first, second = answers(tutorial, "/deposits")
    assert (first["status"], first["repeat"]) == ("approved", False)
    assert (second["status"], second["repeat"]) == ("approved", True)
    assert second["balance"] == first["balance"] == {"amount": "5000", "asset": "EUR"}
    assert second["journal_id"] == first["journal_id"]


def test_a_session_is_opened_at_the_studio_and_played(tutorial: Executed) -> None:
    (opened,) = answers(tutorial, "tee session.json")
    assert opened["state"] in ("created", "launched")
    assert opened["launch_url"].startswith("http://127.0.0.1:")
    assert re.search(r"^10 rounds; balance now \S+", tutorial.said_by("<<'PLAY'"), re.MULTILINE)


def test_the_session_is_settled_at_the_end_of_play(tutorial: Executed) -> None:
    said = tutorial.said_by("croupier session timeline")
    assert re.search(r"pending_settlement|settled", said)
    assert "settled" in said.splitlines()[-1]


def test_the_books_are_proven(tutorial: Executed) -> None:
    said = tutorial.said_by("croupier ledger check")
    assert "BROKEN" not in said
    assert "I1  held" in said
    assert re.search(r"I5  1 sessions, 10 rounds, \d+ events replayed: history equals state", said)


def test_blocks_of_other_languages_are_not_run() -> None:
    assert blocks_of("```sh\none\n```\n\n```python\ntwo\n```\n\n```sh\nthree &\n```\n") == [
        "one\n",
        "three &\n",
    ]


def test_a_failing_command_ends_the_page(tmp_path: Path) -> None:
    script = render_script(
        "set -euo pipefail", ["true\n", "false\n", "echo reached\n"], tmp_path / "no-waiter", tmp_path
    )
    ended = subprocess.run(["bash", "-c", script], check=False, start_new_session=True)
    assert ended.returncode != 0
    assert not (tmp_path / "2.txt").exists()
