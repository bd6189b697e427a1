"""`croupier provider cutover` and `sign-off` on a real database: nothing goes live unchecked or unsigned (J4)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from flag_desk import keep
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.governance.cutover import Step
from croupier.governance.flags.halt import take_turn
from croupier.providers.shadow.candidates import render_digest
from croupier.providers.shadow.store import Comparison, insert_tally
from croupier.providers.shadow.tally import Tally
from croupier.runtime.config.starter import write_starter
from croupier.runtime.database import connect_app, connect_owner
from croupier.runtime.going_live import adapter_digest
from croupier_signing import hash_api_key

NEW = "acme_v2"
ROLES = ("finance", "support", "operator")
WHY = ("--reason", "ticket 1")
ACCOUNTS = """
[[providers]]
id = "acme"
adapter = "croupier_v1"

[[providers]]
id = "acme_v2"
adapter = "ADAPTER"
replaces = "acme"
base_url = "http://127.0.0.1:8702/acme"

[[shadows]]
provider = "acme"
adapter = "softswiss_v2"
at_least = 3

[[contracts]]
provider = "acme"
from = 2025-01-01
share_bps = 1000

[[contracts]]
provider = "acme_v2"
from = 2025-01-01
share_bps = 1000
"""
KEY = """
[[api_keys]]
id = "the-{role}"
role = "{role}"
token_hash = "{token_hash}"
"""
Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def adapter() -> str:
    return "softswiss_v2"


@pytest.fixture
async def run(database_url: str, adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder whose account `acme_v2` takes over from `acme`, while somebody guards rollouts."""
    path = write_starter(tmp_path).config_path
    with path.open("a") as file:
        file.write(ACCOUNTS.replace("ADAPTER", adapter))
        for role in ROLES:
            file.write(KEY.format(role=role, token_hash=hash_api_key(f"token-of-the-{role}")))
            monkeypatch.setenv(f"TOKEN_{role.upper()}", f"token-of-the-{role}")
    if adapter == "croupier_v1":
        path.write_text(path.read_text().replace('adapter = "softswiss_v2"', 'adapter = "hub88_v1"'))
    monkeypatch.setenv("TOKEN_STRANGER", "token-of-a-stranger")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CROUPIER_DATABASE_URL", database_url)
    connection = await connect_app(database_url)
    await take_turn(connection, datetime.now(UTC), 3600)
    await connection.close()

    async def invoke(*arguments: str) -> Any:
        # A command runs an event loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, app, list(arguments), catch_exceptions=False)

    return invoke


async def checks(run: Run, code: int = 1) -> dict[str, list[str]]:
    """What is missing, by check."""
    ended = await run("--json", "provider", "cutover", NEW)
    assert ended.exit_code == code, ended.output
    document = json.loads(ended.stdout)
    assert document["is_ready"] is (code == 0)
    return {one["name"]: one["missing"] for one in document["checks"]}


async def sign(run: Run, role: str, *more: str) -> Any:
    """What a key of this role is told that signs."""
    return await run("provider", "sign-off", NEW, "--token", f"env:TOKEN_{role.upper()}", *WHY, *more)


async def read_along(url: str, *, same: int, different: int = 0, digest: str | None = None) -> None:
    """A shadow that compared so many calls."""
    tally = Tally()
    for _ in range(same):
        tally.counts[datetime.now(UTC).date(), "same"] += 1
    for _ in range(different):
        tally.counts[datetime.now(UTC).date(), "different"] += 1
    found = digest or render_digest("softswiss_v2", "croupier_v1")
    connection = await connect_app(url)
    await insert_tally(connection, Comparison("acme", "softswiss_v2", found), tally, datetime.now(UTC))
    await connection.close()


async def test_everything_is_missing_until_it_is_there(run: Run, database_url: str) -> None:
    missing = await checks(run)
    assert {name for name, what in missing.items() if what} == {"contract suite", "shadow", "signatures"}
    assert len(missing["signatures"]) == 2
    refused = await run("flags", "set", "rollout", "1%", "--provider", NEW, *WHY)
    assert refused.exit_code == 1
    for what in (
        "contract suite of softswiss_v2 is not recorded",
        "0 calls were compared",
        "finance has not",
    ):
        assert what in refused.stderr
    await keep(database_url, "softswiss_v2", Step.CONTRACT_SUITE, digest=adapter_digest("softswiss_v2"))
    await read_along(database_url, same=3)
    assert (await sign(run, "finance")).exit_code == 0
    assert (await checks(run))["signatures"] == [
        'support has not signed off: `croupier provider sign-off acme_v2 --token … --reason "…"` with a key of '
        "that role"
    ]
    assert (await sign(run, "support")).exit_code == 0
    assert not any((await checks(run, code=0)).values())
    raised = await run("flags", "set", "rollout", "1%", "--provider", NEW, *WHY)
    assert raised.exit_code == 0, raised.output


async def test_whoever_takes_their_word_back_stops_the_next_step(run: Run) -> None:
    await sign(run, "finance")
    await sign(run, "support")
    assert (await checks(run))["signatures"] == []
    said = await sign(run, "support", "--withdraw")
    assert "support takes its word back" in said.stdout
    (missing,) = (await checks(run))["signatures"]
    assert missing.startswith("support has taken its word back")
    await sign(run, "support")
    assert (await checks(run))["signatures"] == []
    audited = await run("audit", "list")
    lines = [line for line in audited.stdout.splitlines() if "cutover." in line]
    assert len(lines) == 4
    assert all("key:the-" in line and "ticket 1" in line for line in lines)


async def test_records_of_other_code_do_not_count(run: Run, database_url: str) -> None:
    await keep(database_url, "softswiss_v2", Step.CONTRACT_SUITE, digest="0" * 16)
    await keep(database_url, NEW, Step.FINANCE, digest="0" * 16)
    await read_along(database_url, same=3, digest="0" * 16)
    missing = await checks(run)
    assert [len(missing[name]) for name in ("contract suite", "shadow", "signatures")] == [1, 1, 2]


async def test_a_failed_suite_and_a_shadow_that_differs_say_so(run: Run, database_url: str) -> None:
    digest = adapter_digest("softswiss_v2")
    await keep(database_url, "softswiss_v2", Step.CONTRACT_SUITE, digest=digest)
    await keep(database_url, "softswiss_v2", Step.CONTRACT_SUITE, digest=digest, is_good=False)
    await read_along(database_url, same=2, different=1)
    missing = await checks(run)
    assert "the contract suite of softswiss_v2 failed" in missing["contract suite"][0]
    assert "1 calls came out differently" in missing["shadow"][0]


@pytest.mark.parametrize("adapter", ["croupier_v1"])
async def test_nothing_is_compared_where_both_speak_by_the_same_adapter(run: Run) -> None:
    assert (await checks(run))["shadow"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("provider", "cutover", "acme"), "takes over from another"),
        (("provider", "cutover", "acme_v3"), 'did you mean "acme_v2"?'),
        (
            ("provider", "sign-off", NEW, "--token", "env:TOKEN_OPERATOR", *WHY),
            "finance or support must sign",
        ),
        (
            ("provider", "sign-off", NEW, "--token", "env:TOKEN_STRANGER", *WHY),
            "no API key of the configuration",
        ),
        (("provider", "sign-off", NEW, "--token", "env:NOWHERE", *WHY), "the token cannot be read"),
    ],
)
async def test_who_may_not_sign_is_told_why(run: Run, arguments: tuple[str, ...], said: str) -> None:
    ended = await run(*arguments)
    assert ended.exit_code == 1
    assert said in ended.stderr


async def test_no_record_is_ever_changed(run: Run, database_url: str) -> None:
    await sign(run, "finance")
    connection = await connect_owner(database_url)
    try:
        for statement in ("UPDATE cutover_record SET is_good = false", "DELETE FROM cutover_record"):
            with pytest.raises(asyncpg.PostgresError, match="append-only"):
                await connection.execute(statement)
    finally:
        await connection.close()
