"""The queue of webhooks: claims, leases, fences, the order of rounds, levels (E3, E4, I4)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from inbox_desk import FIRST_RESULT, InboxDesk, open_inbox

from croupier.ids import IdSource, bucket_of
from croupier.inbox.process import APPLIED, Claimed, Finish, Park, PutBack
from croupier.inbox.queue import (
    EVERYBODY,
    SUSPECT_AFTER,
    Lease,
    claim_deliveries,
    finish_deliveries,
    insert_turn,
    load_due_providers,
    load_levels,
    measure_levels,
    park_deliveries,
    put_back_deliveries,
)
from croupier.runtime.database import connect_app
from model.calls import NOW

LEASE_S = 30
DONE = Finish(result=APPLIED, code="ok")
IDS = IdSource()


class Queue:
    """Rows put in by hand: what a queue holds matters here, not what the bodies say."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self.count = 0

    async def add(self, *keys: str, at: datetime = NOW, provider: str = "acme") -> list[UUID]:
        """One delivery for each order key, in this order."""
        await insert_turn(self.connection, provider)
        ids = []
        for key in keys:
            self.count += 1
            delivery_id = f"{provider}-{self.count}"
            bucket = bucket_of(delivery_id)
            id_ = IDS.new(bucket)
            await self.connection.execute(
                """INSERT INTO delivery (bucket, provider, delivery_id, id, type, path, headers, body, body_digest,
                    key_id, verified_as, signed_at, received_at, correlation_id, asset, amount)
                   VALUES ($1, $2, $3, $4, 'jackpot.won', '/', '[]', '{}', '', 'k', 's', $5, $5, 'c', 'EUR', 7)""",
                *(bucket, provider, delivery_id, id_, at),
            )
            await self.connection.execute(
                """INSERT INTO inbox_queue (bucket, id, provider, order_key, claimable_at, received_at)
                   VALUES ($1, $2, $3, $4, $5, $5)""",
                *(bucket, id_, provider, key, at),
            )
            ids.append(id_)
        return ids

    async def claim(self, now: datetime = NOW, limit: int = 100, provider: str = "acme") -> list[Claimed]:
        """Take what there is."""
        lease = Lease(limit=limit, until=now + timedelta(seconds=LEASE_S))
        return await claim_deliveries(self.connection, provider, lease, now) or []

    async def finish(self, *claimed: Claimed, now: datetime = NOW) -> int:
        """Finish what was taken."""
        return await finish_deliveries(self.connection, [(one, DONE) for one in claimed], now)

    async def put_back(
        self, one: Claimed, after_s: float, now: datetime = NOW, *, is_waiting: bool = False
    ) -> int:
        """Try it again later."""
        at = now + timedelta(seconds=after_s)
        end = PutBack(
            at=at, attempts=one.attempts + 1, is_waiting=is_waiting, cause="unavailable", detail="x"
        )
        return await put_back_deliveries(self.connection, [(one, end)], now)


@pytest.fixture
async def inbox(database_url: str) -> AsyncIterator[InboxDesk]:
    async with open_inbox(database_url) as made:
        yield made


@pytest.fixture
def queue(inbox: InboxDesk) -> Queue:
    return Queue(inbox.connection)


def ids_of(claimed: list[Claimed]) -> list[UUID]:
    return [one.id for one in claimed]


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def test_deliveries_are_taken_oldest_first_and_by_one_worker_only(queue: Queue) -> None:
    ids = await queue.add(*(f"r{number}" for number in range(10)))
    first = await queue.claim(limit=4)
    second = await queue.claim()
    assert (ids_of(first), ids_of(second)) == (ids[:4], ids[4:])
    assert await queue.claim() == []
    assert {one.fence for one in first} == {1}
    assert first[0].stored.delivery_id == "acme-1"


async def test_what_has_not_come_yet_by_the_workers_clock_is_not_taken(queue: Queue) -> None:
    (id_,) = await queue.add("r1", at=later(5))
    assert await queue.claim() == []
    assert await load_due_providers(queue.connection, NOW) == []
    assert ids_of(await queue.claim(later(5))) == [id_]


async def test_only_providers_with_something_due_are_found(queue: Queue) -> None:
    for provider in ("b", "a", "c"):
        await queue.add("r", provider=provider)
    await queue.add("r", at=later(60), provider="d")
    assert await load_due_providers(queue.connection, NOW) == ["a", "b", "c"]
    await queue.finish(*await queue.claim(provider="b"))
    assert await load_due_providers(queue.connection, NOW) == ["a", "c"]


async def test_a_round_is_taken_from_its_beginning_and_what_follows_waits_for_it(queue: Queue) -> None:
    ids = await queue.add("r1", "r2", "r1", "r1")
    first = await queue.claim(limit=2)
    assert ids_of(first) == ids[:2]
    assert await queue.claim() == [], "the beginning of r1 is in somebody's hand"
    await queue.finish(first[0])
    assert ids_of(await queue.claim()) == ids[2:]


async def test_a_retry_holds_up_its_round_and_no_other(queue: Queue) -> None:
    ids = await queue.add("r1", "r2", "r1")
    head, other = await queue.claim(limit=2)
    await queue.put_back(head, 10)
    await queue.finish(other)
    assert await queue.claim(later(5)) == []
    again = await queue.claim(later(10))
    assert ids_of(again) == [ids[0], ids[2]], "both in one hand, in their order"
    assert [one.attempts for one in again] == [1, 0]


async def test_what_follows_a_retry_is_put_off_so_that_it_hides_nothing_behind_it(queue: Queue) -> None:
    """More held-up rows than anybody looks at: the ones behind them are still found, and the retry itself too."""
    held = await queue.add(*["r1"] * 100)
    (head,) = await queue.claim(limit=1)
    await queue.put_back(head, 10)
    free = await queue.add("r2", at=later(1))
    found: list[Claimed] = []
    for _ in range(30):
        found += await queue.claim(later(2), limit=2)
    assert ids_of(found) == free
    found = []
    for _ in range(60):
        found += (part := await queue.claim(later(11), limit=2))
        await queue.finish(*part)
    assert ids_of(found) == held


async def test_what_waits_for_its_cause_holds_nothing_up(queue: Queue) -> None:
    ids = await queue.add("r1", "r1")
    (head,) = await queue.claim(limit=1)
    await queue.put_back(head, 10, is_waiting=True)
    assert ids_of(await queue.claim()) == [ids[1]]
    assert ids_of(await queue.claim(later(10))) == [ids[0]]
    row = await queue.connection.fetchrow("SELECT * FROM inbox_queue WHERE id = $1", ids[0])
    assert (row["is_waiting"], row["last_error"], row["first_failed_at"]) == (True, "unavailable", NOW)


async def test_a_lease_that_is_over_is_somebody_elses_and_the_first_worker_changes_nothing_any_more(
    queue: Queue,
) -> None:
    ids = await queue.add("r1", "r2", "r3")
    slow = await queue.claim()
    assert await queue.claim(later(LEASE_S - 1)) == []
    quick = await queue.claim(later(LEASE_S))
    assert ids_of(quick) == ids
    assert {one.fence for one in quick} == {2}
    assert await queue.finish(slow[0]) == 0
    assert await queue.put_back(slow[1], 5) == 0
    parked = await park_deliveries(queue.connection, [(slow[2], Park("x", "y", 1))], NOW)
    assert parked == 0
    assert await queue.finish(*quick) == 3
    assert await queue.finish(*slow) == 0, "finished is finished"
    rows = await queue.connection.fetch(f"SELECT result FROM delivery_result WHERE {FIRST_RESULT}")
    assert [row["result"] for row in rows] == [APPLIED] * 3
    assert await queue.connection.fetchval("SELECT count(*) FROM dead_letter") == 0


async def test_telling_the_same_ends_twice_is_as_telling_them_once(queue: Queue) -> None:
    """The reply to a statement may be lost: whoever tells again finds that it was heard."""
    await queue.add("r1", "r2", "r3")
    one, two, three = await queue.claim()
    for _ in range(2):
        await queue.finish(one)
        await queue.put_back(two, 5)
        await park_deliveries(queue.connection, [(three, Park("x", "y", 1))], NOW)
    counted = [
        await queue.connection.fetchval(f"SELECT count(*) FROM {table}")
        for table in ("delivery_result", "inbox_queue", "dead_letter")
    ]
    assert counted == [1, 1, 1]
    assert await queue.connection.fetchval("SELECT attempts FROM inbox_queue") == 1


async def test_a_delivery_whose_workers_keep_ending_is_tried_alone(queue: Queue) -> None:
    ids = await queue.add(*(f"r{number}" for number in range(4)))
    now = NOW
    for lost in range(SUSPECT_AFTER):
        assert [one.lost for one in await queue.claim(now)] == [lost + 1] * 4
        now += timedelta(seconds=LEASE_S)
    fresh = await queue.add("r9", at=now)
    taken = [await queue.claim(now) for _ in range(5)]
    assert [ids_of(part) for part in taken] == [[id_] for id_ in [*ids, *fresh]]
    for part in taken:
        await queue.put_back(part[0], 0, now)
    assert ids_of(await queue.claim(now)) == [*ids, *fresh], "a word from the worker ends the suspicion"


async def test_only_one_worker_takes_from_a_provider_at_a_time(inbox: InboxDesk, queue: Queue) -> None:
    await queue.add("r1")
    await queue.add("r1", provider="other")
    other = await connect_app(inbox.url)
    try:
        async with other.transaction():
            await other.execute("SELECT FROM inbox_turn WHERE provider = 'acme' FOR UPDATE")
            lease = Lease(limit=1, until=NOW)
            assert await claim_deliveries(queue.connection, "acme", lease, NOW) is None, (
                "somebody else is taking"
            )
            assert len(await queue.claim(provider="other")) == 1
        assert len(await queue.claim()) == 1
    finally:
        await other.close()


async def test_a_provider_without_a_turn_gives_nothing(queue: Queue) -> None:
    assert await queue.claim(provider="nobody") == []
    await insert_turn(queue.connection, "nobody")
    lease = Lease(limit=1, until=NOW)
    assert await claim_deliveries(queue.connection, "nobody", lease, NOW) == []


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_becomes_of_deliveries_a_round_never_overtakes_itself_and_ends(
    queue: Queue, seed: int
) -> None:
    """Random claims, ends, lost workers and waits: compared at every step with what the queue may hand out."""
    chance = random.Random(seed)
    keys = [f"r{chance.randrange(12)}" for _ in range(150)]
    order = dict(zip(await queue.add(*keys), keys, strict=True))
    now, in_hand, waiting, finished = NOW, dict[UUID, Claimed](), set[UUID](), list[UUID]()
    for turn in range(3_000):
        if len(finished) == len(order):
            break
        now += timedelta(seconds=chance.choice((0, 0, 1, 3, LEASE_S if turn % 40 == 0 else 0)))
        taken = await queue.claim(now, limit=chance.choice((1, 3, 10)))
        require_prefixes(taken, order, waiting, finished)
        in_hand |= {one.id: one for one in taken}
        for one in chance.sample(list(in_hand.values()), min(len(in_hand), chance.randrange(4))):
            del in_hand[one.id]
            match chance.choice(("finish", "finish", "retry", "wait", "vanish")):
                case "finish":
                    if await queue.finish(one, now=now):
                        finished.append(one.id)
                case "retry":
                    if await queue.put_back(one, chance.uniform(0, 8), now):
                        waiting.discard(one.id)
                case "wait":
                    if await queue.put_back(one, chance.uniform(0, 8), now, is_waiting=True):
                        waiting.add(one.id)
                case _:
                    pass
    assert sorted(finished) == sorted(order), "everything is finished, once"


def require_prefixes(
    taken: list[Claimed], order: dict[UUID, str], waiting: set[UUID], finished: list[UUID]
) -> None:
    """Before each delivery of a round that was taken, everything is finished, waits for its cause or was taken too."""
    ids = ids_of(taken)
    assert ids == sorted(ids)
    settled = {*finished, *waiting}
    for id_ in ids:
        earlier = [one for one, key in order.items() if key == order[id_] and one < id_]
        assert set(earlier) <= settled | set(ids)


async def test_levels_tell_what_waits_and_how_fast_it_drains(queue: Queue) -> None:
    connection = queue.connection
    await insert_turn(connection, EVERYBODY)
    await queue.add("r1", at=later(-90))
    await queue.add("r2", "r3", "r4", "r5", at=later(-60))
    await queue.add("r1", at=later(-5), provider="other")
    first, second, third, *_ = await queue.claim()
    await queue.put_back(first, 1, is_waiting=True)
    await queue.finish(second, now=later(-2))
    await park_deliveries(connection, [(third, Park("x", "y", 1))], NOW)
    levels = {level.provider: level for level in await measure_levels(connection, NOW, timedelta(seconds=1))}
    acme, other = levels["acme"], levels["other"]
    assert (acme.depth, acme.waiting, acme.dead, acme.drained_per_min) == (3, 1, 1, 6)
    assert acme.lag_s(NOW) == 60.0, "what waits for its cause does not wait for its turn"
    assert (other.depth, other.waiting, other.lag_s(NOW)) == (1, 0, 5.0)
    assert {level.provider: level for level in await load_levels(connection)} == levels


async def test_levels_are_measured_by_one_worker_at_a_time_and_not_more_often_than_asked(
    inbox: InboxDesk, queue: Queue
) -> None:
    connection, pause = queue.connection, timedelta(seconds=1)
    await insert_turn(connection, EVERYBODY)
    await queue.add("r1")
    other = await connect_app(inbox.url)
    try:
        async with other.transaction():
            await other.execute("SELECT FROM inbox_turn WHERE provider = '' FOR UPDATE")
            assert await measure_levels(connection, NOW, pause) == []
    finally:
        await other.close()
    assert len(await measure_levels(connection, NOW, pause)) == 1
    assert await measure_levels(connection, later(0.5), pause) == []
    assert len(await measure_levels(connection, later(1.5), pause)) == 1
    await queue.finish(*await queue.claim())
    (level,) = await measure_levels(connection, later(-600), pause)
    assert (level.depth, level.oldest_at) == (0, None), (
        "a clock that is off does not keep others from measuring"
    )


async def test_eight_workers_at_once_take_every_delivery_once_and_rounds_in_order(
    inbox: InboxDesk, queue: Queue
) -> None:
    ids = await queue.add(*(f"r{number % 7}" for number in range(210)))
    keys = {id_: f"r{number % 7}" for number, id_ in enumerate(ids)}
    taken: list[UUID] = []

    async def work() -> None:
        own = Queue(await connect_app(inbox.url))
        try:
            while await own.connection.fetchval("SELECT count(*) FROM inbox_queue"):
                claimed = await own.claim(limit=9)
                taken.extend(ids_of(claimed))
                await asyncio.sleep(0)
                await own.finish(*claimed)
        finally:
            await own.connection.close()

    await asyncio.gather(*(work() for _ in range(8)))
    assert sorted(taken) == ids
    for key in set(keys.values()):
        assert [id_ for id_ in taken if keys[id_] == key] == [id_ for id_ in ids if keys[id_] == key]
