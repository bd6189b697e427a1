"""Events to endpoints: signed, repeated on schedule, given up, taken over from the dead, fair, bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ed25519
from outbox_stage import (
    NEXT_SECRET,
    SCHEDULE_S,
    SECRET,
    Clock,
    Receiver,
    Stage,
    endpoint_at,
    open_stage,
    oracle,
    outbox_of,
    receiving,
)
from standardwebhooks.webhooks import WebhookVerificationError

from croupier.events import BREAK_OPENED, MONEY_MOVED
from croupier.operator.outbox.deliver import LEASE_MARGIN_S, UNDER_WAY
from croupier.operator.outbox.post import ANSWER_BYTES, BODY_S
from croupier.operator.outbox.queue import (
    DELIVERED,
    FAILED,
    Claimed,
    Made,
    claim_deliveries,
    settle_attempts,
)
from croupier.operator.outbox.records import AttemptRecord
from croupier_signing import PrivateKey, SigningKey, verify_webhook

Wait = Callable[..., Awaitable[None]]


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with open_stage(database_url) as opened:
        yield opened


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def test_an_event_arrives_as_a_standard_webhook(stage: Stage, receiver: Receiver) -> None:
    # The reference library judges the age of a signature by the clock of the machine.
    stage.clock = Clock(datetime.now(UTC))
    endpoint = endpoint_at(receiver.url)
    event_id = await stage.add_event()
    assert await stage.fan_out(outbox_of(endpoint)) == 1
    async with stage.delivering(endpoint) as drain:
        await drain()
    (got,) = receiver.got
    assert got.event_id == event_id
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-correlation-id"] == "sample-0001"
    payload = got.verified_with(SECRET)
    assert payload["type"] == MONEY_MOVED
    assert payload["data"]["amount"] == {"amount": "-250", "asset": "EUR"}
    assert await stage.waiting() == 0
    assert await stage.attempts() == [(1, "delivered", 204, None)]
    assert [one.result for one in stage.records if isinstance(one, AttemptRecord)] == ["delivered"]


async def test_what_was_changed_on_the_way_is_not_taken_by_the_reference_library(
    stage: Stage, receiver: Receiver
) -> None:
    stage.clock = Clock(datetime.now(UTC))
    endpoint = endpoint_at(receiver.url)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        await drain()
    (got,) = receiver.got
    with pytest.raises(WebhookVerificationError):
        oracle(SECRET).verify(got.body.replace(b'"-250"', b'"-251"'), got.headers)
    with pytest.raises(WebhookVerificationError):
        got.verified_with(NEXT_SECRET)


async def test_while_a_secret_is_replaced_either_of_them_verifies(stage: Stage, receiver: Receiver) -> None:
    stage.clock = Clock(datetime.now(UTC))
    pair = ed25519.Ed25519PrivateKey.generate()
    signer = PrivateKey("platform-3", pair)
    endpoint = endpoint_at(
        receiver.url, keys=(SigningKey("platform-1", SECRET), SigningKey("platform-2", NEXT_SECRET), signer)
    )
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        await drain()
    (got,) = receiver.got
    assert [one.partition(",")[0] for one in got.headers["webhook-signature"].split(" ")] == [
        "v1",
        "v1",
        "v1a",
    ]
    assert got.verified_with(SECRET) == got.verified_with(NEXT_SECRET)
    verified = verify_webhook(
        [signer.public],
        **{name: got.headers[f"webhook-{name}"].encode() for name in ("timestamp", "signature")},
        webhook_id=got.event_id.encode(),
        body=got.body,
        now_s=int(stage.clock.now().timestamp()),
    )
    assert verified.webhook_id == got.event_id


async def test_only_the_types_an_endpoint_takes_are_sent_to_it(stage: Stage, receiver: Receiver) -> None:
    endpoint = endpoint_at(receiver.url, types=(BREAK_OPENED,))
    await stage.add_event(type_=MONEY_MOVED)
    wanted = await stage.add_event(type_=BREAK_OPENED)
    assert await stage.fan_out(outbox_of(endpoint)) == 2
    async with stage.delivering(endpoint) as drain:
        await drain()
    assert receiver.ids == [wanted]


async def test_a_failed_attempt_is_repeated_on_schedule_until_it_is_given_up(
    stage: Stage, receiver: Receiver
) -> None:
    receiver.statuses = [500, 404, 429, 503, 200]
    endpoint = endpoint_at(receiver.url)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        for pause_s in SCHEDULE_S:
            await drain()
            assert await stage.due_in_s() == [pause_s]
            stage.clock.advance(seconds=pause_s - 1)
            count = len(receiver.got)
            await drain()
            assert len(receiver.got) == count, "an attempt was made before its time"
            stage.clock.advance(seconds=1)
        await drain()
        stage.clock.advance(days=1)
        await drain()
    assert len(receiver.got) == len(SCHEDULE_S) + 1
    assert await stage.waiting() == 0
    assert await stage.attempts() == [
        (1, "failed", 500, "answered 500"),
        (2, "failed", 404, "answered 404"),
        (3, "failed", 429, "answered 429"),
        (4, "given_up", 503, "answered 503"),
    ]
    timestamps = [int(one.headers["webhook-timestamp"]) for one in receiver.got]
    assert timestamps == sorted(set(timestamps)), "each attempt is signed with its own time"
    assert len(set(receiver.ids)) == 1
    assert await stage.pool.fetchval("SELECT excerpt FROM outbox_attempt LIMIT 1") == "the answer"


async def test_retry_after_is_honoured_up_to_the_pause_that_would_come_next(
    stage: Stage, receiver: Receiver
) -> None:
    endpoint = endpoint_at(receiver.url)
    receiver.statuses, receiver.headers = [503, 503], {"retry-after": "120"}
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        await drain()
        assert await stage.due_in_s() == [120]
        stage.clock.advance(seconds=120)
        receiver.headers = {"retry-after": "86400"}
        await drain()
        assert await stage.due_in_s() == [SCHEDULE_S[2]]


async def test_jitter_makes_a_pause_longer_by_a_tenth_at_most(stage: Stage, receiver: Receiver) -> None:
    receiver.statuses = [500]
    endpoint = endpoint_at(receiver.url)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint, chance=lambda: 0.5) as drain:
        await drain()
    assert await stage.due_in_s() == [pytest.approx(SCHEDULE_S[0] * 1.05)]


async def test_a_redirect_is_a_failure_and_is_not_followed(stage: Stage, receiver: Receiver) -> None:
    async with receiving() as elsewhere:
        receiver.statuses, receiver.headers = [307], {"location": elsewhere.url}
        endpoint = endpoint_at(receiver.url)
        await stage.add_event()
        await stage.fan_out(outbox_of(endpoint))
        async with stage.delivering(endpoint) as drain:
            await drain()
        assert not elsewhere.got
    ((_, result, status, error),) = await stage.attempts()
    assert (result, status) == ("failed", 307)
    assert error == "answered 307: redirects are not followed, configure the final address"


async def test_a_receiver_that_is_not_there_or_breaks_off_is_a_failure_in_words(
    stage: Stage, receiver: Receiver
) -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    receiver.behave = break_off
    async with receiving() as gone:
        url = gone.url
    endpoints = [endpoint_at(receiver.url, "broken"), endpoint_at(url, "gone")]
    await stage.add_event()
    await stage.fan_out(outbox_of(*endpoints))
    for endpoint in endpoints:
        async with stage.delivering(endpoint) as drain:
            await drain()
    errors = {row[0]: row[1] for row in await stage.pool.fetch("SELECT endpoint, error FROM outbox_attempt")}
    assert errors["broken"] == "the connection ended before an answer"
    assert errors["gone"].startswith("no connection: ")


async def test_a_slow_answer_ends_at_the_timeout(stage: Stage, receiver: Receiver) -> None:
    released = asyncio.Event()

    async def be_slow(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    receiver.behave = be_slow
    endpoint = endpoint_at(receiver.url, timeout_s=1)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        await drain()
    released.set()
    ((_, result, status, error),) = await stage.attempts()
    assert (result, status, error) == ("failed", None, "no answer within 1 s")


async def test_the_status_decides_whatever_the_body_does_after_it(stage: Stage, receiver: Receiver) -> None:
    """A body without end, too large or broken: what is read of it is bounded, in bytes and in time."""
    sent = 0

    async def never_end(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(status=200)
        await response.prepare(request)
        try:
            while sent < 64 * 1024 * 1024:
                await response.write(b"x" * 65_536)
                sent += 65_536
        except ConnectionError:
            pass
        return response

    receiver.behave = never_end
    endpoint = endpoint_at(receiver.url)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        await drain()
    assert await stage.attempts() == [(1, "delivered", 200, None)]
    (made,) = [one for one in stage.records if isinstance(one, AttemptRecord)]
    assert made.duration_s < BODY_S, f"more than {ANSWER_BYTES} bytes were read, until there was no more time"


async def test_a_body_that_does_not_come_is_not_waited_for_long(stage: Stage, receiver: Receiver) -> None:
    released = asyncio.Event()

    async def say_no_more(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=202)
        await response.prepare(request)
        await released.wait()
        return response

    receiver.behave = say_no_more
    endpoint = endpoint_at(receiver.url, timeout_s=60)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        async with asyncio.timeout(30):
            await drain()
    released.set()
    assert await stage.attempts() == [(1, "delivered", 202, None)]


async def test_an_answer_is_kept_short_and_printable(stage: Stage, receiver: Receiver) -> None:
    async def shout(request: web.Request) -> web.StreamResponse:
        return web.Response(status=500, body=b"\x00\x1b[31mno\r\n\xff" + b"y" * 10_000)

    receiver.behave = shout
    endpoint = endpoint_at(receiver.url)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        await drain()
    excerpt = await stage.pool.fetchval("SELECT excerpt FROM outbox_attempt")
    assert excerpt.startswith("[31mno \ufffdyyy")
    assert len(excerpt) == 500


async def test_what_a_dead_worker_had_claimed_is_sent_when_its_lease_ends(
    stage: Stage, receiver: Receiver
) -> None:
    endpoint = endpoint_at(receiver.url)
    await stage.add_events(3)
    await stage.fan_out(outbox_of(endpoint))
    lease = timedelta(seconds=endpoint.timeout_s + LEASE_MARGIN_S)
    abandoned = await claim_deliveries(stage.pool, "platform", stage.clock.now(), lease=lease, limit=2)
    async with stage.delivering(endpoint) as drain:
        await drain()
        assert len(receiver.got) == 1
        stage.clock.advance(seconds=lease.total_seconds() - 1)
        await drain()
        assert len(receiver.got) == 1
        stage.clock.advance(seconds=1)
        await drain()
    assert len(set(receiver.ids)) == 3
    assert await stage.waiting() == 0
    # The dead one comes back to life and tells of attempts that no longer count.
    made = [made_of(one, stage) for one in abandoned]
    assert await settle_attempts(stage.pool, "platform", made) == 0
    assert [row[:2] for row in await stage.attempts()] == [(1, "delivered")] * 3


async def test_a_worker_whose_lease_ran_out_changes_nothing(stage: Stage, receiver: Receiver) -> None:
    endpoint = endpoint_at(receiver.url)
    await stage.add_event()
    await stage.fan_out(outbox_of(endpoint))
    lease = timedelta(seconds=60)
    (late,) = await claim_deliveries(stage.pool, "platform", stage.clock.now(), lease=lease, limit=1)
    stage.clock.advance(seconds=60)
    (current,) = await claim_deliveries(stage.pool, "platform", stage.clock.now(), lease=lease, limit=1)
    for result, next_at in ((DELIVERED, None), (FAILED, stage.clock.now())):
        told = made_of(late, stage, result=result, next_at=next_at)
        assert await settle_attempts(stage.pool, "platform", [told]) == 0
    assert await stage.due_in_s() == [60]
    assert not await stage.attempts()
    assert await settle_attempts(stage.pool, "platform", [made_of(current, stage)]) == 1
    assert await stage.waiting() == 0


def made_of(claimed: Claimed, stage: Stage, **fields: Any) -> Made:
    """An attempt under this claim that delivered the event, unless the fields say otherwise."""
    given = {"result": DELIVERED, "duration_ms": 1, "at": stage.clock.now(), **fields}
    return Made(bucket=claimed.bucket, event_id=claimed.event_id, fence=claimed.fence, **given)


async def test_two_workers_share_the_work_and_no_event_is_sent_twice(
    stage: Stage, receiver: Receiver
) -> None:
    endpoint = endpoint_at(receiver.url)
    sent = await stage.add_events(100)
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as one, stage.delivering(endpoint) as other:
        await asyncio.gather(one(), other())
    assert sorted(receiver.ids) == sorted(sent)


async def test_a_dead_endpoint_does_not_delay_another(stage: Stage, receiver: Receiver) -> None:
    released = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    async with receiving() as dead:
        dead.behave = hang
        slow, quick = endpoint_at(dead.url, "slow"), endpoint_at(receiver.url, "quick")
        sent = await stage.add_events(2 * UNDER_WAY)
        await stage.fan_out(outbox_of(slow, quick))
        async with stage.delivering(slow) as stuck, stage.delivering(quick) as drain:
            hanging = asyncio.ensure_future(stuck())
            await drain()
            assert sorted(receiver.ids) == sorted(sent)
            assert await stage.waiting("slow") == len(sent)
            claimed = await stage.pool.fetchval("SELECT count(*) FROM outbox_delivery WHERE fence > 0")
            assert claimed == UNDER_WAY, "nothing is claimed that has to wait for a free place"
            released.set()
            await hanging
    assert await stage.waiting("slow") == 0


async def test_a_fault_of_ours_counts_as_an_attempt_and_ends(stage: Stage, receiver: Receiver) -> None:
    endpoint = endpoint_at(receiver.url)
    await stage.add_event(payload="no JSON")
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        for pause_s in (*SCHEDULE_S, 0):
            await drain()
            stage.clock.advance(seconds=pause_s)
    assert not receiver.got
    assert [row[1] for row in await stage.attempts()] == ["failed", "failed", "failed", "given_up"]


async def test_the_payload_is_sent_as_it_was_written(stage: Stage, receiver: Receiver) -> None:
    endpoint = endpoint_at(receiver.url)
    await stage.add_event()
    written = await stage.pool.fetchval("SELECT payload FROM outbox_event")
    await stage.fan_out(outbox_of(endpoint))
    async with stage.delivering(endpoint) as drain:
        await drain()
    assert receiver.got[0].body == written.encode()
    assert json.loads(written)["timestamp"].endswith("Z")
