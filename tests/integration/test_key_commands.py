"""`croupier keys` and `croupier audit` on a real database: what they print, refuse, and how they end."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from casino import tampering
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.runtime.config.starter import write_starter

SECRET = "sixteen-bytes-or-more"
PUBLISH = ("keys", "publish", "sandbox", "out-2", "--secret", "env:NEW_KEY", "--direction", "outbound")
Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a starter's folder on the test's database."""
    write_starter(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROUPIER_DATABASE_URL", database_url)
    monkeypatch.setenv("NEW_KEY", SECRET)

    async def invoke(*arguments: str) -> Any:
        # A command runs an event loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), catch_exceptions=False)

    return invoke


async def test_the_list_tells_of_keys_that_nobody_has_adopted_yet(run: Run) -> None:
    ended = await run("keys", "list")
    assert ended.exit_code == 0
    assert "adopted when `croupier serve` starts: sandbox-in-1, sandbox-out-1" in ended.stdout


async def test_a_publication_says_what_changed_and_what_comes_next(run: Run) -> None:
    ended = await run(*PUBLISH, "--reason", "rotation")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.splitlines() == [
        "out-2: new → published",
        "our calls are still signed with the key before out-2",
        "next: when sandbox accepts it, promote it",
    ]
    listed = json.loads((await run("keys", "list", "--json")).stdout)["keys"]
    (key,) = [one for one in listed if one["key_id"] == "out-2"]
    assert (key["state"], key["secret"], key["overdue"], key["error_rate"]) == (
        "published",
        "env:NEW_KEY",
        False,
        None,
    )
    assert SECRET not in json.dumps(listed)


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"sandbox": "nobody"}, "no provider is called 'nobody'; configured: sandbox"),
        ({"out-2": "sandbox-out-1"}, "is current already"),
        ({"out-2": "operator"}, "the configuration file has another key operator"),
        ({"env:NEW_KEY": "env:NOT_SET"}, "NOT_SET is not set"),
        ({"env:NEW_KEY": SECRET}, "never the value itself"),
        ({"out-2": "spaces are wrong"}, "a key id is"),
    ],
)
async def test_a_publication_that_cannot_be_is_refused_in_words(
    run: Run, changed: dict[str, str], what: str
) -> None:
    ended = await run(*(changed.get(one, one) for one in PUBLISH), "--reason", "rotation")
    assert ended.exit_code == 1
    assert what in ended.stderr.replace("\n", " ")
    assert SECRET not in ended.output
    assert (await run("audit", "list", "--action", "key.published")).stdout.count("\n") == 1


async def test_a_forced_revocation_of_the_only_key_says_what_follows(run: Run) -> None:
    refused = await run("keys", "revoke", "sandbox-in-1", "--reason", "leaked")
    assert refused.exit_code == 1
    assert "is the current one" in refused.stderr
    ended = await run("keys", "revoke", "sandbox-in-1", "--force", "--reason", "leaked")
    assert ended.exit_code == 0
    assert "sandbox has no key left that verifies: every call is refused with 401" in ended.stdout
    (record,) = json.loads((await run("audit", "list", "--action", "key.revoked", "--json")).stdout)[
        "records"
    ]
    assert record["reason"] == "leaked (forced)"
    assert record["actor"].startswith("cli:")
    assert (record["details"]["before"], record["details"]["after"]) == ("current", "revoked")


@pytest.mark.parametrize(
    "arguments",
    [
        PUBLISH,
        (*PUBLISH, "--reason", " "),
        ("keys", "promote", "sandbox-in-1"),
        ("keys", "revoke", "sandbox-in-1", "--force"),
        ("keys", "revoke", "sandbox-in-1", "--reason", "why", "--unused-for", "soon"),
        ("audit", "verify", "--head", "nonsense"),
    ],
)
async def test_a_change_without_reason_and_nonsense_are_wrong_usage(
    run: Run, arguments: tuple[str, ...]
) -> None:
    ended = await run(*arguments)
    assert ended.exit_code == 2, ended.output


async def test_a_broken_chain_ends_with_exit_code_3(run: Run, database_url: str) -> None:
    await run(*PUBLISH, "--reason", "rotation")
    whole = json.loads((await run("audit", "verify", "--json")).stdout)
    assert (whole["whole"], whole["records"], whole["faults"]) == (True, 3, [])
    assert (await run("audit", "verify", "--head", whole["head"])).exit_code == 0
    async with tampering(database_url) as tamperer:
        await tamperer.execute("UPDATE audit_record SET actor = 'nobody' WHERE seq = 3")
    broken = await run("audit", "verify")
    assert broken.exit_code == 3
    assert "BROKEN  record 3: its content does not fit its hash (key.published key:out-2)" in broken.stdout
    document = json.loads((await run("audit", "verify", "--json")).stdout)
    assert document["whole"] is False
