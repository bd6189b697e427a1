"""`croupier provider shadow`: what it prints and refuses; and the sections of shadows that are refused (J2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.providers.shadow.candidates import render_digest
from croupier.providers.shadow.compare import Difference
from croupier.providers.shadow.store import Comparison, insert_tally
from croupier.providers.shadow.tally import Tally, Tried
from croupier.providers.shadow.trial import Result, Trial
from croupier.runtime.config.starter import CONFIG_NAME, write_starter
from croupier.runtime.database import connect_app

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BEEXAR = '\n[[providers]]\nid = "beexar"\nadapter = "softswiss_v2"\n'
SHADOW = '\n[[shadows]]\nprovider = "beexar"\nadapter = "softswiss_v3"\nat_least = 3\n'
COMPARISON = Comparison("beexar", "softswiss_v3", render_digest("softswiss_v3", "softswiss_v2"))
WINS = Difference("actions[win].amount", "number", "number ×100", "100", "10000")
Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a starter's folder that has a shadow, on the test's database."""
    write_starter(tmp_path)
    with (tmp_path / CONFIG_NAME).open("a") as file:
        file.write(BEEXAR + SHADOW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROUPIER_DATABASE_URL", database_url)

    async def invoke(*arguments: str) -> Any:
        # A command runs an event loop of its own.
        return await asyncio.to_thread(
            CliRunner().invoke, app, ["provider", "shadow", *arguments], catch_exceptions=False
        )

    return invoke


async def write(url: str, *trials: Trial, dropped: int = 0) -> None:
    """What a shadow process would have written."""
    tally = Tally()
    for number, trial in enumerate(trials):
        tally.note(
            Tried(
                operation="betwin", correlation_id=f"c-{number}", at=NOW, request='{"x":"***"}', trial=trial
            )
        )
    tally.note_dropped(dropped, NOW)
    connection = await connect_app(url)
    try:
        await insert_tally(connection, COMPARISON, tally, NOW)
    finally:
        await connection.close()


async def test_differences_are_told_in_groups_with_an_example_and_the_verdict(
    run: Run, database_url: str
) -> None:
    await write(database_url, Trial(Result.SAME), *[Trial(Result.DIFFERENT, (WINS,))] * 5, dropped=2)
    shown = (await run("beexar")).stdout
    assert "beexar: softswiss_v3 reads along with softswiss_v2" in shown
    assert "betwin\tactions[win].amount\tnumber\tnumber ×100\t5\t2026-03-01T12:00:00.000Z" in shown
    assert 'betwin\tactions[win].amount\t100\t10000\tc-1\t{"x":"***"}' in shown
    assert "verdict: not green: 5 calls came out differently" in shown
    document = json.loads((await run("beexar", "--json")).stdout)
    assert document["schema"] == {"name": "croupier.provider.shadow", "version": 1}
    assert document["compared"] == 6
    assert document["counts"]["dropped"] == 2
    assert [one["day"] for one in document["days"]] == ["2026-03-01"]
    (difference,) = document["differences"]
    assert (difference["count"], len(difference["examples"])) == (5, 3)
    assert document["verdict"]["is_green"] is False


async def test_three_equal_calls_are_green_when_three_are_asked_for(run: Run, database_url: str) -> None:
    await write(database_url, *[Trial(Result.SAME)] * 2)
    assert "verdict: not green: 2 calls were compared, 3 are needed" in (await run("beexar")).stdout
    await write(database_url, Trial(Result.SAME))
    ended = await run("beexar")
    assert ended.exit_code == 0
    assert "verdict: green" in ended.stdout


async def test_nothing_compared_yet_is_no_error_and_not_green(run: Run) -> None:
    ended = await run("beexar", "--json")
    assert ended.exit_code == 0
    document = json.loads(ended.stdout)
    assert (document["compared"], document["since"], document["differences"]) == (0, None, [])
    assert (await run("beexar", "--adapter", "hub88_v1")).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("beexra",), "no provider account is called 'beexra'; did you mean"),
        (("sandbox",), "nothing reads along with sandbox; add [[shadows]]"),
        (("beexar", "--adapter", "softswis_v3"), "no candidate is called 'softswis_v3'; did you mean"),
    ],
)
async def test_what_cannot_be_shown_is_said_with_what_to_do(
    run: Run, arguments: tuple[str, ...], said: str
) -> None:
    ended = await asyncio.to_thread(
        CliRunner().invoke, app, ["provider", "shadow", *arguments], catch_exceptions=True
    )
    assert ended.exit_code == 1
    assert said in str(ended.exception or "") + ended.output
