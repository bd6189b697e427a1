"""Unknown launches are rows with a deadline and an owner (C4): resolved by a repeat or by expiry, never doubled."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from lane_desk import read_rows, require_sound_books
from operator_house import OPENING, PLAYER, House, open_house, session_uuid
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.ids import UNKNOWN, render_id
from croupier.play.timeouts import DEFAULT_POLICY
from croupier.runtime.database import connect_owner
from croupier.runtime.timers.clock import ClockGuard
from croupier.runtime.timers.work import TimerParts, Timers
from croupier.telemetry.session_metrics import SessionMetrics
from model.calls import bet, win

UNKNOWNS = "SELECT * FROM croupier.unknown_outcome ORDER BY id"
FIVE_MINUTES = timedelta(minutes=5)


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with open_house(database_url, deadline_s=0.3) as opened:
        yield opened
    await require_sound_books(database_url)


async def stuck(url: str, *arguments: str) -> dict[str, Any]:
    """What `croupier stuck --json` says."""
    environment = {"CROUPIER_DATABASE_URL": url}
    typed = ["--json", "stuck", *arguments]
    result = await asyncio.to_thread(CliRunner().invoke, app, typed, env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def timers_at(house: House, later: timedelta) -> Timers:
    """Timers whose clock is ahead."""
    parts = TimerParts(
        pool=house.pool,
        submit=house.lanes.submit,
        ids=house.ids,
        policy=DEFAULT_POLICY,
        metrics=SessionMetrics("test", CollectorRegistry()),
        now=lambda: datetime.now(UTC) + later,
        guard=ClockGuard(skew_s=10**9, settle_s=0),
    )
    return Timers(parts)


async def lose_a_launch(house: House, how: str = "hang") -> dict[str, Any]:
    """A session of whose launch nobody knows what came."""
    house.studio.script.append(how)
    answer = await house.post("/v1/sessions", OPENING, key="one")
    session: dict[str, Any] = answer.json()
    assert (answer.status_code, session["state"], session["launch_url"]) == (201, "created", None)
    return session


@pytest.mark.parametrize("how", ["hang", "drop", "garbage"])
async def test_a_launch_without_an_answer_is_a_row_with_deadline_and_owner(
    house: House, database_url: str, how: str
) -> None:
    session = await lose_a_launch(house, how)
    (row,) = await read_rows(database_url, UNKNOWNS)
    assert (row["kind"], row["provider"], row["session_id"]) == ("launch", "studio", session_uuid(session))
    assert (row["owner"], row["attempts"], row["resolved_at"]) == ("platform", 1, None)
    assert row["reason"] == house.launches[0].reason
    opened_at = datetime.fromisoformat(session["opened_at"])
    assert row["deadline"] == opened_at + FIVE_MINUTES
    timeline = (await house.get(f"/v1/sessions/{session['session_id']}/timeline")).json()["events"]
    assert [event["cause"] for event in timeline] == ["created", "launch_unknown"]
    assert timeline[1]["code"] == row["reason"]


async def test_it_is_shown_as_stuck_and_cancelled_at_its_deadline(house: House, database_url: str) -> None:
    session = await lose_a_launch(house)
    (row,) = await read_rows(database_url, UNKNOWNS)
    calls = (await stuck(database_url))["provider_calls"]
    assert calls["unknown_count"] == 1
    (shown,) = calls["unknown"]
    assert (shown["id"], shown["session_id"]) == (render_id(UNKNOWN, row["id"]), session["session_id"])
    assert (shown["owner"], shown["provider"], shown["attempts"]) == ("platform", "studio", 1)
    assert await timers_at(house, FIVE_MINUTES - timedelta(seconds=10)).work_batch() == 0
    assert await timers_at(house, FIVE_MINUTES).work_batch() == 1
    after = (await house.get(f"/v1/sessions/{session['session_id']}")).json()
    assert after["state"] == "cancelled"
    (row,) = await read_rows(database_url, UNKNOWNS)
    assert row["resolution"] == "cancelled by closed (timeout:created)"
    assert (await stuck(database_url))["provider_calls"]["unknown_count"] == 0
    again = await house.post("/v1/sessions", OPENING, key="one")
    assert (again.status_code, again.json()["state"]) == (201, "cancelled"), "nothing is launched any more"
    assert len(house.studio.seen) == 1
    await house.deposit("d-1", 100)
    ours = {"session_id": session_uuid(session), "player_id": PLAYER}
    ((placed,), (paid,)) = (
        await house.provider_call(bet("b-1", 10, **ours)),
        await house.provider_call(win("w-1", 7, **ours)),
    )
    assert (placed.code, paid.code) == ("session_not_active", "ok"), "debits are refused, credits are paid"


async def test_a_repeat_before_the_deadline_launches_the_same_session(
    house: House, database_url: str
) -> None:
    session = await lose_a_launch(house)
    house.studio.script.append("drop")
    assert (await house.post("/v1/sessions", OPENING, key="one")).json()["state"] == "created"
    (row,) = await read_rows(database_url, UNKNOWNS)
    assert (row["attempts"], row["resolved_at"]) == (2, None)
    answer = await house.post("/v1/sessions", OPENING, key="one")
    assert answer.json()["state"] == "launched"
    assert answer.json()["session_id"] == session["session_id"]
    assert {seen["session_id"] for seen in house.studio.seen} == {session["session_id"]}
    (row,) = await read_rows(database_url, UNKNOWNS)
    assert row["resolution"] == "launched by launch_confirmed"
    assert await timers_at(house, FIVE_MINUTES).work_batch() == 0, "it has the time of a launched session"


async def test_the_first_money_call_answers_it(house: House, database_url: str) -> None:
    session = await lose_a_launch(house)
    await house.deposit("d-1", 100)
    await house.provider_call(bet("b-1", 10, session_id=session_uuid(session), player_id=PLAYER))
    (row,) = await read_rows(database_url, UNKNOWNS)
    assert row["resolution"] == "active by bet"


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("DELETE FROM croupier.unknown_outcome", "append-only"),
        ("UPDATE croupier.unknown_outcome SET resolved_at = NULL, resolution = NULL", "was resolved"),
    ],
)
async def test_what_was_unknown_is_kept_and_stays_resolved(
    house: House, database_url: str, statement: str, error: str
) -> None:
    await lose_a_launch(house)
    await timers_at(house, FIVE_MINUTES).work_batch()
    connection = await connect_owner(database_url)
    try:
        with pytest.raises(asyncpg.PostgresError, match=error):
            await connection.execute(statement)
    finally:
        await connection.close()
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await house.pool.execute("UPDATE unknown_outcome SET deadline = since")
