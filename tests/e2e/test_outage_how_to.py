"""docs/how-to/recover-from-a-provider-outage.md, executed: its shell blocks in order, in one shell."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from e2e.executed_pages import MOVED, Executed, execute

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/recover-from-a-provider-outage.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return execute(PAGE, tmp_path_factory.mktemp("outage"), MOVED)


def test_every_command_of_the_page_succeeds(page: Executed) -> None:
    assert page.status == 0, f"{page.complaints}\n{'=' * 20}\n" + "\n".join(page.printed)


def test_webhooks_and_their_duplicates_are_taken_while_nobody_works(page: Executed) -> None:
    assert len(re.findall(r"^202", page.said_by("tell.sh"), re.MULTILINE)) == 8


def test_a_game_opens_once_the_provider_is_back(page: Executed) -> None:
    opened = json.loads(page.said_by("tee session.json"))
    assert opened["launch_url"].startswith("http://127.0.0.1:")


def test_the_queue_is_seen_full_and_without_worker_and_then_empty(page: Executed) -> None:
    first, second = (
        said for said in page.all_said_by("croupier inbox status") if said.startswith("provider\tqueued")
    )
    assert first.splitlines()[1].split("\t")[:2] == ["sandbox", "4"]
    assert "nothing works on the queue" in first
    assert second.splitlines()[1].split("\t")[:2] == ["sandbox", "0"]
    assert "nothing works on the queue" not in second


def test_the_poison_is_a_dead_letter_that_is_shown_and_redriven(page: Executed) -> None:
    assert "unknown_type" in page.said_by("croupier inbox dead\n")
    assert "round.exploded" in page.said_by("croupier inbox show")
    assert "1 put back in the queue" in page.said_by("croupier inbox redrive $letter")


def test_the_replay_moves_nothing_and_proves_it(page: Executed) -> None:
    said = page.said_by("INC-1: the sandbox was away")
    assert "3\twere applied before: nothing moves" in said
    assert "nothing moved: the digest before and after is" in said
    assert said.endswith("the proof holds\n")


def test_a_second_plan_promises_nothing_and_the_books_are_whole(page: Executed) -> None:
    said = page.said_by("tee plan.json")
    plan, _ = json.JSONDecoder().raw_decode(said)
    assert plan["effects"] == {"deliveries": 0, "entries": 0, "breaks": 0, "money": {}}
    assert "I1  held" in said
    assert "BROKEN" not in said


def test_the_report_lists_the_replay_and_its_record(page: Executed) -> None:
    said = page.said_by("croupier inbox replays")
    assert "\tfinished\t" in said
    assert "INC-1: the sandbox was away" in said
    assert "inbox.replay.finished" in said


def test_every_cause_and_line_of_the_page_exists() -> None:
    """What the page tells to look for is what the commands print."""
    from croupier.cli.inbox_replay_report import MEANING, WHY

    text = PAGE.read_text(encoding="utf-8")
    for result in ("applied", "repeat", "refused", "unmatched", "failed"):
        assert MEANING[result].partition(":")[0] in text
    assert WHY["unexplained"] in text
