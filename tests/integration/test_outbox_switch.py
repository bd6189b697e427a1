"""Endpoints switched off: by rule after long failure, by 410, with a break and an event; and what waits comes later."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from lane_desk import Desk, open_desk
from outbox_stage import Receiver, Stage, endpoint_at, open_stage, outbox_of, receiving

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.events import BREAK_OPENED, ENDPOINT_DISABLED
from croupier.governance.audit import load_records, verify_chain
from croupier.operator.outbox.switch import switch_off, switch_on

DISABLE_AFTER_S = 86_400


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with open_stage(database_url) as opened:
        yield opened


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_desk(database_url) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def state_of(stage: Stage, endpoint: str = "platform") -> Any:
    return await stage.pool.fetchrow("SELECT * FROM outbox_endpoint WHERE endpoint = $1", endpoint)


async def test_an_endpoint_that_fails_for_too_long_is_switched_off_once_with_break_event_and_record(
    stage: Stage, desk: Desk, receiver: Receiver
) -> None:
    receiver.statuses = [500] * 20
    endpoint = endpoint_at(receiver.url)
    outbox = outbox_of(endpoint, disable_after_s=DISABLE_AFTER_S, schedule_s=(3600,) * 30)
    await stage.add_events(2)
    await stage.fan_out(outbox)
    async with stage.delivering(endpoint, outbox, submit=desk.lanes.submit) as drain:
        for _ in range(24):
            await drain()
            assert (await state_of(stage))["disabled_at"] is None
            stage.clock.advance(seconds=3600)
            receiver.statuses.extend([500, 500])
        await drain()
        disabled = await state_of(stage)
        assert disabled["disabled_at"] == stage.clock.now()
        assert disabled["disabled_because"] == "no event arrived for 24 hours; the last error: answered 500"
        count = len(receiver.got)
        stage.clock.advance(days=2)
        await drain()
        assert len(receiver.got) == count, "an endpoint that is switched off was sent something"
    assert await stage.waiting() == 2
    rows = await stage.pool.fetch("SELECT kind, owner, provider, player_id, explanation FROM break_item")
    assert [tuple(row)[:4] for row in rows] == [("endpoint_disabled", "platform", "croupier", "")]
    assert "croupier events enable platform" in rows[0]["explanation"]
    events = await stage.pool.fetch("SELECT type, payload FROM outbox_event WHERE type <> 'money.moved'")
    told = {row["type"]: json.loads(row["payload"])["data"] for row in events}
    assert set(told) == {BREAK_OPENED, ENDPOINT_DISABLED}
    assert told[ENDPOINT_DISABLED]["endpoint"] == "platform"
    assert told[ENDPOINT_DISABLED]["last_error"] == "answered 500"
    async with stage.pool.acquire() as connection:
        (record,) = await load_records(connection)
        assert (record.actor, record.action, record.subject) == (
            "croupier",
            "endpoint.disabled",
            "endpoint:platform",
        )
        assert (await verify_chain(connection)).is_whole


async def test_one_success_makes_the_time_of_failing_begin_anew(
    stage: Stage, desk: Desk, receiver: Receiver
) -> None:
    endpoint = endpoint_at(receiver.url)
    outbox = outbox_of(endpoint, disable_after_s=DISABLE_AFTER_S, schedule_s=(40_000,) * 30)
    receiver.statuses = [500, 500, 204, 500, 500, 500]
    async with stage.delivering(endpoint, outbox, submit=desk.lanes.submit) as drain:
        for _ in range(2):
            await stage.add_event()
            await stage.fan_out(outbox)
            for _ in range(3):
                await drain()
                stage.clock.advance(seconds=40_000)
    state = await state_of(stage)
    assert state["disabled_at"] is None
    assert state["failing_since"] > state["last_ok_at"]


async def test_an_endpoint_that_is_gone_is_switched_off_at_once(
    stage: Stage, desk: Desk, receiver: Receiver
) -> None:
    receiver.statuses = [410]
    endpoint = endpoint_at(receiver.url)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint, submit=desk.lanes.submit) as drain:
        await drain()
    assert (await state_of(stage))["disabled_because"] == "the receiver answered 410 Gone"
    assert await stage.waiting() == 1


async def test_nobody_is_switched_off_while_the_break_cannot_be_opened(
    stage: Stage, desk: Desk, receiver: Receiver
) -> None:
    async def refuse(call: object) -> None:
        raise CroupierError(UNAVAILABLE, "the database is away")

    receiver.statuses = [410, 410]
    endpoint = endpoint_at(receiver.url)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint, submit=refuse) as drain:
        await drain()
        assert (await state_of(stage))["disabled_at"] is None
    stage.clock.advance(seconds=5)
    async with stage.delivering(endpoint, submit=desk.lanes.submit) as drain:
        await drain()
    assert (await state_of(stage))["disabled_at"] is not None
    assert await stage.pool.fetchval("SELECT count(*) FROM break_item") == 1


async def test_what_happened_while_an_endpoint_was_off_is_sent_when_it_is_on_again(
    stage: Stage, desk: Desk, receiver: Receiver
) -> None:
    receiver.statuses = [410]
    endpoint = endpoint_at(receiver.url)
    before = await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint, submit=desk.lanes.submit) as drain:
        await drain()
        meanwhile = await stage.add_event()
        stage.clock.advance(seconds=60)
        await stage.fan_out(outbox_of(endpoint))
        await drain()
        assert receiver.ids == [before]
        async with stage.pool.acquire() as connection, connection.transaction():
            assert await switch_on(connection, "platform", reason="it is back", now=stage.clock.now())
            assert not await switch_on(connection, "platform", reason="again", now=stage.clock.now())
        await drain()
    assert {before, meanwhile} <= set(receiver.ids[1:])
    resolved = await stage.pool.fetchrow("SELECT resolved_at, resolution FROM break_item")
    assert tuple(resolved) == (stage.clock.now(), "it is back")
    state = await state_of(stage)
    assert (state["disabled_at"], state["failing_since"]) == (None, None)


async def test_switching_off_twice_writes_one_event(stage: Stage) -> None:
    async with stage.pool.acquire() as connection:
        for expected in (True, False):
            async with connection.transaction():
                is_changed = await switch_off(
                    connection, "platform", because="why", ids=stage.ids, now=stage.clock.now()
                )
            assert is_changed is expected
    assert await stage.pool.fetchval("SELECT count(*) FROM outbox_event") == 1


async def test_the_other_endpoints_are_told(stage: Stage, desk: Desk, receiver: Receiver) -> None:
    receiver.statuses = [410]
    gone = endpoint_at(receiver.url, "gone")
    async with receiving() as attentive:
        other = endpoint_at(attentive.url, "attentive", types=(ENDPOINT_DISABLED,))
        await stage.add_event()
        await stage.fan_out(outbox_of(gone, other))
        async with stage.delivering(gone, submit=desk.lanes.submit) as drain:
            await drain()
        await stage.fan_out(outbox_of(gone, other))
        async with stage.delivering(other) as drain:
            await drain()
        (got,) = attentive.got
    assert json.loads(got.body)["data"]["endpoint"] == "gone"
