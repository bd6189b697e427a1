"""docs/reference/provider-protocol.md against the code: every example, limit and code on it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from provider_edge import KEY, Studio

from croupier.errors import CATALOGUE
from croupier.moneypath import outcomes
from croupier.providers.adapters.croupier_v1 import wire
from croupier.providers.adapters.croupier_v1.adapter import OPERATIONS
from croupier.providers.arrival import BodyLimits
from croupier.providers.strict_json import DEFAULT_LIMITS
from croupier.providers.wire_schemas import schema_folder
from croupier_signing import WEBHOOK_WINDOW_S, parse_authorization, sign_webhook, verify_native

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "provider-protocol.md").read_text()
FIXTURES = [
    json.loads(path.read_text()) for path in schema_folder("croupier_v1").parent.glob("fixtures/*.json")
]

WEBHOOKS = {
    "round.completed": wire.RoundCompletedData,
    "round.rolled_back": wire.RoundRolledBackData,
    "jackpot.won": wire.JackpotWonData,
    "session.closed": wire.SessionClosedData,
    "statement.ready": wire.StatementReadyData,
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)\n```", PAGE, re.DOTALL)


def test_every_example_is_a_recorded_one() -> None:
    recorded = [
        fixture[side]["body"] for fixture in FIXTURES for side in ("request", "reply") if side in fixture
    ]
    shown = [json.loads(block) for block in blocks("json")]
    assert len(shown) > 15
    assert [example for example in shown if example not in recorded] == []


async def test_complete_request_is_signed_right_and_gets_the_reply_shown() -> None:
    request, reply = blocks("http")
    head, _, body = request.partition("\n\n")
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:])
    parts = parse_authorization(headers["Authorization"])
    path = head.split()[1]
    verify_native(
        parts,
        key=KEY,
        method="POST",
        path=path.encode(),
        query=b"",
        body=body.encode(),
        now_s=parts.timestamp_s,
    )
    assert int(headers["Content-Length"]) == len(body)
    correlation = ("x-correlation-id", headers["X-Correlation-Id"])
    received = await Studio().answer(body.encode(), path=path, headers=[correlation])
    assert received.headers["x-correlation-id"] == correlation[1]
    assert received.json.keys() == json.loads(reply.partition("\n\n")[2]).keys()


def test_every_path_has_its_chapter() -> None:
    chapters = re.findall(r"^### `POST …(/[a-z-]+)`$", PAGE, re.MULTILINE)
    assert {f"/v1{path}".encode() for path in chapters} == set(OPERATIONS)


def test_every_code_on_the_page_exists_with_its_status_and_meaning() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (`[^|]+`) \| (\w+) \|", PAGE, re.MULTILINE)
    shown = {
        code: (int(status), moved) for status, codes, moved in rows for code in re.findall(r"`(\w+)`", codes)
    }
    assert len(shown) > 15
    for code, said in shown.items():
        assert said == (CATALOGUE[code].status, CATALOGUE[code].money_moved)


def test_every_outcome_code_is_named() -> None:
    codes = {
        outcomes.OK,
        outcomes.NOTHING_TO_ROLL_BACK,
        outcomes.ALREADY_ROLLED_BACK,
    } | outcomes.DECLINE_CODES
    assert [code for code in codes if f"`{code}`" not in PAGE] == []


def test_limits_on_the_page_are_those_of_the_code() -> None:
    limits = DEFAULT_LIMITS
    nesting = f"{limits.max_depth} levels, {limits.max_keys} members, {limits.max_string:_} characters"
    assert nesting.replace("_", " ") in PAGE
    assert f"at most {limits.max_number} characters" in PAGE
    assert f"at most {BodyLimits().max_bytes // 1024} KiB" in PAGE


def test_every_webhook_is_on_the_page_with_every_member() -> None:
    rows = dict(re.findall(r"^\| `(\w+\.\w+)` \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE))
    assert set(rows) == set(WEBHOOKS)
    for kind, wire_struct in WEBHOOKS.items():
        named = set(re.findall(r"`(\w+)`", rows[kind])) - {"jackpot"}
        members = {field.encode_name for field in msgspec.structs.fields(wire_struct)}
        assert named == members - {"reference"}


def test_the_window_and_the_ids_of_webhooks_on_the_page_are_those_of_the_signer() -> None:
    assert f"{WEBHOOK_WINDOW_S} seconds off at most" in PAGE
    sign_webhook(KEY, webhook_id="~" * 256, timestamp_s=1, body=b"")
    for webhook_id in ("~" * 257, "a b", "a.b", ""):
        with pytest.raises(ValueError, match="webhook id"):
            sign_webhook(KEY, webhook_id=webhook_id, timestamp_s=1, body=b"")
