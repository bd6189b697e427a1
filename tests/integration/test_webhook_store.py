"""Storing webhooks: each id once, durable before the answer, whatever happens to the database (E2, E3, I3, I4, I9)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from lane_desk import waiting_for_locks
from msgspec.structs import asdict
from webhook_desk import (
    IDS,
    NOW,
    accept_all,
    delivery,
    fetch,
    kept,
    open_acceptor,
    words,
)
from wire_proxy import Cut, WireProxy

from croupier.errors import INTERNAL, OVERLOADED, UNAVAILABLE, CroupierError
from croupier.ids import bucket_of
from croupier.inbox.accept import FEW, Acceptor, AcceptSettings, IntakeBatch, Receipt
from croupier.inbox.deliveries import Delivery
from croupier.runtime.database import connect_app
from croupier_signing import payload_digest

WaitUntil = Callable[..., Awaitable[None]]


async def test_a_delivery_is_kept_whole_and_queued(database_url: str) -> None:
    session_id = IDS.new(0)
    body = b'\x00\xff{"not":"even JSON"'
    one = delivery(
        "d-1",
        body,
        session_id=session_id,
        asset="EUR",
        amount=str(10**38 - 1),
        headers='[["x", "\u00e9"]]',
        trace_id="1" * 32,
    )
    async with open_acceptor(database_url) as acceptor:
        receipt = await acceptor.submit(one)
    assert receipt == Receipt(one.id, is_duplicate=False)
    (row,) = await fetch(database_url, "SELECT * FROM delivery")
    expected = one._asdict() | {"amount": Decimal(one.amount or 0)}
    assert dict(row) == {name: value for name, value in expected.items() if name != "order_key"}
    (queued,) = await fetch(database_url, "SELECT * FROM inbox_queue")
    assert (queued["bucket"], queued["id"], queued["provider"]) == (one.bucket, one.id, "studio")
    assert (queued["order_key"], queued["claimable_at"], queued["received_at"]) == (
        one.order_key,
        NOW,
        NOW,
    )
    assert (queued["fence"], queued["attempts"], queued["is_waiting"]) == (0, 0, False)


async def test_webhooks_of_one_moment_share_commits(database_url: str) -> None:
    turns: list[IntakeBatch] = []
    async with open_acceptor(database_url, observe=turns.append, batch=50) as acceptor:
        answers = await accept_all(acceptor, [delivery(f"d-{number}") for number in range(500)])
    assert words(answers) == ["accepted"] * 500
    assert [turn.size for turn in turns] == [50] * 10
    assert {turn.result for turn in turns} == {"committed"}
    deliveries, queued = await kept(database_url)
    assert deliveries == queued
    assert len(deliveries) == 500


async def test_beside_money_calls_webhooks_are_answered_a_few_at_a_time_and_share_more_commits(
    database_url: str,
) -> None:
    turns: list[IntakeBatch] = []
    answered_in: list[int] = []
    iteration = 0

    async def count_iterations() -> None:
        nonlocal iteration
        while True:
            iteration += 1
            await asyncio.sleep(0)

    async with open_acceptor(database_url, observe=turns.append, is_calm=lambda: False) as acceptor:
        await acceptor.submit(delivery("first"))
        counting = asyncio.create_task(count_iterations())
        waiting = []
        for number in range(40):
            waiting.append(acceptor.submit(delivery(f"d-{number}")))
            waiting[-1].add_done_callback(lambda _: answered_in.append(iteration))
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        counting.cancel()
        await asyncio.wait({counting})
    assert max(Counter(answered_in).values()) <= FEW
    assert len(turns) <= 5, "they came one by one, and were collected"


async def test_ids_within_one_batch_count_once(database_url: str) -> None:
    batch = [
        delivery("d-1"),
        delivery("d-2"),
        delivery("d-1"),
        delivery("d-1", b"other"),
        delivery("d-1", provider="other", body=b"other"),
        delivery("d-2", b"other"),
    ]
    async with open_acceptor(database_url) as acceptor:
        answers = await accept_all(acceptor, batch)
    assert words(answers) == [
        "accepted",
        "accepted",
        "duplicate",
        "delivery_id_reused",
        "accepted",
        "delivery_id_reused",
    ]
    assert answers[2] == Receipt(batch[0].id, is_duplicate=True)
    assert await kept(database_url) == ({batch[0].id, batch[1].id, batch[4].id},) * 2


async def test_a_duplicate_of_a_finished_delivery_is_not_queued_again(database_url: str) -> None:
    first = delivery("d-1")
    async with open_acceptor(database_url) as acceptor:
        await acceptor.submit(first)
        await fetch(database_url, "DELETE FROM inbox_queue")
        answers = await accept_all(acceptor, [delivery("d-2"), delivery("d-1"), delivery("d-1", b"other")])
    assert words(answers) == ["accepted", "duplicate", "delivery_id_reused"]
    _, queued = await kept(database_url)
    assert first.id not in queued
    assert len(queued) == 1
    error = answers[2]
    assert isinstance(error, CroupierError)
    assert f"dlv_{first.id.hex}" in error.detail


async def test_a_storm_of_duplicates_adds_nothing(database_url: str) -> None:
    async with open_acceptor(database_url, batch=64) as acceptor:
        ids = [f"d-{number % 100}" for number in range(1_000)]
        answers = await accept_all(acceptor, [delivery(one) for one in ids])
    assert words(answers).count("accepted") == 100
    assert words(answers).count("duplicate") == 900
    by_id = dict(zip(ids, answers, strict=False))
    for one, answer in zip(ids, answers, strict=True):
        first = by_id[one]
        assert isinstance(answer, Receipt)
        assert isinstance(first, Receipt)
        assert answer.id == first.id
    deliveries, queued = await kept(database_url)
    assert len(deliveries) == len(queued) == 100


async def test_two_processes_offer_the_same_ids_in_opposite_order(database_url: str) -> None:
    ids = [f"d-{number}" for number in range(300)]
    async with (
        open_acceptor(database_url, batch=60) as one,
        open_acceptor(database_url, batch=60) as other,
    ):
        mine, theirs = await asyncio.gather(
            accept_all(one, [delivery(name) for name in ids]),
            accept_all(other, [delivery(name) for name in reversed(ids)]),
        )
    for first, second in zip(mine, reversed(theirs), strict=True):
        assert sorted(words([first, second])) == ["accepted", "duplicate"]
        assert isinstance(first, Receipt)
        assert isinstance(second, Receipt)
        assert first.id == second.id
    deliveries, queued = await kept(database_url)
    assert deliveries == queued
    assert len(deliveries) == 300


async def test_an_id_that_is_being_stored_elsewhere_is_waited_for(
    database_url: str, wait_until: WaitUntil
) -> None:
    """Only whether the other one commits tells whether this one is a duplicate."""
    other = await connect_app(database_url)
    theirs, mine = delivery("d-1"), [delivery("d-1"), delivery("d-2")]
    async with open_acceptor(database_url) as acceptor:
        transaction = other.transaction()
        await transaction.start()
        await other.fetchval("SELECT known FROM accept_deliveries($1, $2)", [theirs.bucket], [theirs])
        asked = asyncio.create_task(accept_all(acceptor, mine))
        await wait_until(lambda: waiting_for_locks(database_url))
        await transaction.rollback()
        assert words(await asked) == ["accepted", "accepted"]
    await other.close()


async def test_a_delivery_that_cannot_be_written_stands_alone(database_url: str) -> None:
    batch = [delivery(f"d-{number}") for number in range(20)]
    batch[7] = delivery("d-7", headers="no JSON")
    async with open_acceptor(database_url) as acceptor:
        answers = await accept_all(acceptor, batch)
    assert words(answers) == ["accepted"] * 7 + ["internal"] + ["accepted"] * 12
    error = answers[7]
    assert isinstance(error, CroupierError)
    assert error.kind is INTERNAL
    deliveries, queued = await kept(database_url)
    assert deliveries == queued == {one.id for one in batch if one is not batch[7]}


# Faults of the database.


@asynccontextmanager
async def acceptor_behind_proxy(url: str, **settings: Any) -> AsyncIterator[tuple[Acceptor, WireProxy]]:
    async with (
        WireProxy(url) as proxy,
        open_acceptor(url, connect=lambda: connect_app(proxy.url, lane=True), **settings) as acceptor,
    ):
        yield acceptor, proxy


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER, Cut.LATE])
async def test_a_batch_whose_reply_was_lost_is_answered_as_the_first_time(
    database_url: str, wait_until: WaitUntil, cut: Cut
) -> None:
    async with acceptor_behind_proxy(database_url) as (acceptor, proxy):
        await acceptor.submit(delivery("before"))
        batch = [delivery(f"d-{number}") for number in range(20)]
        proxy.arm(cut, marker=b"d-19")
        asked = asyncio.create_task(accept_all(acceptor, [*batch, delivery("d-3"), delivery("before")]))
        await wait_until(lambda: proxy.cuts)
        if cut is Cut.LATE:
            # The redo is through before the server hears of the first try, which then finds the ids taken.
            assert words(await asked)[:20] == ["accepted"] * 20
            proxy.let_commit()
        answers = await asked
    assert words(answers) == ["accepted"] * 20 + ["duplicate"] * 2
    assert [one.id for one in answers if isinstance(one, Receipt)][:20] == [one.id for one in batch]
    assert proxy.cuts == 1
    deliveries, queued = await kept(database_url)
    assert deliveries == queued
    assert {one.id for one in batch} < deliveries
    assert len(deliveries) == 21


async def test_a_redo_does_not_queue_again_what_was_finished_meanwhile(
    database_url: str, wait_until: WaitUntil
) -> None:
    one = delivery("d-1")
    async with acceptor_behind_proxy(database_url, outage_s=10.0) as (acceptor, proxy):
        await acceptor.submit(delivery("before"))
        proxy.arm(Cut.AFTER, marker=b"d-1", is_last=True)
        asked = acceptor.submit(one)
        await wait_until(lambda: proxy.cuts and proxy.turned_away)
        await fetch(database_url, "DELETE FROM inbox_queue WHERE id = $1", one.id)
        proxy.come_back()
        assert await asked == Receipt(one.id, is_duplicate=False)
    _, queued = await kept(database_url)
    assert one.id not in queued


async def test_webhooks_wait_for_a_database_that_comes_back(database_url: str, wait_until: WaitUntil) -> None:
    async with acceptor_behind_proxy(database_url) as (acceptor, proxy):
        await acceptor.submit(delivery("before"))
        proxy.go_down()
        asked = asyncio.create_task(accept_all(acceptor, [delivery(f"d-{n}") for n in range(200)]))
        await wait_until(lambda: proxy.turned_away >= 3)
        assert not asked.done()
        proxy.come_back()
        assert words(await asked) == ["accepted"] * 200


async def test_webhooks_are_refused_together_when_the_database_stays_away(
    database_url: str, wait_until: WaitUntil
) -> None:
    async with acceptor_behind_proxy(database_url, outage_s=0.3, batch=10) as (acceptor, proxy):
        proxy.go_down()
        async with asyncio.timeout(5):
            answers = await accept_all(acceptor, [delivery(f"d-{n}") for n in range(100)])
        assert words(answers) == ["unavailable"] * 100
        assert {one.retry_after_s for one in answers if isinstance(one, CroupierError)} == {1}
        assert acceptor.depth == 0
        proxy.come_back()
        again = await accept_all(acceptor, [delivery(f"d-{n}") for n in range(100)])
        assert words(again) == ["accepted"] * 100


async def test_a_database_that_says_nothing_costs_no_longer_than_the_bound(
    database_url: str, wait_until: WaitUntil
) -> None:
    async with acceptor_behind_proxy(database_url, outage_s=0.3) as (acceptor, proxy):
        await acceptor.submit(delivery("before"))
        proxy.arm(Cut.SILENT, marker=b"d-1")
        async with asyncio.timeout(5):
            with pytest.raises(CroupierError) as caught:
                await acceptor.submit(delivery("d-1"))
        assert caught.value.kind is UNAVAILABLE
        assert (await acceptor.submit(delivery("d-1"))).is_duplicate is False


async def test_a_connection_the_server_ends_is_replaced_without_anybody_noticing(database_url: str) -> None:
    end = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'croupier' AND datname = current_database()
    """
    async with open_acceptor(database_url) as acceptor:
        await acceptor.submit(delivery("d-1"))
        assert await fetch(database_url, end)
        assert words(await accept_all(acceptor, [delivery("d-1"), delivery("d-2")])) == [
            "duplicate",
            "accepted",
        ]


async def test_a_server_that_became_read_only_is_left_for_another_connection(database_url: str) -> None:
    connections: list[asyncpg.Connection] = []

    async def connect() -> asyncpg.Connection:
        connections.append(await connect_app(database_url, lane=True))
        return connections[-1]

    async with open_acceptor(database_url, connect=connect) as acceptor:
        await acceptor.submit(delivery("d-1"))
        await connections[0].execute("SET default_transaction_read_only = on")
        assert words(await accept_all(acceptor, [delivery("d-2")])) == ["accepted"]
    assert len(connections) == 2


# Bounds.


async def test_no_more_are_stored_at_once_than_may(database_url: str) -> None:
    held, gate = asyncio.Event(), asyncio.Event()

    async def connect() -> asyncpg.Connection:
        held.set()
        await gate.wait()
        return await connect_app(database_url, lane=True)

    async with open_acceptor(database_url, connect=connect, accepting=100, batch=10) as acceptor:
        waiting = [acceptor.submit(delivery(f"d-{number}")) for number in range(100)]
        await held.wait()
        assert acceptor.depth == 100, "those in the batch that is written count too"
        for ask in (acceptor.require_room, lambda: acceptor.submit(delivery("one-more"))):
            with pytest.raises(CroupierError) as caught:
                ask()
            assert caught.value.kind is OVERLOADED
            assert caught.value.retry_after_s == 1
        gate.set()
        assert all(not one.is_duplicate for one in await asyncio.gather(*waiting))
        acceptor.require_room()
    deliveries, _ = await kept(database_url)
    assert len(deliveries) == 100


async def test_draining_stores_what_was_taken_in_and_takes_nothing_more(database_url: str) -> None:
    async with open_acceptor(database_url, batch=10) as acceptor:
        waiting = [acceptor.submit(delivery(f"d-{number}")) for number in range(50)]
        await acceptor.drain()
        assert all(one.done() for one in waiting)
        with pytest.raises(CroupierError) as caught:
            acceptor.submit(delivery("late"))
        assert caught.value.kind is UNAVAILABLE
    deliveries, _ = await kept(database_url)
    assert len(deliveries) == 50


async def test_an_acceptor_that_dies_says_so_and_leaves_nobody_waiting(database_url: str) -> None:
    deaths: list[bool] = []

    def fail(_: IntakeBatch) -> None:
        raise RuntimeError("a fault of our own")

    async with open_acceptor(
        database_url, observe=fail, on_death=lambda: deaths.append(True), batch=10
    ) as acceptor:
        answers = await accept_all(acceptor, [delivery(f"d-{number}") for number in range(30)])
        assert words(answers) == ["accepted"] * 10 + ["unavailable"] * 20
        assert deaths == [True]
        with pytest.raises(CroupierError) as caught:
            acceptor.require_room()
        assert caught.value.kind is UNAVAILABLE


async def test_a_sender_who_gave_up_disturbs_nobody(database_url: str) -> None:
    async with open_acceptor(database_url) as acceptor:
        first, second = acceptor.submit(delivery("d-1")), acceptor.submit(delivery("d-2"))
        first.cancel()
        assert not (await second).is_duplicate
    deliveries, _ = await kept(database_url)
    assert len(deliveries) == 2, "what was taken in is stored all the same"


async def test_the_application_can_add_and_forget_deliveries_and_never_change_one(
    database_url: str,
) -> None:
    async with open_acceptor(database_url) as acceptor:
        await acceptor.submit(delivery("d-1"))
    connection = await connect_app(database_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE delivery SET type = 'x'")
        await connection.execute("DELETE FROM delivery")
    finally:
        await connection.close()


def test_the_bounds_of_an_acceptor_are_those_of_the_configuration() -> None:
    from croupier.inbox.pace import REST
    from croupier.runtime.config import Inbox

    assert Inbox().rest == REST
    settings = asdict(AcceptSettings())
    assert settings["accepting"] == Inbox().accepting
    assert settings["retry_after_cap_s"] == Inbox().retry_after_cap_s
    assert settings["batch"] <= settings["accepting"]


def test_a_delivery_has_the_fields_of_its_row_type() -> None:
    from croupier.runtime.statements import load_statements

    sql = load_statements("croupier/runtime/migrations/0007_inbox_functions.pre.sql")
    row = sql["create_delivery_row"].sql
    columns = [line.split()[0] for line in row.splitlines()[1:-1]]
    assert columns == list(Delivery._fields)
    assert bucket_of("d-1") == delivery("d-1").bucket
    assert delivery("d-1").body_digest == payload_digest(delivery("d-1").body)
