"""`croupier sandbox webhook`: one webhook by hand, taken, taken again, turned away, and never sent."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from native_gateway import KEY, NativeGateway, native_gateway
from typer.testing import CliRunner

from croupier.cli.main import app

DATA = '{"session_id":"ses_1",  "player_id":"p-1","occurred_at":"2026-01-31T12:00:00Z"}'


@pytest.fixture
async def gateway() -> AsyncIterator[NativeGateway]:
    async with native_gateway() as gateway:
        yield gateway


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "sandbox-in-1.key"
    path.write_bytes(KEY.secret)
    path.chmod(0o600)
    return f"file:{path}"


async def send(gateway: NativeGateway, secret: str, *arguments: str, key: str = KEY.id) -> tuple[int, Any]:
    """Run the command: its exit code and document."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "croupier.cli.main", "--json", "sandbox", "webhook", *arguments),
        *("--gateway", gateway.address, "--key-id", key, "--secret", secret),
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, json.loads(output)


async def test_a_webhook_is_signed_and_its_data_sent_as_it_was_written(
    gateway: NativeGateway, secret: str
) -> None:
    code, document = await send(gateway, secret, "session.closed", "--data", DATA)
    assert (code, document["schema"]["name"]) == (0, "croupier.sandbox.webhook")
    assert [answer["status"] for answer in document["answers"]] == [202]
    body = gateway.deliveries[document["webhook_id"]]
    assert DATA.encode() in body
    assert json.loads(body)["timestamp"] == document["timestamp"]


async def test_the_same_id_data_and_timestamp_are_the_same_webhook_and_other_data_is_turned_away(
    gateway: NativeGateway, secret: str, tmp_path: Path
) -> None:
    file = tmp_path / "data.json"
    file.write_text(DATA)
    given = ("session.closed", "--id", "msg_by-hand", "--timestamp", "2026-01-31T12:00:00Z")
    code, document = await send(gateway, secret, *given, "--data", f"@{file}", "--duplicate", "2")
    assert (code, [answer["status"] for answer in document["answers"]]) == (0, [202] * 3)
    assert list(gateway.deliveries) == ["msg_by-hand"]
    code, document = await send(gateway, secret, *given, "--data", "{}")
    assert (code, [answer["status"] for answer in document["answers"]]) == (1, [409])


async def test_no_answer_is_said_and_fails(gateway: NativeGateway, secret: str) -> None:
    gateway.webhook_script.append("drop")
    code, document = await send(gateway, secret, "round.exploded")
    assert (code, document["answers"][0]["status"]) == (1, None)
    assert document["answers"][0]["why"] == "connection"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--data", "[]"), "JSON object"),
        (("--data", "{"), "not JSON"),
        (("--data", "@/nowhere"), "cannot be read"),
        (("--id", "with.stop"), "webhook id"),
    ],
)
def test_what_cannot_be_sent_is_a_usage_error(
    secret: str, arguments: tuple[str, ...], complaint: str
) -> None:
    base = ["sandbox", "webhook", "round.exploded", "--key-id", KEY.id, "--secret", secret]
    result = CliRunner().invoke(app, [*base, "--gateway", "http://127.0.0.1:1", *arguments])
    assert result.exit_code == 2
    assert complaint in result.output.replace("\n", " ")


def test_people_read_the_answer(secret: str) -> None:
    base = ["sandbox", "webhook", "round.exploded", "--key-id", KEY.id, "--secret", secret]
    result = CliRunner().invoke(app, [*base, "--id", "msg_1", "--gateway", "http://127.0.0.1:1"])
    assert result.exit_code == 1
    assert "webhook-id msg_1" in result.output
    assert "no answer: connection" in result.output
