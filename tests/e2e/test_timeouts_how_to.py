"""docs/how-to/give-states-a-time.md, executed: its shell blocks in order, in one shell (C4)."""

import re
from pathlib import Path
from typing import Final

import pytest

from e2e.executed_pages import MOVED, Executed, execute

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/give-states-a-time.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return execute(PAGE, tmp_path_factory.mktemp("timeouts"), MOVED)


def test_every_command_of_the_page_succeeds(page: Executed) -> None:
    assert page.status == 0, f"{page.complaints}\n{'=' * 20}\n" + "\n".join(page.printed)


def test_the_session_is_seen_waiting_and_then_cancelled_by_its_timeout(page: Executed) -> None:
    opened = page.said_by("tee session.json")
    assert re.search(r"^launched\t1\t0\tproduct\tcancel\t", opened, re.MULTILINE)
    ended = page.said_by("croupier session timeline")
    assert "timeout:launched" in ended
    assert "sessions that are not final: none" in ended
