"""`croupier flags` on a real database: what it prints, refuses, and how it ends (J1)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flag_desk import let_go_live, set_flag
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.governance.flags.halt import take_turn
from croupier.governance.flags.history import Cause
from croupier.governance.flags.rules import Target
from croupier.runtime.config.starter import write_starter
from croupier.runtime.database import connect_app

SUCCESSOR = """
[[providers]]
id = "sandbox_v2"
base_url = "http://127.0.0.1:8702"
replaces = "sandbox"

[[contracts]]
provider = "sandbox_v2"
from = 2025-01-01
share_bps = 1000
"""
NEW = ("--provider", "sandbox_v2")
WHY = ("--reason", "ticket 1")
Run = Callable[..., Awaitable[Any]]


@pytest.fixture
async def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a starter's folder with a second account, while somebody guards rollouts."""
    path = write_starter(tmp_path).config_path
    with path.open("a") as file:
        file.write(SUCCESSOR)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROUPIER_DATABASE_URL", database_url)
    await guard(database_url)
    await let_go_live(database_url, "sandbox_v2")

    async def invoke(*arguments: str) -> Any:
        # A command runs an event loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), catch_exceptions=False)

    return invoke


async def guard(url: str) -> None:
    connection = await connect_app(url)
    try:
        await take_turn(connection, datetime.now(UTC), 5)
    finally:
        await connection.close()


async def done(run: Run, *arguments: str) -> str:
    """What a command that succeeds says."""
    ended = await run(*arguments)
    assert ended.exit_code == 0, ended.output
    return str(ended.stdout)


async def refusal(run: Run, *arguments: str) -> str:
    """What a command that fails complains of."""
    ended = await run(*arguments)
    assert ended.exit_code == 1, ended.output
    return str(ended.stderr)


async def test_without_rules_the_list_shows_every_flag_with_its_default(run: Run) -> None:
    assert (await done(run, "flags", "list")).splitlines() == [
        "flag\tprovider\tgame group\tgame\tjurisdiction\ton for\tversion\tsince",
        "launch\t*\t*\t*\t*\ton\t\tby default",
        "rollout\t*\t*\t*\t*\toff\t\tby default",
    ]


async def test_a_rollout_from_nothing_to_all_and_back(run: Run) -> None:
    said = [
        await done(run, "flags", "set", "rollout", value, *NEW, *WHY) for value in ("5%", "5", "25%", "on")
    ]
    said += [await done(run, "flags", "rollback", "rollout", *NEW, *WHY) for _ in range(3)]
    about = "rollout provider=sandbox_v2: "
    assert [one.strip().removeprefix(about) for one in said] == [
        "default → 5% (version 1)",
        "5% (it was so already)",
        "5% → 25% (version 2)",
        "25% → on (version 3)",
        "on → 25% (version 4)",
        "25% → 5% (version 5)",
        "5% → default (version 6)",
    ]
    assert "no change of it is in effect" in await refusal(run, "flags", "rollback", "rollout", *NEW, *WHY)
    lines = (await done(run, "flags", "history", "rollout", *NEW)).splitlines()[1:]
    assert [line.split("\t")[2:5] for line in lines[:4]] == [
        ["5% → default", "6", "rollback"],
        ["25% → 5%", "5", "rollback"],
        ["on → 25%", "4", "rollback"],
        ["25% → on", "3", "manual"],
    ]
    assert all(line.split("\t")[6] == "ticket 1" for line in lines)
    audited = (await done(run, "audit", "list")).splitlines()
    assert sum("\tflag." in line for line in audited) == 6


async def test_documents_say_the_same_to_machines(run: Run) -> None:
    target = ("--game", "dice", "--jurisdiction", "MT", "--group", "default")
    changed = json.loads(await done(run, "flags", "set", "launch", "off", *target, *WHY, "--json"))
    assert changed["schema"] == {"name": "croupier.flags.change", "version": 1}
    rule = changed["rule"]
    assert (changed["was_bps"], changed["changed"], rule["share_bps"], rule["version"]) == (None, True, 0, 1)
    assert [rule[name] for name in ("flag", "provider", "game_group", "game", "jurisdiction")] == [
        "launch",
        None,
        "default",
        "dice",
        "MT",
    ]
    listed = json.loads(await done(run, "flags", "list", "--json"))
    assert listed["rules"] == [rule]
    assert [(one["flag"], one["default"]) for one in listed["flags"]] == [
        ("launch", True),
        ("rollout", False),
    ]
    (line,) = json.loads(await done(run, "flags", "history", "--json"))["changes"]
    assert (line["cause"], line["from_bps"], line["to_bps"], line["undoes"]) == ("manual", None, 0, None)
    await done(run, "flags", "set", "launch", "default", *target, *WHY)
    assert json.loads(await done(run, "flags", "list", "--json"))["rules"] == []


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("lunch", "off"), "no flag is called 'lunch'; did you mean \"launch\"?"),
        (("zzz", "off"), "known: launch, rollout"),
        (("launch", "off", "--provider", "sandbx"), 'did you mean "sandbox"?'),
        (("launch", "off", "--game", "dise"), 'did you mean "dice"?'),
        (("launch", "off", "--group", "crsh"), 'did you mean "crash"?'),
        (("rollout", "5"), "a rollout is of one account: --provider, known: sandbox_v2"),
        (("rollout", "5", "--provider", "sandbox"), "sandbox takes over from nobody"),
    ],
)
async def test_what_does_not_exist_is_refused_with_what_does(
    run: Run, arguments: tuple[str, ...], what: str
) -> None:
    assert what in await refusal(run, "flags", "set", *arguments, *WHY)
    assert (await done(run, "flags", "history")).count("\n") == 1, "nothing was changed"


@pytest.mark.parametrize("arguments", [("101", *WHY), ("maybe", *WHY), ("off", "--reason", " "), ("off",)])
async def test_a_share_that_is_none_and_a_missing_reason_are_mistakes_of_use(
    run: Run, arguments: tuple[str, ...]
) -> None:
    assert (await run("flags", "set", "launch", *arguments)).exit_code == 2


async def test_a_games_group_and_a_successors_games_can_be_named(run: Run) -> None:
    await done(run, "flags", "set", "rollout", "1", *NEW, "--group", "crash", "--game", "crash", *WHY)
    assert "rollout\tsandbox_v2\tcrash\tcrash\t*\t1%" in await done(run, "flags", "list")


async def test_the_version_that_was_looked_at_may_be_asked_for(run: Run) -> None:
    await done(run, "flags", "set", "rollout", "5", *NEW, *WHY, "--version", "0")
    await done(run, "flags", "set", "rollout", "off", *NEW, *WHY)
    assert "somebody was faster" in await refusal(
        run, "flags", "set", "rollout", "10", *NEW, *WHY, "--version", "1"
    )


async def test_after_a_halt_only_a_person_who_says_so_raises_it(run: Run, database_url: str) -> None:
    target = Target(flag="rollout", provider="sandbox_v2")
    await done(run, "flags", "set", "rollout", "5", *NEW, *WHY)
    await set_flag(
        database_url, target, 0, actor="guard", cause=Cause.GUARD, reason="open breaks: 1, allowed 0"
    )
    refused = await refusal(run, "flags", "rollback", "rollout", *NEW, *WHY)
    assert "went from 5% to off (guard: open breaks: 1, allowed 0)" in refused
    await done(run, "flags", "set", "rollout", "5", *NEW, "--reason", "repaired, ticket 2")


async def test_no_players_go_to_an_account_that_lacks_something(run: Run, database_url: str) -> None:
    connection = await connect_app(database_url)
    await connection.execute("UPDATE flag_turn SET due_at = now() - interval '2 minutes'")
    await connection.close()
    refused = await refusal(run, "flags", "set", "rollout", "5", *NEW, *WHY)
    assert "sandbox_v2 may not take players yet: no background process guards rollouts" in refused
    await done(run, "flags", "set", "rollout", "off", *NEW, *WHY)
