"""docs/explanation/outbound-calls.md against the code: every number, every word, and what each fault comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from croupier.operator.launch import _has_failed
from croupier.providers.breakers.desk import LOOK_S
from croupier.providers.breakers.machine import SLOTS
from croupier.providers.client import UNREACHED, ClientLimits
from croupier.providers.contract import LaunchRefused, LaunchUnknown, Reply
from croupier.providers.retries import PASSING_FAULTS, PASSING_STATUSES, may_pass
from croupier.providers.vocabulary import MAX_GAME_URL
from croupier.runtime.breaker_work import breaker_settings
from croupier.runtime.config import Config
from croupier.runtime.config.outbound import Retries

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "outbound-calls.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("|")
]
BOUNDS = {cells[0]: cells[1] for cells in ROWS if len(cells) == 3 and cells[0] not in ("bound", "---")}
FAULTS = {cells[2]: cells for cells in ROWS if len(cells) == 5 and cells[2].startswith("`")}
LIMITS = ClientLimits()
RULES = breaker_settings(Config())
TRANSPORT = {"reset", "timeout", "not_http", "too_large"}
OF_REPLIES = {"reply_not_understood", "reply_for_another_session", "launch_url_not_usable"}

EXPECTED = {
    "a launch, all attempts together": f"{LIMITS.deadline_s:g} s",
    "a question": f"{LIMITS.question_s:g} s",
    "getting a connection: pool, name, TCP and TLS": f"{LIMITS.connect_s:g} s",
    "attempts at one launch": str(Retries().attempts),
    "attempts at one question": "1",
    "the longest pause before the second attempt": f"{LIMITS.retries.first_pause_s:g} s",
    "answer to a launch": f"{LIMITS.reply_bytes // 1024} KiB",
    "answer to a question": f"{LIMITS.list_bytes // 1024**2} MiB",
    "lines in the head of a reply": str(LIMITS.header_lines),
    "one line of it": f"{LIMITS.header_bytes} bytes",
    "address of a game": f"{MAX_GAME_URL} characters",
    "connections of one process": str(LIMITS.connections),
    "connections of one process to one host": str(LIMITS.connections_per_host),
    "what retries add": f"{Retries().budget_percent} %",
    "retries that a quiet time saves up": str(LIMITS.retries.saved),
    "calls looked at": f"{RULES.window_s} s",
    "parts of the window, forgotten one by one": str(SLOTS),
    "fewest calls that say anything": str(RULES.min_calls),
    "opens when so many failed": f"{RULES.failure_percent} %",
    "a call is slow from": f"{RULES.slow_s:g} s",
    "opens when so many failed or were slow": f"{RULES.slow_percent} %",
    "stays open the first time": f"{RULES.open_s} s",
    "twice as long each time after, at most": f"{RULES.open_cap_s} s",
    "probes until it closes, of all processes together": str(RULES.probes),
    "a probe that says nothing has failed after": f"{RULES.probe_lease_s} s",
    "processes report and look every": f"{LOOK_S:g} s",
}


def test_every_number_is_that_of_the_code() -> None:
    assert BOUNDS == EXPECTED


def test_every_setting_that_is_named_exists() -> None:
    named = [cells[2].strip("`") for cells in ROWS if len(cells) == 3 and cells[2].startswith("`")]
    assert len(named) == 11
    for name in named:
        section, key = name.split(".")
        assert hasattr(getattr(Config(), section), key), name


def test_every_word_of_a_fault_has_a_row() -> None:
    words = {word.strip("`") for word in FAULTS}
    assert {word for word in words if not word.startswith("status_")} == TRANSPORT | UNREACHED | OF_REPLIES
    assert words >= PASSING_FAULTS


@pytest.mark.parametrize("word", sorted(FAULTS))
def test_what_is_said_of_a_fault_is_so(word: str) -> None:
    _, becomes, shown, again, counts = FAULTS[word]
    reason = shown.strip("`")
    refused, unknown = LaunchRefused(reason), LaunchUnknown(reason)
    assert becomes == ("refused" if reason in UNREACHED else "unknown")
    assert (counts == "yes") == _has_failed(refused if becomes == "refused" else unknown)
    came: Reply | str = reason
    if reason.startswith("status_"):
        came = Reply(int(reason.removeprefix("status_")), b"", ())
    elif reason in OF_REPLIES:
        came = Reply(200, b"", ())
    assert (again == "yes") == may_pass(came)


def test_the_statuses_that_may_pass_are_all_named() -> None:
    row = " ".join(cells[0] for cells in ROWS if len(cells) == 5 and cells[3] == "yes")
    assert all(str(status) in row for status in PASSING_STATUSES)
