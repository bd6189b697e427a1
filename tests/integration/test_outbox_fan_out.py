"""Giving events to consumers: in order, once, also what is committed late, without looking at everything each time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from outbox_stage import Stage, endpoint_at, open_stage, outbox_of

from croupier.events import MONEY_MOVED
from croupier.ids import EVENT, parse_id
from croupier.operator.outbox.fan_out import SETTLED, SWEEP, FanOut

ENDPOINT = endpoint_at("http://127.0.0.1:1/")


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with open_stage(database_url) as opened:
        yield opened


async def given(stage: Stage) -> list[str]:
    """The events that were given to the endpoint, in the order of their positions."""
    rows = await stage.pool.fetch("SELECT event_id FROM outbox_delivery ORDER BY position")
    return [f"evt_{row['event_id'].hex}" for row in rows]


async def passed(stage: Stage) -> int:
    return int(await stage.pool.fetchval("SELECT passed FROM outbox_turn WHERE name = 'fan_out'"))


async def position_of(stage: Stage, event_id: str) -> int:
    sql = "SELECT position FROM outbox_event WHERE id = $1"
    return int(await stage.pool.fetchval(sql, parse_id(EVENT, event_id)))


async def test_events_are_given_once_in_bounded_batches_and_in_order(stage: Stage) -> None:
    sent = await stage.add_events(5)
    # The first one moves to the end of the table, where only its position tells that it is the first.
    await stage.pool.execute(
        "UPDATE outbox_event SET fanned_at = NULL WHERE id = $1", parse_id(EVENT, sent[0])
    )
    fan_out = FanOut(outbox_of(ENDPOINT), stage.tools(), limit=2)
    counts = []
    for most in (2, 4, 5):
        counts.append(await fan_out.give())
        assert await given(stage) == sent[:most]
    assert [*counts, await fan_out.give()] == [2, 2, 1, 0]
    sent += await stage.add_events(1)
    assert not await fan_out.turn()
    assert await given(stage) == sent


async def test_only_one_process_is_at_it(stage: Stage) -> None:
    await stage.add_events(3)
    fan_out = FanOut(outbox_of(ENDPOINT), stage.tools())
    await FanOut(outbox_of(ENDPOINT), stage.tools(), limit=1).give()
    async with stage.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM outbox_turn WHERE name = 'fan_out' FOR UPDATE")
        assert await fan_out.give() == 0
    assert await fan_out.give() == 2


async def test_an_event_committed_after_later_ones_is_given(stage: Stage) -> None:
    fan_out = FanOut(outbox_of(ENDPOINT), stage.tools())
    await fan_out.give()
    async with stage.pool.acquire() as slow, slow.transaction():
        late = stage.ids.new(3)
        await insert(slow, late, stage)
        await stage.add_event()
        assert await fan_out.give() == 1
    assert await fan_out.give() == 1
    assert f"evt_{late.hex}" in await given(stage)


async def insert(connection: object, event_id: UUID, stage: Stage) -> None:
    sql = (
        "INSERT INTO outbox_event (bucket, id, type, payload, recorded_at) "
        "SELECT 3, $1, $2, '{\"data\": {}}', $3"
    )
    await connection.execute(sql, event_id, MONEY_MOVED, stage.clock.now())  # type: ignore[attr-defined]


async def test_what_is_settled_is_passed_and_what_comes_even_later_is_found_by_the_sweep(
    stage: Stage,
) -> None:
    fan_out = FanOut(outbox_of(ENDPOINT), stage.tools())
    await fan_out.give()
    async with stage.pool.acquire() as stuck, stuck.transaction():
        # A commit may wait for a standby for as long as that is away.
        late = stage.ids.new(3)
        await insert(stuck, late, stage)
        first = await stage.add_event()
        await fan_out.give()
        assert await passed(stage) == 0
        stage.clock.advance(seconds=SETTLED.total_seconds())
        await stage.add_event()
        await fan_out.give()
        assert await passed(stage) == await position_of(stage, first)
    assert await fan_out.give() == 0
    stage.clock.at += SWEEP - timedelta(seconds=301)
    assert await fan_out.give() == 0
    stage.clock.advance(seconds=1)
    assert await fan_out.give() == 1
    assert f"evt_{late.hex}" in await given(stage)


async def test_a_new_process_looks_at_everything_first(stage: Stage) -> None:
    await FanOut(outbox_of(ENDPOINT), stage.tools()).give()
    await stage.pool.execute("UPDATE outbox_turn SET passed = 1000 WHERE name = 'fan_out'")
    await stage.add_event()
    fan_out = FanOut(outbox_of(ENDPOINT), stage.tools())
    assert await fan_out.give() == 1


async def test_nothing_is_written_while_there_is_nothing_to_do(stage: Stage) -> None:
    fan_out = FanOut(outbox_of(ENDPOINT), stage.tools())
    await fan_out.give()
    before = await stage.pool.fetchval("SELECT pg_current_xact_id_if_assigned()::text")
    row = await stage.pool.fetchrow("SELECT xmin::text, xmax::text FROM outbox_turn WHERE name = 'fan_out'")
    for _ in range(3):
        await fan_out.give()
    assert before is None
    assert row == await stage.pool.fetchrow(
        "SELECT xmin::text, xmax::text FROM outbox_turn WHERE name = 'fan_out'"
    )


async def test_events_of_a_type_that_nobody_takes_are_marked_and_left(stage: Stage) -> None:
    await stage.add_events(2)
    fan_out = FanOut(outbox_of(endpoint_at("http://127.0.0.1:1/", types=("break.opened",))), stage.tools())
    assert await fan_out.give() == 2
    assert await given(stage) == []
    assert await fan_out.give() == 0
