"""`croupier session replay`: history alone gives the stored state (I5); what was tampered with is named."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest
from casino import Casino, open_casino, play_everything, play_generated, tampering
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.ids import SESSION, render_id
from croupier.runtime.database import connect_app
from croupier.settlement.audit import ReplayReport, replay_sessions
from croupier.settlement.audit import replay as replay_module
from model import calls


async def replay(url: str, session_id: UUID | None = None) -> ReplayReport:
    """The report of a connection with the application's rights."""
    connection = await connect_app(url)
    try:
        return await replay_sessions(connection, session_id)
    finally:
        await connection.close()


async def run_command(url: str, *arguments: str) -> tuple[int, Any]:
    """Exit code and JSON document of a command."""
    result = await asyncio.to_thread(
        CliRunner().invoke, app, [*arguments, "--json"], env={"CROUPIER_DATABASE_URL": url}
    )
    assert result.stdout, result.output
    return result.exit_code, json.loads(result.stdout)


async def tamper(url: str, statement: str, *arguments: Any) -> None:
    """Change what nobody may change; fails when nothing changed."""
    async with tampering(url) as connection:
        assert not (await connection.execute(statement, *arguments)).endswith(" 0"), "nothing was changed"


@pytest.fixture
async def sessions(database_url: str) -> dict[str, UUID]:
    """The sessions of a casino in which everything happened."""
    async with open_casino(database_url) as casino:
        return await play_everything(casino)


async def test_everything_that_can_happen_replays_to_the_stored_state(
    database_url: str, sessions: dict[str, UUID]
) -> None:
    report = await replay(database_url)
    assert report.differences == ()
    assert report.is_held
    assert report.sessions == len(sessions)
    assert report.rounds == 8
    assert report.events > 30


@pytest.mark.parametrize("seed", [4, 5, 6])
async def test_generated_play_replays_to_the_stored_state(database_url: str, seed: int) -> None:
    async with open_casino(database_url) as casino:
        await play_generated(casino, seed, rounds=20)
    report = await replay(database_url)
    assert report.differences == ()
    assert report.sessions == 8
    assert report.events > 100


async def test_replay_compares_in_chunks_of_bounded_size(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_module, "CHUNK", 2)
    monkeypatch.setattr(replay_module, "PREFETCH", 3)
    async with open_casino(database_url) as casino:
        await asyncio.gather(*(casino.open(f"guest-{number}") for number in range(5)))
    report = await replay(database_url)
    assert (report.sessions, report.events, report.differences) == (5, 10, ())


async def test_one_session_is_replayed_alone(database_url: str, sessions: dict[str, UUID]) -> None:
    await tamper(database_url, "UPDATE session SET won = won + 1 WHERE id = $1", sessions["active"])
    healthy = await replay(database_url, sessions["settled"])
    assert (healthy.sessions, healthy.differences) == (1, ())
    assert not (await replay(database_url, sessions["active"])).is_held


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE session SET staked = staked + 7 WHERE id = $1", "staked is stored as"),
        (
            "UPDATE session SET state = 'active' WHERE id = $1",
            "state is stored as active, history says settled",
        ),
        ("UPDATE session SET last_activity_at = now() WHERE id = $1", "last_activity_at is stored as"),
        ("UPDATE session SET launch_url = 'https://evil.example/' WHERE id = $1", "launch_url is stored as"),
        ("DELETE FROM session WHERE id = $1", "has a history, but is not stored"),
        (
            "UPDATE round SET won = 5 WHERE session_id = $1 AND provider_round_id = 'r2'",
            "round r2: won is stored as 5, history says 0",
        ),
        (
            "UPDATE round SET state = 'open' WHERE session_id = $1 AND provider_round_id = 'r6'",
            "round r6: state is stored as open, history says settled",
        ),
        (
            """UPDATE round SET outcome = '{"a": [2], "b": 1.5}' WHERE session_id = $1 AND outcome <> 'null'""",
            "round r1: outcome is stored as",
        ),
        (
            "DELETE FROM round WHERE session_id = $1 AND provider_round_id = 'r7'",
            "round r7 is in the history, but not stored",
        ),
        (
            "UPDATE round SET provider_round_id = 'r99' WHERE session_id = $1 AND provider_round_id = 'r7'",
            "round r99 is stored, but not in the history",
        ),
        (
            "UPDATE session_event SET details = jsonb_set(details, '{staked}', '\"999\"') "
            "WHERE session_id = $1 AND details ->> 'reference' = 'b1'",
            "staked is stored as",
        ),
        (
            "DELETE FROM session_event WHERE session_id = $1 AND seq = 2",
            "its history breaks off: event 3 does not follow created at 1",
        ),
        (
            "UPDATE session_event SET to_state = 'failed' WHERE session_id = $1 AND seq = 3",
            "its history breaks off: event 4 does not follow failed at 3",
        ),
        (
            "UPDATE session_event SET details = '{}' WHERE session_id = $1 AND seq = 4",
            "its history breaks off: event 4 cannot be read (KeyError: 'code')",
        ),
        ("DELETE FROM session_event WHERE session_id = $1", "is stored, but no event tells of it"),
    ],
)
async def test_what_was_tampered_with_is_named(
    database_url: str, sessions: dict[str, UUID], statement: str, expected: str
) -> None:
    name = render_id(SESSION, sessions["settled"])
    await tamper(database_url, statement, sessions["settled"])
    report = await replay(database_url)
    assert any(expected in difference for difference in report.differences), report.differences
    assert all(difference.startswith(f"session {name}: ") for difference in report.differences)
    assert report.count >= len(report.differences) > 0


async def test_the_same_outcome_in_another_notation_is_no_difference(
    database_url: str, sessions: dict[str, UUID]
) -> None:
    await tamper(
        database_url,
        """UPDATE round SET outcome = '{"b": 1.5, "a": [1e0]}' WHERE session_id = $1 AND outcome <> 'null'""",
        sessions["settled"],
    )
    assert (await replay(database_url)).is_held


async def test_differences_are_counted_beyond_those_shown(database_url: str) -> None:
    async with open_casino(database_url) as casino:
        await asyncio.gather(*(casino.open(f"guest-{number}") for number in range(25)))
    await tamper(database_url, "UPDATE session SET staked = 1")
    report = await replay(database_url)
    assert (report.count, len(report.differences)) == (25, 20)
    await tamper(database_url, "DELETE FROM session_event")
    report = await replay(database_url)
    assert (report.count, len(report.differences), report.sessions) == (25, 20, 25)


async def test_the_command_exits_with_3_when_history_and_state_differ(
    database_url: str, sessions: dict[str, UUID]
) -> None:
    assert (await run_command(database_url, "session", "replay", "--all"))[0] == 0
    name = render_id(SESSION, sessions["settled"])
    await tamper(database_url, "UPDATE session SET won = won + 1 WHERE id = $1", sessions["settled"])
    exit_code, document = await run_command(database_url, "session", "replay", "--all")
    assert exit_code == 3
    assert document["held"] is False
    assert document["report"]["differences"][0].startswith(f"session {name}: won is stored as")
    assert (await run_command(database_url, "session", "replay", name))[0] == 3
    assert (await run_command(database_url, "session", "replay", "b30"))[0] == 0


async def test_sessions_and_rounds_are_found_by_any_id(database_url: str, sessions: dict[str, UUID]) -> None:
    name = render_id(SESSION, sessions["settled"])
    _, shown = await run_command(database_url, "session", "show", name)
    (session,) = shown["sessions"]
    assert session["state"] == "settled"
    assert session["staked"] == "200"
    (r1,) = [one for one in session["rounds"] if one["provider_round_id"] == "r1"]
    _, journal = await run_command(database_url, "ledger", "journal", "--reference", "b1")
    (entry,) = journal["entries"]
    assert sum(int(posting["amount"]) for posting in entry["postings"]) == 0
    assert len(entry["postings"]) == 4
    for text in ("w1", "rb-b1", "r3", r1["id"], entry["id"]):
        exit_code, found = await run_command(database_url, "session", "show", text)
        assert exit_code == 0, text
        assert [one["id"] for one in found["sessions"]] == [name], text
    _, rounds = await run_command(database_url, "round", "show", r1["id"])
    (round_,) = rounds["rounds"]
    assert round_["outcome"] == {"a": [1], "b": 1.5}
    assert [event["cause"] for event in round_["events"]][:3] == ["bet", "win", "close_round"]
    _, rounds = await run_command(database_url, "round", "show", "r1")
    assert len(rounds["rounds"]) == 4, "several sessions have a round of this name"
    exit_code, document = await run_command(database_url, "session", "timeline", "r1")
    assert exit_code == 1
    assert "several sessions" in document["error"]


async def test_lists_timelines_and_balances_tell_what_is_stored(
    database_url: str, sessions: dict[str, UUID]
) -> None:
    _, document = await run_command(database_url, "session", "list", "--player", "bob", "--limit", "2")
    assert [one["state"] for one in document["sessions"]] == ["cancelled", "settled"]
    last = document["sessions"][-1]["id"]
    _, document = await run_command(database_url, "session", "list", "--player", "bob", "--before", last)
    assert [one["state"] for one in document["sessions"]] == ["active"]
    name = render_id(SESSION, sessions["settled"])
    _, document = await run_command(database_url, "session", "timeline", name, "--after", "2", "--limit", "2")
    assert [(one["seq"], one["cause"]) for one in document["events"]] == [(3, "bet"), (4, "win")]
    _, document = await run_command(database_url, "ledger", "balance", "bob")
    kinds = {one["kind"]: int(one["amount"]) for one in document["accounts"]}
    assert kinds["player_wallet"] == 0
    assert kinds["player_receivable"] == -300
    _, document = await run_command(database_url, "ledger", "balance")
    assert sum(int(total) for total in document["assets"]["EUR"].values()) == 0


async def test_people_get_columns(database_url: str, sessions: dict[str, UUID]) -> None:
    name = render_id(SESSION, sessions["settled"])
    for arguments, expected in (
        (["session", "show", name], "staked          2.00 EUR"),
        (["session", "list"], "settled"),
        (["session", "timeline", name], "launched → active"),
        (["round", "show", "r3"], "live bets  0 of 1"),
        (["ledger", "balance", "bob"], "player_receivable\t\t-3.00 EUR"),
        (["ledger", "journal", "--player", "bob"], "operator_cash"),
        (["session", "replay", name], "history equals state"),
    ):
        result = await asyncio.to_thread(
            CliRunner().invoke, app, arguments, env={"CROUPIER_DATABASE_URL": database_url}
        )
        assert result.exit_code == 0, result.output
        assert expected in result.stdout, result.stdout


async def test_unknown_ids_are_failures_in_words(database_url: str) -> None:
    for arguments in (
        ("session", "show", "ses_" + "0" * 32),
        ("session", "show", "nothing"),
        ("session", "timeline", "ses_" + "0" * 32),
        ("session", "replay", "ses_" + "0" * 32),
        ("round", "show", "nothing"),
    ):
        exit_code, document = await run_command(database_url, *arguments)
        assert exit_code == 1
        assert "is known" in document["error"]


async def test_one_call_of_two_actions_is_told_as_two_events(database_url: str) -> None:
    async with open_casino(database_url) as casino:
        session = await put_bet_and_win(casino)
    _, document = await run_command(database_url, "session", "timeline", render_id(SESSION, session))
    assert [event["cause"] for event in document["events"]] == ["created", "launch_confirmed", "bet", "win"]


async def put_bet_and_win(casino: Casino) -> UUID:
    """A session with one atomic call."""
    session = await casino.open("guest")
    own = {"session_id": session, "player_id": "guest"}
    await casino.put(calls.deposit("d", 100, player_id="guest"))
    await casino.put(calls.bet("b", 10, **own), calls.win("w", 20, **own))
    return session
