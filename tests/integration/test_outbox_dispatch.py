"""The whole background work of the outbox: from an event to its arrival, ending cleanly, forgetting what is old."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from aiohttp import web
from lane_desk import open_desk
from nats_server import running_nats
from outbox_stage import Clock, Receiver, Stage, endpoint_at, open_stage, outbox_of, receiving

from croupier.events import MONEY_MOVED, SESSION_STATE_CHANGED
from croupier.ids import EVENT, render_id
from croupier.operator.outbox import dispatch
from croupier.operator.outbox.dispatch import run_outbox
from croupier.operator.outbox.purge import purge_events
from croupier.operator.outbox.records import LagRecord, LevelRecord
from croupier.operator.outbox.settings import JetStream, Outbox

Wait = Callable[..., Awaitable[None]]
DAY_S = 86_400


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with open_stage(database_url) as opened:
        opened.clock = Clock(datetime.now(UTC))
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@asynccontextmanager
async def running(stage: Stage, outbox: Outbox) -> AsyncIterator[asyncio.Event]:
    """The background work until the block ends, or its event is set."""
    stop = asyncio.Event()
    tools = stage.tools()
    work = asyncio.create_task(
        run_outbox(
            stage.pool,
            outbox,
            submit=tools.submit,
            ids=stage.ids,
            now=stage.clock.now,
            stop=stop,
            observe=tools.observe,
        )
    )
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(15):
            await work


async def test_what_the_money_path_decides_arrives_everywhere(
    stage: Stage, receiver: Receiver, database_url: str, tmp_path: Path, wait_until: Wait
) -> None:
    async with running_nats(tmp_path) as server, open_desk(database_url) as desk:
        jetstream = JetStream(url=server.url, stream="croupier", subject="croupier")
        outbox = outbox_of(endpoint_at(receiver.url), jetstream=jetstream)
        async with running(stage, outbox):
            seat = await desk.seat("player-1")
            assert (await desk.ask(seat.bet("bet-1", 10))).is_approved
            written = [
                render_id(EVENT, row["id"])
                for row in await stage.pool.fetch("SELECT id FROM outbox_event ORDER BY position")
            ]
            await wait_until(lambda: len(receiver.got) >= len(written))
            await wait_until(lambda: is_empty(stage))
        stored = await server.stored()
    assert sorted(receiver.ids) == sorted(written)
    assert [event_id for _, event_id, _ in stored] == written
    types = [subject.removeprefix("croupier.") for subject, _, _ in stored]
    assert types.count(MONEY_MOVED) == 2
    assert types.count(SESSION_STATE_CHANGED) >= 2


async def is_empty(stage: Stage) -> bool:
    return not await stage.pool.fetchval("SELECT count(*) FROM outbox_delivery")


async def test_ending_waits_for_what_is_under_way_and_writes_it_down(
    stage: Stage, receiver: Receiver, wait_until: Wait
) -> None:
    released = asyncio.Event()

    async def be_slow(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    receiver.behave = be_slow
    await stage.add_event()
    async with running(stage, outbox_of(endpoint_at(receiver.url))) as stop:
        await wait_until(lambda: receiver.got)
        stop.set()
        released.set()
    assert await stage.attempts() == [(1, "delivered", 200, None)]
    assert await is_empty(stage)


async def test_a_database_that_goes_away_is_waited_for(
    stage: Stage,
    receiver: Receiver,
    wait_until: Wait,
    monkeypatch: pytest.MonkeyPatch,
    postgres_url: str,
    database_url: str,
) -> None:
    monkeypatch.setattr(dispatch, "FAULT_S", 0.05)
    async with running(stage, outbox_of(endpoint_at(receiver.url))):
        await stage.add_event()
        await wait_until(lambda: len(receiver.got) == 1)
        admin = await asyncpg.connect(postgres_url)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
            await stage.pool.fetchval("SELECT current_database()"),
        )
        await admin.close()
        async with open_stage(database_url) as fresh:
            fresh.clock = stage.clock
            await fresh.add_event()
        await wait_until(lambda: len(set(receiver.ids)) == 2)


async def test_an_unexpected_fault_in_one_part_leaves_the_others_running(
    stage: Stage, receiver: Receiver, wait_until: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(dispatch, "observe_levels", fail)
    async with running(stage, outbox_of(endpoint_at(receiver.url))):
        await stage.add_event()
        await wait_until(lambda: len(receiver.got) == 1)


async def test_levels_tell_what_waits_and_how_long(stage: Stage, wait_until: Wait) -> None:
    async with receiving() as broken:
        broken.statuses = [500] * 5
        outbox = outbox_of(endpoint_at(broken.url))
        await stage.add_events(3)
        await stage.fan_out(outbox)
        await stage.add_event(recorded_at=stage.clock.now() - timedelta(seconds=7))
        stage.clock.advance(seconds=90)
        await dispatch.observe_levels(stage.pool, outbox, stage.clock.now(), stage.records.append)
    assert stage.records == [LevelRecord("platform", 3, 90.0, False), LagRecord(97.0)]


async def test_events_are_forgotten_with_their_attempts_once_they_are_old(
    stage: Stage, receiver: Receiver
) -> None:
    endpoint = endpoint_at(receiver.url)
    await stage.add_events(3)
    await stage.fan_out(outbox_of(endpoint))
    receiver.statuses = [204, 204, 500]
    async with stage.delivering(endpoint) as drain:
        await drain()
    fresh = stage.clock.now()
    assert await purge_events(stage.pool, fresh, keep_s=DAY_S) == 0
    assert await purge_events(stage.pool, fresh + timedelta(days=2), keep_s=DAY_S) == 3
    for table in ("outbox_event", "outbox_attempt", "outbox_delivery"):
        assert await stage.pool.fetchval(f"SELECT count(*) FROM {table}") == 0, table


async def test_an_event_that_nobody_was_given_is_kept(stage: Stage) -> None:
    await stage.add_event()
    assert await purge_events(stage.pool, stage.clock.now() + timedelta(days=2), keep_s=DAY_S) == 0
    assert await stage.pool.fetchval("SELECT count(*) FROM outbox_event") == 1
