"""What is forgotten of webhooks and what stays; and plans of the queue that do not depend on what tables hold."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from inbox_desk import InboxDesk, open_inbox
from stored_webhooks import Mailbox, jackpot

from croupier.errors import UNAUTHENTICATED, CroupierError
from croupier.ids import IdSource, bucket_of
from croupier.inbox.connections import Connections
from croupier.inbox.purge import first_id, purge_inbox
from croupier.inbox.refusals import Refusals
from croupier.providers.arrival import parse_head
from croupier.runtime.database import connect_app
from croupier.runtime.statements import load_statements
from model.calls import NOW

SESSION = UUID(int=0x5E55_0001_0000_7000_8000_0000_0000_0001)
DAYS_90 = timedelta(days=90)


@pytest.fixture
async def inbox(database_url: str) -> AsyncIterator[InboxDesk]:
    async with open_inbox(database_url) as made:
        yield made


async def purge(inbox: InboxDesk, before: Any, keep_refused: int = 1000) -> int:
    connections = Connections(lambda: connect_app(inbox.url, lane=True), 1)
    try:
        return await purge_inbox(connections, before, keep_refused=keep_refused, stop=asyncio.Event())
    finally:
        connections.close()


async def put_at(inbox: InboxDesk, ago: timedelta, count: int) -> list[UUID]:
    mailbox = Mailbox(inbox.url, NOW - ago)
    made = [
        mailbox.make(
            "jackpot.won",
            jackpot(SESSION, "player-1", f"j-{ago.days}-{number}", 1, round_id=f"{ago.days}-{number}"),
            f"m-{ago.days}-{number}",
        )
        for number in range(count)
    ]
    return await mailbox.store(*made)


async def test_what_is_finished_and_old_is_forgotten_with_its_results_and_nothing_else(
    inbox: InboxDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("croupier.inbox.purge.BATCH", 7)
    old = await put_at(inbox, timedelta(days=91), 40)
    young = await put_at(inbox, timedelta(days=89), 5)
    await inbox.drain()
    replayed = """INSERT INTO delivery_result (bucket, id, replay, provider, result, code, attempts, finished_at)
                  SELECT bucket, id, $1, provider, 'repeat', 'ok', 1, finished_at FROM delivery_result"""
    await inbox.connection.execute(replayed, UUID(int=5))
    # One of the old ones is still queued, one is a dead letter.
    await inbox.connection.execute(
        """INSERT INTO inbox_queue (bucket, id, provider, order_key, claimable_at, received_at)
           SELECT bucket, id, provider, 'r', received_at, received_at FROM delivery WHERE id = $1""",
        old[3],
    )
    await inbox.connection.execute(
        """INSERT INTO dead_letter (bucket, id, provider, type, order_key, cause, detail, attempts, fence,
                                    received_at, died_at)
           SELECT bucket, id, provider, type, 'r', 'x', '', 1, 1, received_at, received_at
             FROM delivery WHERE id = $1""",
        old[30],
    )
    assert await purge(inbox, NOW - DAYS_90) == 38
    left = [row["id"] for row in await inbox.connection.fetch("SELECT id FROM delivery ORDER BY id")]
    assert left == [old[3], old[30], *young]
    kept = await inbox.connection.fetch("SELECT DISTINCT id FROM delivery_result ORDER BY id")
    assert [row["id"] for row in kept] == left
    assert await purge(inbox, NOW - DAYS_90) == 0


async def test_a_purge_that_is_told_to_stop_ends_between_two_pages(inbox: InboxDesk) -> None:
    await put_at(inbox, timedelta(days=91), 5)
    await inbox.drain()
    stop = asyncio.Event()
    stop.set()
    connections = Connections(lambda: connect_app(inbox.url, lane=True), 1)
    assert await purge_inbox(connections, NOW - DAYS_90, keep_refused=10, stop=stop) == 0
    connections.close()
    assert await inbox.connection.fetchval("SELECT count(*) FROM delivery") == 5


async def test_refused_webhooks_beyond_the_newest_of_a_provider_are_forgotten(inbox: InboxDesk) -> None:
    refusals = Refusals(inbox.connection, IdSource())
    head = parse_head({"method": "POST", "path": "/webhooks/a", "raw_path": b"/webhooks/a", "headers": [],
                       "query_string": b""})  # fmt: skip
    for number in range(6):
        refusals.note("acme", head, b"{}", CroupierError(UNAUTHENTICATED, f"no {number}"), NOW)
    refusals.note("other", head, b"{}", CroupierError(UNAUTHENTICATED, "no"), NOW)
    await refusals.write()
    await purge(inbox, NOW - DAYS_90, keep_refused=2)
    rows = await inbox.connection.fetch("SELECT provider, detail FROM refused_delivery ORDER BY provider, id")
    assert [tuple(row) for row in rows] == [("acme", "no 4"), ("acme", "no 5"), ("other", "no")]


def test_an_id_of_a_moment_comes_before_everything_made_then() -> None:
    ids = IdSource()
    made = ids.new(7)
    assert first_id(NOW) < first_id(NOW + timedelta(milliseconds=1))
    assert made.int >> 80 >= first_id(NOW).int >> 80
    assert first_id(NOW).int & ((1 << 80) - 1) == 0


# What a statement may not do on a lane's connection, whatever the tables hold.
SCAN = re.compile(r"Seq Scan on (\w+)")


async def plan_of(connection: asyncpg.Connection, sql: str, types: list[str], arguments: list[str]) -> str:
    """The generic plan of a statement, as text."""
    await connection.execute(f"PREPARE probe ({', '.join(types)}) AS {sql}")
    try:
        rows = await connection.fetch(f"EXPLAIN EXECUTE probe({', '.join(arguments)})")
        return "\n".join(row[0] for row in rows)
    finally:
        await connection.execute("DEALLOCATE probe")


async def body_of(connection: asyncpg.Connection, function: str) -> tuple[str, list[str]]:
    """The one query a function returns, with its arguments numbered, and their types."""
    row = await connection.fetchrow(
        "SELECT prosrc, proargnames, proargtypes::regtype[]::text[] AS types FROM pg_proc WHERE proname = $1",
        function,
    )
    source: str = row["prosrc"]
    query = source[source.index("RETURN QUERY") + len("RETURN QUERY") :]
    query = query[: query.index(";")].replace("LIMIT look", "LIMIT p_limit")
    for number, name in enumerate(row["proargnames"][: len(row["types"])], 1):
        query = re.sub(rf"\b{name}\b", f"${number}", query)
    return query, row["types"]


@pytest.mark.parametrize("is_filled", [False, True])
async def test_the_statements_of_the_queue_look_rows_up_by_key_whatever_the_tables_hold(
    inbox: InboxDesk, is_filled: bool
) -> None:
    if is_filled:
        await _fill(inbox.connection, 30_000)
    lane = await connect_app(inbox.url, lane=True)
    try:
        claim, types = await body_of(lane, "claim_inbox")
        moment = f"'{NOW.isoformat()}'"
        plan = await plan_of(
            lane, claim, types, [str(bucket_of("acme")), "'acme'", moment, moment, "100", "800", "3"]
        )
        assert SCAN.findall(plan) == [], plan
        for index in ("inbox_queue_due", "inbox_queue_order", "inbox_queue_pkey", "delivery_by_id"):
            assert index in plan, plan
        statements = load_statements("croupier/inbox/queue.sql")
        due = await plan_of(lane, statements["load_due_providers"].sql.rstrip(";"), ["timestamptz"], [moment])
        assert SCAN.findall(due) == [], due
        forget = load_statements("croupier/inbox/purge.sql")["forget_deliveries"].sql
        zero = f"'{UUID(int=0)}'"
        plan = await plan_of(lane, forget.rstrip(";"), ["uuid", "uuid", "integer"], [zero, zero, "10"])
        assert SCAN.findall(plan) == [], plan
    finally:
        await lane.close()


async def test_looking_for_work_reads_a_few_pages_of_a_long_queue(inbox: InboxDesk) -> None:
    await _fill(inbox.connection, 30_000)
    lane = await connect_app(inbox.url, lane=True)
    try:
        sql = load_statements("croupier/inbox/queue.sql")["load_due_providers"].sql.rstrip(";")
        moment = f"'{NOW.isoformat()}'::timestamptz"
        rows = await lane.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {sql.replace('$1', moment)}")
        found = re.search(r"Buffers: shared hit=(\d+)(?: read=(\d+))?", "\n".join(row[0] for row in rows))
        assert found is not None
        assert sum(int(number or 0) for number in found.groups()) < 100
    finally:
        await lane.close()


async def _fill(connection: asyncpg.Connection, count: int) -> None:
    """A long queue of three providers."""
    ids, records = IdSource(), []
    for number in range(count):
        bucket = number % 256
        records.append((bucket, ids.new(bucket), f"p{number % 3}", f"r{number // 2}", NOW, NOW))
    columns = ["bucket", "id", "provider", "order_key", "claimable_at", "received_at"]
    await connection.copy_records_to_table("inbox_queue", records=records, columns=columns)
