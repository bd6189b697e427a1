"""What commands print of texts that others wrote: nothing in them steers a terminal or breaks a table."""

from __future__ import annotations

import pytest

from croupier.cli.output import Output
from croupier.cli.settings import Settings

EVIL = "Dice\x1b]0;owned\x07\x1b[2J\x9b31m\tx\ny\x7f"


def test_a_title_that_a_provider_wrote_stays_in_its_cell(capsys: pytest.CaptureFixture[str]) -> None:
    Output(Settings()).table(("game", "title"), [("dice", EVIL)])
    shown = capsys.readouterr().out
    assert shown == "game\ttitle\ndice\tDice\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\x09x\\x0ay\\x7f\n"


def test_a_line_keeps_its_breaks_and_nothing_that_steers(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(Settings())
    output.say(EVIL)
    output.facts([("answer", EVIL)])
    output.note(EVIL)
    output.complain(EVIL)
    told = capsys.readouterr()
    for shown in (told.out, told.err):
        assert shown.count("\\x1b[2J\\x9b31m") == 2
        assert not {"\x1b", "\x9b", "\x07", "\x7f"} & set(shown)
        assert "x\ny" in shown
