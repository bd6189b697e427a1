"""`croupier stuck` answers on one screen: where is money, where are sessions, which provider calls fail (G1)."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from lane_desk import IDS, require_sound_books
from timer_stage import Stage, open_stage
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.ids import SESSION, render_id
from croupier.providers.breakers.machine import open_by_hand
from croupier.providers.breakers.store import Act, Endpoint, change_breaker
from model.calls import NOW, close_session


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with open_stage(database_url) as opened:
        yield opened


async def run(stage: Stage, *arguments: str) -> str:
    """What the command prints; it ends well whatever it finds."""
    result = await asyncio.to_thread(
        CliRunner().invoke,
        app,
        list(arguments),
        env={"CROUPIER_DATABASE_URL": stage.url},
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    return result.stdout


async def read(stage: Stage, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(await run(stage, "--json", "stuck", *arguments))
    return document


async def test_nothing_is_stuck_where_nothing_is(stage: Stage) -> None:
    found = await read(stage)
    assert found["schema"] == {"name": "croupier.stuck", "version": 1}
    assert found["money"] == {"open_rounds": [], "pending_settlement": [], "breaks": [], "webhooks": []}
    assert found["sessions"] == {"states": [], "overdue": [], "without_timer": 0}
    assert found["provider_calls"] == {"unknown_count": 0, "unknown": [], "breakers": []}
    text = await run(stage, "stuck")
    assert text.count("none") == 8
    for question in ("Where is money stuck?", "Where are sessions stuck?", "Which provider calls fail?"):
        assert question in text


async def test_what_is_stuck_is_told_with_owner_age_and_money(stage: Stage) -> None:
    waiting, idle = await stage.active("alice"), await stage.active("bob")
    await stage.created("carol")
    await stage.desk.ask(waiting.call(close_session(waiting.session_id, "alice")))
    stage.now = NOW + timedelta(days=1)
    assert await stage.timers().turn() == 3
    async with stage.pool.acquire() as connection:
        act = Act(ids=IDS, now=stage.now, actor="cli:ann", reason="maintenance")
        await change_breaker(
            connection, Endpoint("acme", "launch"), lambda one: open_by_hand(one, stage.now), act
        )
    found = await read(stage)
    money, sessions, calls = found["money"], found["sessions"], found["provider_calls"]
    assert money["open_rounds"] == [
        {
            "provider": "acme",
            "asset": "EUR",
            "rounds": 2,
            "staked": "2",
            "oldest_at": "2026-03-01T12:00:00.000Z",
        }
    ]
    (pending,) = money["pending_settlement"]
    assert (pending["sessions"], pending["clearing"], pending["overdue"]) == (2, "2", 2)
    (found_break,) = money["breaks"]
    assert (found_break["kind"], found_break["owner"], found_break["amount"]) == (
        "settlement_overdue",
        "finance",
        "1",
    )
    (state,) = sessions["states"]
    assert (state["state"], state["owner"], state["action"]) == ("pending_settlement", "finance", "reconcile")
    assert (state["sessions"], state["overdue"], sessions["without_timer"]) == (2, 2, 0)
    assert {one["session_id"] for one in sessions["overdue"]} == {
        render_id(SESSION, seat.session_id) for seat in (waiting, idle)
    }
    assert [(one["provider"], one["state"], one["is_held"]) for one in calls["breakers"]] == [
        ("acme", "open", True)
    ]
    text = await run(stage, "stuck")
    for part in ("settlement_overdue", "0.01 EUR", "held open", "reconcile", "finance"):
        assert part in text
    await require_sound_books(stage.url)


async def test_limits_bound_what_is_shown_and_not_what_is_counted(stage: Stage) -> None:
    for number in range(3):
        await stage.active(f"player-{number}")
    await stage.pool.execute("UPDATE session_timer SET due_at = $1", NOW)
    found = (await read(stage, "--limit", "2"))["sessions"]
    assert (len(found["overdue"]), found["states"][0]["overdue"]) == (2, 3)
    assert (await read(stage, "--older-than", "31536000"))["money"]["open_rounds"] == []


async def test_a_session_without_a_due_time_is_shouted_about(stage: Stage) -> None:
    await stage.created("alice")
    await stage.pool.execute("DELETE FROM session_timer")
    assert (await read(stage))["sessions"]["without_timer"] == 1
    assert "have no due time" in await run(stage, "stuck")
