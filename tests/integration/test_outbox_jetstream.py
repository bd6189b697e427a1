"""Events to NATS JetStream: at least once, in the order of each player, whatever fails in between."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats_server import NatsServer, running_nats
from outbox_stage import Stage, open_stage, outbox_of

from croupier.events import BREAK_OPENED, BREAKER_OPENED, MONEY_MOVED
from croupier.operator.outbox import jetstream
from croupier.operator.outbox.jetstream import JetStreamPublisher
from croupier.operator.outbox.jetstream_link import JetStreamLink, LinkLost
from croupier.operator.outbox.post import Message
from croupier.operator.outbox.settings import NATS, JetStream

pytestmark = pytest.mark.filterwarnings("error")
KEEP_S = 86_400

Turn = Callable[[], Awaitable[bool]]


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with open_stage(database_url) as opened:
        yield opened


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with running_nats(tmp_path) as opened:
        yield opened


def settings_for(server: NatsServer, **fields: Any) -> JetStream:
    return JetStream(**{"url": server.url, "stream": "croupier", "subject": "casino.events", **fields})


@asynccontextmanager
async def publishing(stage: Stage, settings: JetStream) -> AsyncIterator[JetStreamPublisher]:
    publisher = JetStreamPublisher(JetStreamLink(settings, keep_s=KEEP_S), stage.tools())
    try:
        yield publisher
    finally:
        await publisher.finish()


async def drain(publisher: JetStreamPublisher) -> None:
    async with asyncio.timeout(30):
        while await publisher.turn():
            pass


async def test_events_are_published_with_their_ids_and_types(stage: Stage, server: NatsServer) -> None:
    settings = settings_for(server)
    money, broken = await stage.add_event(), await stage.add_event(type_=BREAK_OPENED)
    await stage.fan_out(outbox_of(jetstream=settings))
    async with publishing(stage, settings) as publisher:
        await drain(publisher)
    stored = await server.stored()
    assert [(subject, event_id) for subject, event_id, _ in stored] == [
        (f"casino.events.{MONEY_MOVED}", money),
        (f"casino.events.{BREAK_OPENED}", broken),
    ]
    assert json.loads(stored[0][2])["data"]["player_id"] == "sample-player"
    assert await stage.waiting(NATS) == 0
    assert [row[:2] for row in await stage.attempts()] == [(1, "delivered"), (1, "delivered")]


async def test_the_events_of_each_player_are_stored_in_their_order(stage: Stage, server: NatsServer) -> None:
    settings = settings_for(server)
    sent = await add_mixed(stage, players=5, events=60)
    await stage.fan_out(outbox_of(jetstream=settings))
    async with publishing(stage, settings) as publisher:
        await drain(publisher)
    assert by_player(sent, await server.stored()) == sent


async def add_mixed(stage: Stage, *, players: int, events: int) -> dict[str, list[str]]:
    """Events of several players in a mixed order; the ids of each player in the order they happened."""
    chance = random.Random(7)
    sent: dict[str, list[str]] = {}
    for _ in range(events):
        player_id = f"player-{chance.randrange(players)}"
        sent.setdefault(player_id, []).append(await stage.add_event(player_id=player_id))
    return sent


def by_player(sent: dict[str, list[str]], stored: list[tuple[str, str, bytes]]) -> dict[str, list[str]]:
    owner = {event_id: player_id for player_id, ids in sent.items() for event_id in ids}
    found: dict[str, list[str]] = {player_id: [] for player_id in sent}
    for _, event_id, _ in stored:
        found[owner[event_id]].append(event_id)
    return found


async def test_a_server_killed_in_the_middle_and_started_again_has_every_event_once_and_in_order(
    stage: Stage,
    server: NatsServer,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[..., Awaitable[None]],
) -> None:
    monkeypatch.setattr(jetstream, "LONGEST_REST_S", 0.1)
    monkeypatch.setattr(jetstream, "FIRST_REST_S", 0.05)
    monkeypatch.setattr(jetstream, "PAGE", 20)
    settings = settings_for(server)
    outbox = outbox_of(jetstream=settings)
    sent = await add_mixed(stage, players=4, events=300)
    await stage.fan_out(outbox)
    async with publishing(stage, settings) as publisher:
        stop = asyncio.Event()
        work = asyncio.create_task(keep_publishing(publisher, stop))
        for left in (220, 120):
            await wait_until(lambda most=left: fewer_than(stage, most))
            await server.kill()
            await wait_until(lambda: is_failing(stage))
            await server.start()
        await wait_until(lambda: fewer_than(stage, 1), 30)
        stop.set()
        await work
    assert by_player(sent, await server.stored()) == sent


async def keep_publishing(publisher: JetStreamPublisher, stop: asyncio.Event) -> None:
    while not stop.is_set():
        if not await publisher.turn():
            await asyncio.sleep(0.01)


async def fewer_than(stage: Stage, most: int) -> bool:
    return await stage.waiting(NATS) < most


async def is_failing(stage: Stage) -> bool:
    sql = "SELECT failing_since IS NOT NULL FROM outbox_endpoint WHERE endpoint = 'nats'"
    return bool(await stage.pool.fetchval(sql))


class DeafLink(JetStreamLink):
    """A link on which one confirmation is lost: the event is stored, and nobody hears of it."""

    def __init__(self, settings: JetStream, lost: str) -> None:
        super().__init__(settings, keep_s=KEEP_S)
        self._lost_id = lost

    async def publish(self, message: Message, type_: str) -> None:
        """Publish; raise LinkLost for the event whose confirmation is lost, once."""
        await super().publish(message, type_)
        if message.event_id == self._lost_id:
            self._lost_id = ""
            raise LinkLost("the confirmation was lost")


async def test_nothing_of_a_player_follows_an_event_that_was_not_confirmed(
    stage: Stage, server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jetstream, "FIRST_REST_S", 0.0)
    settings = settings_for(server)
    sent = await stage.add_events(4)
    await stage.fan_out(outbox_of(jetstream=settings))
    publisher = JetStreamPublisher(DeafLink(settings, sent[1]), stage.tools())
    assert not await publisher.turn()
    assert [event_id for _, event_id, _ in await server.stored()] == sent[:2]
    assert await stage.waiting(NATS) == 3, "only what was confirmed has left the queue"
    await drain(publisher)
    await publisher.finish()
    assert [event_id for _, event_id, _ in await server.stored()] == sent


async def test_what_was_stored_before_its_publisher_died_is_recognised_when_it_is_published_again(
    stage: Stage, server: NatsServer
) -> None:
    settings = settings_for(server)
    sent = await stage.add_events(3)
    await stage.fan_out(outbox_of(jetstream=settings))
    async with publishing(stage, settings) as publisher:
        await drain(publisher)
    # The server stored them and the publisher died before it could write that down.
    await stage.pool.execute(
        "INSERT INTO outbox_delivery (bucket, event_id, endpoint, position, claimable_at, created_at) "
        "SELECT bucket, id, 'nats', position, $1, $1 FROM outbox_event",
        jetstream.IN_ORDER,
    )
    async with publishing(stage, settings) as publisher:
        await drain(publisher)
    assert [event_id for _, event_id, _ in await server.stored()] == sent
    assert await stage.waiting(NATS) == 0


async def test_nothing_is_tried_while_the_server_rests_and_the_reason_is_kept(
    stage: Stage, server: NatsServer
) -> None:
    settings = settings_for(server)
    await server.kill()
    await stage.add_event()
    await stage.fan_out(outbox_of(jetstream=settings))
    async with publishing(stage, settings) as publisher:
        assert not await publisher.turn()
        assert await is_failing(stage)
        error = await stage.pool.fetchval("SELECT last_error FROM outbox_endpoint")
        assert error.startswith("NATS cannot be used: ")
        assert "Connect call failed" in error
        await server.start()
        assert not await publisher.turn(), "it rests first"
    assert await stage.waiting(NATS) == 1
    assert not await stage.attempts(), "an absent server is no attempt at an event"


async def test_an_event_the_server_refuses_holds_back_its_player_and_nobody_else(
    stage: Stage, server: NatsServer, tmp_path: Path
) -> None:
    await server.kill()
    async with running_nats(tmp_path, settings="max_payload: 2048") as small:
        settings = settings_for(small)
        before = await stage.add_event(player_id="long")
        await stage.add_event(player_id="long", payload='{"data": {"text": "' + "x" * 4096 + '"}}')
        await stage.add_event(player_id="long")
        others = await stage.add_events(3, player_id="short")
        await stage.fan_out(outbox_of(jetstream=settings))
        async with publishing(stage, settings) as publisher:
            await drain(publisher)
            await drain(publisher)
        assert sorted(one[1] for one in await small.stored()) == sorted([before, *others])
    assert await stage.waiting(NATS) == 2
    failed = [row for row in await stage.attempts() if row[1] == "failed"]
    assert failed == [(1, "failed", None, "the event is larger than the server takes")]


async def test_one_publisher_works_at_a_time_and_another_takes_over_when_its_lease_ends(
    stage: Stage, server: NatsServer
) -> None:
    settings = settings_for(server)
    await stage.fan_out(outbox_of(jetstream=settings))
    first = JetStreamPublisher(JetStreamLink(settings, keep_s=KEEP_S), stage.tools())
    await stage.add_event()
    await stage.fan_out(outbox_of(jetstream=settings))
    assert await first.turn()
    async with publishing(stage, settings) as second:
        await stage.add_event()
        await stage.fan_out(outbox_of(jetstream=settings))
        assert not await second.turn()
        stage.clock.advance(seconds=jetstream.LEASE.total_seconds())
        assert await second.turn()
        assert not await first.turn(), "the first one notices that the turn is not its own any more"
    await first.finish()
    assert len(await server.stored()) == 2


async def test_a_publisher_that_ends_gives_its_turn_back(stage: Stage, server: NatsServer) -> None:
    settings = settings_for(server)
    for _ in range(2):
        await stage.add_event()
        await stage.fan_out(outbox_of(jetstream=settings))
        async with publishing(stage, settings) as publisher:
            assert await publisher.turn()


async def test_a_stream_that_is_there_is_used_as_it_is(stage: Stage, server: NatsServer) -> None:
    from nats.aio.client import Client

    client = Client()
    await client.connect(servers=[server.url])
    await client.jetstream().add_stream(name="croupier", subjects=["casino.>"], max_msgs=7)
    settings = settings_for(server)
    await stage.add_events(9)
    await stage.fan_out(outbox_of(jetstream=settings))
    async with publishing(stage, settings) as publisher:
        await drain(publisher)
    info = await client.jetstream().stream_info("croupier")
    assert (info.config.max_msgs, info.state.messages) == (7, 7)
    await client.close()


async def test_a_stream_of_other_subjects_is_told_in_words(stage: Stage, server: NatsServer) -> None:
    from nats.aio.client import Client

    client = Client()
    await client.connect(servers=[server.url])
    await client.jetstream().add_stream(name="croupier", subjects=["elsewhere.>"])
    await client.close()
    settings = settings_for(server)
    await stage.add_event()
    await stage.fan_out(outbox_of(jetstream=settings))
    async with publishing(stage, settings) as publisher:
        assert not await publisher.turn()
    error = await stage.pool.fetchval("SELECT last_error FROM outbox_endpoint")
    assert error == f"no stream takes casino.events.{MONEY_MOVED}, or JetStream is not ready"
    assert await stage.waiting(NATS) == 1


async def test_the_login_is_used_and_never_shown(stage: Stage, server: NatsServer, tmp_path: Path) -> None:
    await server.kill()
    async with running_nats(tmp_path, login="croupier:a-long-password") as locked:
        wrong = settings_for(locked)
        right = settings_for(locked, user="croupier", password="a-long-password")
        assert "a-long-password" not in repr(right)
        await stage.add_event(type_=BREAKER_OPENED)
        await stage.fan_out(outbox_of(jetstream=right))
        async with publishing(stage, wrong) as publisher:
            assert not await publisher.turn()
        async with publishing(stage, right) as publisher:
            assert await publisher.turn()
        assert len(await locked.stored()) == 1
