"""`croupier inbox replay` as it is typed: plan, run, documents, exit codes, Ctrl-C, kill -9 and resume."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from casino import ALICE, open_casino, tampering
from lane_desk import require_sound_books
from msgspec import Struct
from replay_desk import START
from stored_webhooks import Mailbox, jackpot, until_not
from typer.testing import CliRunner

from croupier.cli.inbox_replay import parse_moment
from croupier.cli.main import app
from croupier.runtime.database import connect_app
from model import calls

CONFIG: Final = """
environment = "test"
[[providers]]
id = "acme"
base_url = "http://127.0.0.1:1"
keys = [
    { id = "acme-1", secret = "env:NOBODY_SET_THIS", direction = "inbound" },
    { id = "acme-2", secret = "env:NOBODY_SET_THIS", direction = "outbound" },
]
[[contracts]]
provider = "acme"
from = 2025-01-01
share_bps = 1000
jackpot_source = "operator"
jackpot_pool = "mega"
"""
WINDOW: Final = ("--from", START.isoformat(), "--to", (START + timedelta(hours=1)).isoformat())
RUN: Final = ("replay", *WINDOW, "--reason", "drill", "--yes")
COUNT: Final = 60


class Shell(Struct, frozen=True):
    """A shell in the folder of a deployment whose inbox holds sixty jackpots."""

    folder: Path
    url: str

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "croupier.cli.main", "inbox", *arguments],
            cwd=self.folder,
            env={**os.environ, "CROUPIER_DATABASE_URL": self.url},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[subprocess.Popen[str]]:
        """A command that runs on, ended with the block."""
        process = self.start(*arguments)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                await finish(process)

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and complaints of a command in a process of its own."""
        async with self.running(*arguments) as process:
            return await finish(process)

    async def ask(self, *arguments: str) -> tuple[int, Any]:
        """Exit code and JSON document of a command that only reads or marks, in this process."""
        typed = ["--config", str(self.folder / "croupier.toml"), "inbox", *arguments, "--json"]
        env = {"CROUPIER_DATABASE_URL": self.url}
        result = await asyncio.to_thread(CliRunner().invoke, app, typed, env=env)
        return result.exit_code, json.loads(result.stdout)

    async def progress(self) -> int:
        """How many deliveries the only replay has done; minus one before it begins."""
        connection = await connect_app(self.url)
        try:
            done = await connection.fetchval("SELECT (progress ->> 'done')::int FROM inbox_replay")
            return -1 if done is None else int(done)
        finally:
            await connection.close()


async def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    said, complaints = await asyncio.to_thread(process.communicate, timeout=60)
    return process.returncode, said, complaints


@pytest.fixture
async def shell(database_url: str, tmp_path: Path) -> AsyncIterator[Shell]:
    (tmp_path / "croupier.toml").write_text(CONFIG)
    async with open_casino(database_url) as casino:
        await casino.put(calls.deposit("d1", 100, player_id=ALICE))
        session = await casino.open(ALICE)
        mail = Mailbox(database_url, START)
        await mail.store(
            *(
                mail.make("jackpot.won", jackpot(session, ALICE, f"j{number}", 1, round_id=f"r{number}"))
                for number in range(COUNT)
            )
        )
    yield Shell(tmp_path, database_url)
    await require_sound_books(database_url)


async def test_a_plan_is_a_document(shell: Shell) -> None:
    code, said, _ = await shell.run("replay", *WINDOW, "--provider", "acme", "--plan", "--json")
    document = json.loads(said)
    assert code == 0
    assert document["schema"] == {"name": "croupier.inbox.replay.plan", "version": 1}
    assert document["deliveries"] == COUNT
    assert document["effects"]["money"] == {"EUR": {"credits": "60", "debits": "0", "net": "60"}}
    assert await shell.progress() == -1


async def test_a_run_tells_its_plan_and_its_proof(shell: Shell) -> None:
    code, said, complaints = await shell.run("replay", *WINDOW, "--reason", "drill", "--yes", "--check")
    assert code == 0, complaints
    assert "60\twould have an effect" in said
    assert "60 effects applied, 60 planned" in said
    assert "I1 over the whole ledger: held" in said
    assert said.endswith("the proof holds\n")
    code, said, _ = await shell.run("replay", *WINDOW, "--reason", "drill", "--yes")
    assert code == 0
    assert "nothing moved: the digest before and after is" in said
    code, document = await shell.ask("replays")
    assert [one["proven"] for one in document["replays"]] == [True, True]
    code, document = await shell.ask("replay", "--show", document["replays"][0]["replay"])
    assert (code, document["state"], document["reason"]) == (0, "finished", "drill")
    assert document["proof"]["ledger"]["unchanged"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "say --from and --to"),
        (("--from", "2h"), "say --from and --to"),
        ((*WINDOW, "--resume", "rpl_" + "0" * 32), "or one of"),
        ((*WINDOW, "--yes"), "--reason is empty"),
        ((*WINDOW, "--yes", "--reason", " "), "--reason is empty"),
        (("--from", "now", "--to", "1h"), "nothing lies between"),
        (("--from", "yesterday", "--to", "now"), "a time is written like"),
        ((*WINDOW, "--result", "lost"), "no result is called"),
        (("--cancel", "rpl_1", "--reason", "x"), "not an id of this kind"),
    ],
)
def test_what_is_typed_wrong_is_told(arguments: tuple[str, ...], complaint: str) -> None:
    result = CliRunner().invoke(app, ["inbox", "replay", *arguments])
    assert result.exit_code == 2
    assert complaint in " ".join(result.stderr.replace("│", " ").split())


async def test_what_cannot_be_done_is_told(shell: Shell) -> None:
    code, _, complaints = await shell.run("replay", *WINDOW, "--reason", "drill")
    assert code == 1
    assert "nobody can answer here: say --yes" in complaints
    code, _, complaints = await shell.run(
        "replay", *WINDOW, "--player", "nobody", "--reason", "drill", "--yes"
    )
    assert code == 1
    assert "there is nothing to replay" in complaints
    code, document = await shell.ask("replay", "--show", "rpl_" + "0" * 32)
    assert code == 1
    assert "no replay has the id" in document["error"]
    assert await shell.progress() == -1


async def test_ctrl_c_stops_a_replay_that_can_be_resumed(shell: Shell) -> None:
    async with shell.running(*RUN, "--rate", "4", "--json") as process:
        await _until_begun(shell)
        process.send_signal(signal.SIGINT)
        code, said, complaints = await finish(process)
    assert code == 1, complaints
    stopped = json.loads(said)
    assert stopped["state"] == "cancelled"
    assert 0 < stopped["done"] < COUNT
    code, said, _ = await shell.run("replay", "--resume", stopped["replay"], "--reason", "go on", "--json")
    document = json.loads(said)
    assert (code, document["results"], document["proof"]["held"]) == (0, {"applied": COUNT}, True)


async def test_another_shell_cancels_a_replay(shell: Shell) -> None:
    async with shell.running(*RUN, "--rate", "4", "--json") as process:
        await _until_begun(shell)
        _, listed = await shell.ask("replays")
        (running,) = listed["replays"]
        assert running["state"] == "running"
        code, told = await shell.ask("replay", "--cancel", running["replay"], "--reason", "wrong window")
        assert (code, told["state"]) == (0, "cancelled")
        code, said, complaints = await finish(process)
    assert (code, json.loads(said)["state"]) == (1, "cancelled"), complaints


async def test_a_replay_that_was_killed_is_resumed_and_counts_nothing_twice(shell: Shell) -> None:
    async with shell.running(*RUN, "--rate", "4") as process:
        await _until_begun(shell)
        process.kill()
        await finish(process)
    _, listed = await shell.ask("replays")
    (killed,) = listed["replays"]
    assert killed["state"] == "running"
    async with tampering(shell.url) as owner:
        await owner.execute("UPDATE inbox_replay SET runner_until = now() + interval '1 hour'")
    resuming = ("replay", "--resume", killed["replay"], "--reason", "go on")
    code, _, complaints = await shell.run(*resuming)
    assert code == 1
    assert "it can be resumed after" in complaints
    async with tampering(shell.url) as owner:
        await owner.execute("UPDATE inbox_replay SET runner_until = now()")
    code, said, complaints = await shell.run(*resuming, "--check", "--json")
    assert code == 0, complaints
    document = json.loads(said)
    assert document["results"] == {"applied": COUNT}
    assert document["proof"]["effects"]["equal"]
    assert document["proof"]["effects"]["applied"]["money"]["EUR"]["net"] == str(COUNT)


async def test_a_broken_proof_is_exit_code_3(shell: Shell) -> None:
    async with shell.running(*RUN, "--rate", "20") as process:
        await _until_begun(shell)
        async with tampering(shell.url) as owner:
            await owner.execute("UPDATE journal_entry SET details = '{}' WHERE kind = 'deposit'")
        code, said, complaints = await finish(process)
    assert code == 3, complaints
    assert said.endswith("THE PROOF IS BROKEN\n")


async def _until_begun(shell: Shell) -> None:
    async def has_not_begun() -> bool:
        return await shell.progress() <= 0

    await until_not(has_not_begun)


def test_a_moment_is_read_as_it_is_typed() -> None:
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert parse_moment("now", now) == now
    assert parse_moment("90m", now) == now - timedelta(minutes=90)
    assert parse_moment("2026-03-01T13:00+01:00", now) == now
    for text in ("noon", "2026-03-01T12:00", "90", "m"):
        with pytest.raises(typer.BadParameter):
            parse_moment(text, now)
