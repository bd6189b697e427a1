"""The operator's self-exclusion check over real HTTP: signed, bounded, and no answer unless it plainly is one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from croupier.operator.exclusion import (
    ANSWER_BYTES,
    ExclusionCheck,
    ExclusionQuestion,
    ExclusionSettings,
)
from croupier.play.eligibility import Located, Standing, Unanswered
from croupier.runtime import geolocation
from croupier.runtime.geolocation import GeoFile, GeoUnusable
from croupier_signing import SigningKey, parse_authorization, verify_native

KEY = SigningKey("self-exclusion", bytes(range(32)))
QUESTION = ExclusionQuestion(player_id="alice", jurisdiction="DK", register="ROFUS", correlation_id="cor-1")
ANSWER = {"status": "clear", "player_id": "alice", "reference": "chk-1"}
TIMEOUT_S = 0.5


@asynccontextmanager
async def check_at(handler: Any) -> AsyncIterator[tuple[ExclusionCheck, list[str]]]:
    """A check on a free port of the loopback, and every other path that was asked for."""
    strayed: list[str] = []
    released = asyncio.Event()

    async def stray(request: web.Request) -> web.Response:
        strayed.append(request.path)
        return web.json_response(ANSWER)

    async def answer(request: web.Request) -> web.StreamResponse:
        found: web.StreamResponse = await handler(request, released)
        return found

    app = web.Application()
    app.router.add_post("/check", answer)
    app.router.add_route("*", "/{tail:.*}", stray)
    runner = web.AppRunner(app, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/check"
    check = ExclusionCheck(
        ExclusionSettings(url=url, key=KEY, timeout_s=TIMEOUT_S), lambda: datetime.now(UTC)
    )
    try:
        yield check, strayed
    finally:
        released.set()
        await check.close()
        await runner.cleanup()


async def test_a_question_is_signed_and_its_answer_understood() -> None:
    seen: list[Any] = []

    async def handler(request: web.Request, _: asyncio.Event) -> web.Response:
        body = await request.read()
        verify_native(
            parse_authorization(request.headers["Authorization"]),
            key=KEY,
            method="POST",
            path=b"/check",
            query=b"",
            body=body,
            now_s=int(datetime.now(UTC).timestamp()),
        )
        seen.append((json.loads(body), request.headers["X-Correlation-Id"]))
        return web.json_response(ANSWER | {"age": 31, "more": "than is read"})

    async with check_at(handler) as (check, _):
        assert await check.ask(QUESTION) == Standing(is_excluded=False, reference="chk-1", age=31)
    asked = {"player_id": "alice", "jurisdiction": "DK", "register": "ROFUS", "correlation_id": "cor-1"}
    assert seen == [(asked, "cor-1")]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (ANSWER | {"status": "excluded"}, Standing(is_excluded=True, reference="chk-1")),
        (ANSWER | {"age": 0}, Standing(is_excluded=False, reference="chk-1", age=0)),
        (ANSWER | {"status": "CLEAR"}, Unanswered("malformed")),
        (ANSWER | {"status": True}, Unanswered("malformed")),
        (ANSWER | {"age": "31"}, Unanswered("malformed")),
        (ANSWER | {"age": 151}, Unanswered("malformed")),
        (ANSWER | {"reference": ""}, Unanswered("malformed")),
        (ANSWER | {"reference": "r" * 129}, Unanswered("malformed")),
        (ANSWER | {"player_id": "bob"}, Unanswered("other_player")),
        ({"status": "clear", "player_id": "alice"}, Unanswered("malformed")),
        ([ANSWER], Unanswered("malformed")),
        (b"", Unanswered("malformed")),
        (b"<html>", Unanswered("malformed")),
        (b'{"status": "clear", "pla', Unanswered("malformed")),
        (b'{"status": "clear", "player_id": "\xff"}', Unanswered("malformed")),
        (b" " * (ANSWER_BYTES + 1), Unanswered("too_long")),
        (json.dumps(ANSWER).encode().ljust(ANSWER_BYTES), Standing(is_excluded=False, reference="chk-1")),
    ],
)
async def test_only_what_is_plainly_an_answer_is_one(body: Any, answer: Standing | Unanswered) -> None:
    async def handler(_: web.Request, __: asyncio.Event) -> web.Response:
        return web.Response(body=body if isinstance(body, bytes) else json.dumps(body).encode())

    async with check_at(handler) as (check, _):
        assert await check.ask(QUESTION) == answer


@pytest.mark.parametrize("status", [201, 204, 302, 307, 400, 404, 500, 503])
async def test_no_other_status_lets_anybody_in_and_no_redirect_is_followed(status: int) -> None:
    async def handler(_: web.Request, __: asyncio.Event) -> web.Response:
        return web.json_response(ANSWER, status=status, headers={"Location": "/elsewhere"})

    async with check_at(handler) as (check, strayed):
        assert await check.ask(QUESTION) == Unanswered(f"status_{status}")
    assert not strayed


async def test_silence_a_trickle_and_a_closed_connection_are_no_answers() -> None:
    async def silent(_: web.Request, released: asyncio.Event) -> web.Response:
        await released.wait()
        return web.Response()

    async def trickling(request: web.Request, released: asyncio.Event) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for byte in json.dumps(ANSWER).encode():
            if released.is_set() or request.transport is None:
                break
            await response.write(bytes([byte]))
            await asyncio.sleep(0.05)
        return response

    async def closing(request: web.Request, _: asyncio.Event) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    for handler, why in ((silent, "timeout"), (trickling, "timeout"), (closing, "broken_reply")):
        async with check_at(handler) as (check, _):
            assert await check.ask(QUESTION) == Unanswered(why)


async def test_nobody_there_is_no_answer() -> None:
    settings = ExclusionSettings(url="http://127.0.0.1:1/check", key=KEY, timeout_s=TIMEOUT_S)
    check = ExclusionCheck(settings, lambda: datetime.now(UTC))
    assert await check.ask(QUESTION) == Unanswered("unreachable")
    await check.close()


def write_places(path: Path, places: dict[str, dict[str, Any]]) -> None:
    """A location database of these networks."""
    writer = MMDBWriter(4, "Test-City", languages=["en"])
    for network, found in places.items():
        writer.insert_network(IPSet([network]), found)
    writer.to_db_file(str(path))


JERSEY = {"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "NJ"}]}


def test_addresses_are_found_with_country_and_subdivision(tmp_path: Path) -> None:
    path = tmp_path / "places.mmdb"
    write_places(
        path,
        {
            "203.0.113.0/25": JERSEY,
            "203.0.113.128/25": {"country": {"iso_code": "MT"}},
            "198.51.100.0/24": {"country": {"geoname_id": 1}, "subdivisions": [{"names": {}}]},
        },
    )
    places = GeoFile(path)
    assert places.locate("203.0.113.127") == Located("US", ("NJ",))
    assert places.locate("203.0.113.128") == Located("MT")
    assert places.locate("198.51.100.1") == Located(None)
    assert places.locate("127.0.0.1") == Located(None)
    assert places.locate("2001:db8::1") == Located(None), "a database of IPv4 knows no IPv6"
    places.close()


def test_a_database_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    with pytest.raises(GeoUnusable, match="cannot be read"):
        GeoFile(tmp_path / "nothing.mmdb")
    (tmp_path / "text.mmdb").write_text("not a database")
    with pytest.raises(GeoUnusable, match="not a MaxMind DB file"):
        GeoFile(tmp_path / "text.mmdb")


def test_a_newer_database_is_taken_and_a_broken_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geolocation, "LOOK_EVERY_S", 0.0)
    path = tmp_path / "places.mmdb"
    write_places(path, {"203.0.113.0/24": JERSEY})
    places = GeoFile(path)
    newer = tmp_path / "newer.mmdb"
    write_places(newer, {"203.0.113.0/24": {"country": {"iso_code": "MT"}}})
    newer.replace(path)
    assert places.locate("203.0.113.1") == Located("MT")
    path.write_text("half a download")
    assert places.locate("203.0.113.1") == Located("MT")
    path.unlink()
    assert places.locate("203.0.113.1") == Located("MT")
    places.close()
