"""Webhooks at a real worker: bad HTTP, storms, bounds, two processes, kills, a database that goes away (E1-E4)."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from webhook_desk import fetch, kept
from webhook_site import (
    RawLine,
    Told,
    WebhookSite,
    completed,
    end,
    raw_line,
    render_head,
    studio_of,
    tally,
    webhook_site,
)
from wire_proxy import WireProxy

from croupier.bench.site import resident_bytes

WaitUntil = Callable[..., Awaitable[None]]
ENDLESS = 1_000_000


@pytest.fixture
async def site(tmp_path: Path, database_url: str) -> AsyncIterator[WebhookSite]:
    """One worker whose bounds are small."""
    async with webhook_site(tmp_path, database_url, limits_body_bytes=4096, limits_body_timeout_s=1) as made:
        yield made


async def refusals_of(url: str, count: int, wait_until: WaitUntil) -> list[Any]:
    """The refusals that were kept, once there are so many."""
    found: list[Any] = []

    async def are_there() -> bool:
        found[:] = await fetch(url, "SELECT * FROM refused_delivery ORDER BY id")
        return len(found) >= count

    await wait_until(are_there)
    return found


async def exchange(line: RawLine, site: WebhookSite, body: bytes, **changes: str) -> tuple[int, Any]:
    """One whole webhook on a line; its status and document."""
    headers = site.headers(body, "d-raw", **changes) | {"content-length": str(len(body))}
    line.send(render_head(headers) + b"\r\n\r\n" + body)
    status, _, answer = await line.answer()
    return status, json.loads(answer)


async def test_a_webhook_is_durable_before_it_is_answered(site: WebhookSite, database_url: str) -> None:
    async with studio_of(site) as studio:
        first = await studio.post("d-1")
        assert (first.status, first.word) == (202, "accepted")
        again = await studio.post("d-1")
        assert (again.status, again.document) == (202, first.document | {"status": "duplicate"})
        other = await studio.post("d-1", completed(2))
        assert (other.status, other.word) == (409, "delivery_id_reused")
    deliveries, queued = await kept(database_url)
    assert {f"dlv_{one.hex}" for one in deliveries} == {first.document["id"]}
    assert queued == deliveries


async def test_refusals_of_every_kind_can_be_looked_up(
    site: WebhookSite, database_url: str, wait_until: WaitUntil
) -> None:
    body = completed()
    async with studio_of(site) as studio:
        later = await studio.post("d-1", headers={"webhook-timestamp": "1"})
        unsigned = await studio.post("d-2", headers={"webhook-signature": ""})
        text = await studio.post("d-3", headers={"content-type": "text/plain"})
        junk = await studio.post("d-4", b"junk")
    assert [one.status for one in (later, unsigned, text, junk)] == [401, 401, 415, 400]
    rows = await refusals_of(database_url, 4, wait_until)
    found = {(row["delivery_id"], row["code"], row["reason"], row["body_bytes"]) for row in rows}
    assert found == {
        ("d-1", "unauthenticated", "mismatch", len(body)),
        ("d-2", "unauthenticated", "missing", len(body)),
        ("d-3", "unsupported_media_type", None, None),
        ("d-4", "malformed", None, 4),
    }
    assert await kept(database_url) == (set(), set())


async def test_a_lost_credit_becomes_work_for_finance_once(site: WebhookSite, database_url: str) -> None:
    data = json.loads(completed())["data"] | {"asset": "XXX", "amount": "700", "game_id": "dice"}
    del data["outcome"]
    body = json.dumps({"type": "jackpot.won", "timestamp": "2026-03-01T12:00:00Z", "data": data}).encode()
    async with studio_of(site) as studio:
        told = [await studio.post(f"d-{number}", body) for number in range(3)]
    assert [(one.status, one.word) for one in told] == [(422, "unknown_asset")] * 3
    (work,) = await fetch(database_url, "SELECT * FROM break_item")
    assert (work["owner"], work["provider"], work["player_id"]) == ("finance", "sandbox", "player-1")
    assert "700" in work["explanation"]


# Bad input, as bytes.


async def test_a_body_over_the_limit_ends_the_line(site: WebhookSite, database_url: str) -> None:
    body = completed(text="x" * 5000)
    async with raw_line(site) as line:
        assert (await exchange(line, site, body))[0] == 413
        assert await line.is_ended()
    assert await kept(database_url) == (set(), set())


async def test_chunks_without_end_are_cut_off_at_the_limit(site: WebhookSite) -> None:
    async with raw_line(site) as line:
        line.send(render_head(site.headers(b"", "d-1") | {"transfer-encoding": "chunked"}) + b"\r\n\r\n")
        sent = 0
        answering = asyncio.create_task(line.answer())
        while not answering.done() and sent < ENDLESS:
            line.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
            sent += 1024
            await asyncio.sleep(0)
        status, headers, _ = await answering
        assert (status, headers["connection"]) == (413, "close")
        assert await line.is_ended()


async def test_a_body_that_dribbles_in_is_given_up(site: WebhookSite) -> None:
    for framing, begun in (
        ({"content-length": "500"}, b"{"),
        ({"transfer-encoding": "chunked"}, b"1\r\n{\r\n"),
    ):
        async with raw_line(site) as line:
            line.send(render_head(site.headers(b"", "d-1") | framing) + b"\r\n\r\n" + begun)
            status, headers, answer = await line.answer()
            assert (status, json.loads(answer)["code"]) == (408, "request_timeout")
            assert headers["connection"] == "close"


async def test_a_declared_length_that_is_too_long_waits_and_one_too_short_is_two_requests(
    site: WebhookSite, database_url: str
) -> None:
    body = completed()
    async with raw_line(site) as line:
        headers = site.headers(body, "d-1") | {"content-length": str(len(body) + 1)}
        line.send(render_head(headers) + b"\r\n\r\n" + body)
        assert (await line.answer())[0] == 408
    async with raw_line(site) as line:
        headers = site.headers(body, "d-1") | {"content-length": str(len(body) - 1)}
        line.send(render_head(headers) + b"\r\n\r\n" + body)
        assert (await line.answer())[0] in (400, 401)
        assert await line.is_ended()
    assert await kept(database_url) == (set(), set())


async def test_two_lengths_that_disagree_are_no_request(site: WebhookSite, database_url: str) -> None:
    body = completed()
    async with raw_line(site) as line:
        head = render_head(site.headers(body, "d-1") | {"content-length": "5"})
        line.send(head + f"\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        assert (await line.answer())[0] == 400
    assert await kept(database_url) == (set(), set())


async def test_a_bomb_stays_packed(site: WebhookSite) -> None:
    bomb = gzip.compress(b"0" * 3_000_000)
    before = resident_bytes(site.workers[0].pid)
    async with raw_line(site) as line:
        assert (await exchange(line, site, bomb, **{"content-encoding": "gzip"}))[0] == 415
    async with raw_line(site) as line:
        status, document = await exchange(line, site, bomb)
        assert (status, document["code"]) == (400, "malformed")
    assert resident_bytes(site.workers[0].pid) - before < 10_000_000


async def test_signed_json_is_read_strictly(site: WebhookSite) -> None:
    odd = {
        b'"a":1,"a":2': "data.a",
        b'"a":' + b"[" * 100 + b"]" * 100: "$",
        b'"a":1e309': "data.a",
        b'"a":' + b"7" * 2000: "data.a",
    }
    async with raw_line(site) as line:
        for part, field in odd.items():
            body = b'{"type":"round.completed","timestamp":"2026-03-01T12:00:00Z","data":{' + part + b"}}"
            status, document = await exchange(line, site, body)
            assert (status, document["code"], document["field"]) == (400, "malformed", field)
        assert (await exchange(line, site, completed()))[0] == 202, "the line goes on"


async def test_an_id_and_a_time_altered_after_signing_are_found(site: WebhookSite) -> None:
    async with raw_line(site) as line:
        for name, value in (("webhook-id", "d-other"), ("webhook-timestamp", "1772366400")):
            status, document = await exchange(line, site, completed(), **{name: value})
            assert (status, document["reason"]) == (401, "mismatch")


# Storms.


async def test_a_burst_gets_room_or_a_wait_and_every_202_is_there(tmp_path: Path, database_url: str) -> None:
    """3,000 at once where 16 may be stored and 500 may wait: only 202, 429 and 503, and memory stays flat (E4, I9)."""
    async with webhook_site(
        tmp_path, database_url, inbox_accepting=16, inbox_backlog=500, inbox_backlog_total=600
    ) as site:
        async with studio_of(site, connections=400) as studio:
            await studio.post("warm")
            before = resident_bytes(site.workers[0].pid)
            told = await asyncio.gather(
                *(studio.post(f"d-{number}", completed(number)) for number in range(3_000))
            )
            grown = resident_bytes(site.workers[0].pid) - before
            assert await studio.get("/healthz") == (200, "ok")
        by_status = Counter(one.status for one in told)
        assert set(by_status) <= {202, 429, 503}
        assert by_status[503] > 0
        for one in told:
            assert one.status == 202 or 1 <= int(one.headers["Retry-After"]) <= 300
        deliveries, _ = await kept(database_url)
        assert len(deliveries) == by_status[202] + 1 <= 500 + 16
        assert grown < 30_000_000
        assert await fetch(database_url, "SELECT FROM refused_delivery") == [], "a wait is no refusal"


async def test_a_provider_with_a_backlog_is_told_how_long_it_takes(
    tmp_path: Path, database_url: str, wait_until: WaitUntil
) -> None:
    measured = """
        INSERT INTO inbox_level (bucket, provider, depth, waiting, dead, drained_per_min, measured_at)
        VALUES (0, 'sandbox', $1, 0, 0, 120, now())
        ON CONFLICT (bucket, provider) DO UPDATE SET depth = excluded.depth, measured_at = now()
    """
    async with (
        webhook_site(tmp_path, database_url, inbox_backlog=100) as site,
        studio_of(site) as studio,
    ):
        await fetch(database_url, measured, 150)
        told: list[Told] = []

        async def is_told(status: int) -> bool:
            told.append(await studio.post(f"d-{len(told)}"))
            return told[-1].status == status

        await wait_until(lambda: is_told(429))
        assert told[-1].word == "backlogged"
        assert 30 <= int(told[-1].headers["Retry-After"]) <= 35, "60 too many, two drained a second"
        await fetch(database_url, measured, 10)
        await wait_until(lambda: is_told(202))


async def test_a_line_survives_being_sent_away_and_the_next_webhook_is_read_right(
    tmp_path: Path, database_url: str
) -> None:
    """Where nothing may be stored, the unread body is no next request."""
    async with webhook_site(tmp_path, database_url, inbox_backlog=1) as site, raw_line(site) as line:
        assert (await exchange(line, site, completed()))[0] == 202
        for number in range(5):
            status, document = await exchange(line, site, completed(number, text="GET / HTTP/1.1\r\n\r\n"))
            assert (status, document["code"]) == (429, "backlogged")


async def test_two_processes_and_many_lines_take_each_id_once(tmp_path: Path, database_url: str) -> None:
    async with (
        webhook_site(tmp_path, database_url, workers=2, inbox_accepting=1000) as site,
        studio_of(site, connections=200) as studio,
    ):
        told = await asyncio.gather(
            *(studio.post(f"d-{number % 60}", completed(number % 60)) for number in range(600)),
            *(studio.post(f"d-{number}", completed(1000)) for number in range(60)),
        )
        served = [await _connections_of(worker.pid) for worker in site.workers]
    for number in range(60):
        of_id = [one for one in told if one.delivery_id == f"d-{number}"]
        words = tally(of_id)
        assert words["accepted"] == 1
        assert words["accepted"] + words["duplicate"] + words["delivery_id_reused"] == 11
        assert len({one.document["id"] for one in of_id if one.status == 202}) == 1
    deliveries, queued = await kept(database_url)
    assert deliveries == queued
    assert len(deliveries) == 60
    assert all(served), "both took part"


async def _connections_of(pid: int) -> int:
    names = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    return sum(name.startswith("socket:") for name in names)


# Faults.


async def test_everything_acknowledged_is_there_after_workers_were_killed(
    tmp_path: Path, database_url: str
) -> None:
    """`kill -9` in the middle of a storm: what was answered 202 is stored and queued (I3)."""
    async with (
        webhook_site(tmp_path, database_url, workers=2, inbox_accepting=1000) as site,
        studio_of(site, connections=64) as studio,
    ):
        told: list[Told] = []
        enough = [asyncio.Event(), asyncio.Event()]

        async def post(number: int) -> None:
            told.append(await studio.post(f"d-{number}", completed(number)))
            for event, count in zip(enough, (300, 600), strict=True):
                if sum(one.status == 202 for one in told) >= count:
                    event.set()

        posting = asyncio.gather(*(post(number) for number in range(2_000)))
        for event, worker in zip(enough, site.workers, strict=True):
            await event.wait()
            assert await end(worker, signal.SIGKILL) == -signal.SIGKILL
        await give_up(posting)
    acknowledged = {one.document["id"] for one in told if one.status == 202}
    assert len(acknowledged) >= 600
    deliveries, queued = await kept(database_url)
    assert acknowledged <= {f"dlv_{one.hex}" for one in deliveries}
    assert deliveries == queued


async def give_up(posting: asyncio.Future[Any]) -> None:
    """Wait no longer for answers: nobody takes connections any more."""
    posting.cancel()
    await asyncio.gather(posting, return_exceptions=True)


async def test_a_worker_that_is_asked_to_end_stores_what_it_took_in(
    tmp_path: Path, database_url: str
) -> None:
    async with (
        webhook_site(tmp_path, database_url, inbox_accepting=1000) as site,
        studio_of(site, connections=100) as studio,
    ):
        told: list[Told] = []
        begun = asyncio.Event()

        async def post(number: int) -> None:
            told.append(await studio.post(f"d-{number}", completed(number)))
            begun.set()

        posting = asyncio.gather(*(post(number) for number in range(1_000)))
        await begun.wait()
        assert await end(site.workers[0]) == 0
        await give_up(posting)
    acknowledged = {one.document["id"] for one in told if one.status == 202}
    assert set(Counter(one.status for one in told)) <= {202, 503, 0}
    deliveries, queued = await kept(database_url)
    assert acknowledged <= {f"dlv_{one.hex}" for one in deliveries}
    assert deliveries == queued


async def test_webhooks_outlive_a_database_that_goes_away_and_comes_back(
    tmp_path: Path, database_url: str, wait_until: WaitUntil
) -> None:
    async with (
        WireProxy(database_url) as proxy,
        webhook_site(tmp_path, proxy.url, inbox_accepting=1000) as site,
        studio_of(site, connections=50) as studio,
    ):
        assert (await studio.post("before")).status == 202
        proxy.go_down()
        posting = asyncio.gather(*(studio.post(f"d-{number}", completed(number)) for number in range(50)))
        await wait_until(lambda: proxy.turned_away >= 3)
        proxy.come_back()
        assert {one.status for one in await posting} == {202}
        proxy.go_down()
        lost = await studio.post("lost")
        assert (lost.status, lost.word, lost.headers["Retry-After"]) == (503, "unavailable", "1")
        proxy.come_back()
        assert (await studio.post("lost")).word in ("accepted", "duplicate")
    deliveries, queued = await kept(database_url)
    assert deliveries == queued
    assert len(deliveries) == 52


async def test_a_callback_is_answered_while_webhooks_flood(tmp_path: Path, database_url: str) -> None:
    """Callbacks have lanes and connections of their own, and no place in the webhooks' queue (I12)."""
    async with (
        webhook_site(tmp_path, database_url, inbox_accepting=8) as site,
        studio_of(site, connections=100) as studio,
    ):
        flood = asyncio.gather(*(studio.post(f"d-{number}", completed(number)) for number in range(1_000)))
        forged = render_head(
            {"content-type": "application/json", "content-length": "2"}, path="/providers/sandbox/v1/bet"
        )
        async with raw_line(site) as line:
            answers = 0
            while not flood.done():
                line.send(forged + b"\r\n\r\n{}")
                status, _, _ = await line.answer()
                answers += status == 401
        assert answers > 10
        assert {one.status for one in await flood} <= {202, 503}
