"""Refused webhooks are kept: bounded for each provider, whatever bytes they were, at no cost to the others (E1, I9)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from webhook_desk import NOW, fetch

from croupier.errors import DELIVERY_ID_REUSED, UNAUTHENTICATED, CroupierError
from croupier.ids import IdSource
from croupier.inbox.redaction import MASK
from croupier.inbox.refusals import MOST_WAITING, Refusals, trim_refused
from croupier.providers.arrival import Head, parse_head
from croupier.runtime.database import connect_app, create_pool
from croupier_signing import payload_digest

WaitUntil = Callable[..., Awaitable[None]]
BODY = b'{"type":"round.completed","data":{"player_id":"bob"}}'
ERROR = CroupierError(UNAUTHENTICATED, "the signature does not match", reason="mismatch")


def head(*headers: tuple[str, str], path: str = "/webhooks/studio") -> Head:
    given = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"method": "POST", "raw_path": path.encode("latin-1"), "path": path, "query_string": b""}
    return parse_head(scope | {"headers": given})


async def all_refused(url: str) -> list[Any]:
    return await fetch(url, "SELECT * FROM refused_delivery ORDER BY id")


async def test_a_refusal_is_kept_with_its_reason_and_without_secrets(database_url: str) -> None:
    signed = [("webhook-id", "d-1"), ("webhook-signature", "v1,ABCDEFGHIJKLMNOP"), ("cookie", "secret")]
    pool = await create_pool(database_url, min_size=1, max_size=1)
    try:
        refusals = Refusals(pool, IdSource())
        refusals.note("studio", head(*signed), BODY, ERROR, NOW)
        refusals.note("studio", head(), None, CroupierError(DELIVERY_ID_REUSED, "why"), NOW)
        await refusals.write()
    finally:
        await pool.close()
    first, second = await all_refused(database_url)
    assert (first["provider"], first["delivery_id"], first["path"]) == ("studio", "d-1", "/webhooks/studio")
    assert (first["code"], first["reason"], first["status"]) == ("unauthenticated", "mismatch", 401)
    assert (first["detail"], first["received_at"]) == ("the signature does not match", NOW)
    assert json.loads(first["headers"]) == [["webhook-id", "d-1"], ["webhook-signature", f"v1,ABCDE{MASK}"]]
    assert (first["body_bytes"], first["body_digest"]) == (len(BODY), payload_digest(BODY))
    assert first["body_excerpt"] == BODY.decode().replace("bob", MASK)
    assert (second["delivery_id"], second["reason"], second["code"]) == (None, None, "delivery_id_reused")
    assert (second["body_bytes"], second["body_digest"], second["body_excerpt"]) == (None, None, None)


@pytest.mark.parametrize("body", [b"\0" * 5000, b"\xff\xfe\xfd", b'"\0\xff', b'{"\\u0000":"\\u0000"}', b""])
async def test_any_bytes_can_be_kept(database_url: str, body: bytes) -> None:
    strange = head(
        ("webhook-id", "\0\xff"), ("user-agent", "\0\xff" * 999), path="/webhooks/studio/\0\xff" + "x" * 999
    )
    error = CroupierError(UNAUTHENTICATED, "\0" + "long" * 999, reason="malformed")
    pool = await create_pool(database_url, min_size=1, max_size=1)
    try:
        refusals = Refusals(pool, IdSource())
        refusals.note("studio", strange, body, error, NOW)
        await refusals.write()
    finally:
        await pool.close()
    (row,) = await all_refused(database_url)
    assert row["body_bytes"] == len(body)
    assert row["delivery_id"] is None
    assert len(row["path"]) == len(row["detail"]) == 512


async def test_a_flood_is_counted_and_forgotten_and_costs_another_provider_nothing(
    database_url: str,
) -> None:
    dropped: list[str] = []
    pool = await create_pool(database_url, min_size=1, max_size=1)
    try:
        refusals = Refusals(pool, IdSource(), observe_dropped=dropped.append)
        for _ in range(3):
            for _ in range(1_000):
                refusals.note("flooding", head(), BODY, ERROR, NOW)
            refusals.note("studio", head(), BODY, ERROR, NOW)
            await refusals.write()
    finally:
        await pool.close()
    assert dropped == ["flooding"] * 3 * (1_000 - MOST_WAITING)
    rows = await all_refused(database_url)
    assert [row["provider"] for row in rows].count("flooding") == 3 * MOST_WAITING
    assert [row["provider"] for row in rows].count("studio") == 3


async def test_what_waits_is_written_by_itself_and_at_the_end(
    database_url: str, wait_until: WaitUntil
) -> None:
    pool = await create_pool(database_url, min_size=1, max_size=1)
    refusals = Refusals(pool, IdSource(), write_s=0.001)
    running = asyncio.create_task(refusals.run())
    refusals.note("studio", head(), BODY, ERROR, NOW)

    async def is_written() -> bool:
        return len(await all_refused(database_url)) == 1

    await wait_until(is_written)
    running.cancel()
    await asyncio.wait({running})
    refusals.note("studio", head(), BODY, ERROR, NOW)
    await refusals.drain()
    assert len(await all_refused(database_url)) == 2
    await pool.close()


class Sometimes:
    """A pool that is away when told to."""

    def __init__(self) -> None:
        self.is_away = True
        self.written: list[list[Any]] = []

    async def execute(self, query: str, *args: Any) -> str:
        if self.is_away:
            raise OSError("away")
        self.written.append(args[1])
        return "INSERT 0 1"


async def test_while_the_database_is_away_a_few_wait_and_nothing_is_written_twice() -> None:
    pool = Sometimes()
    refusals = Refusals(pool, IdSource())
    refusals.note("studio", head(), BODY, ERROR, NOW)
    await refusals.write()
    refusals.note("studio", head(), BODY, ERROR, NOW)
    pool.is_away = False
    await refusals.write()
    await refusals.write()
    assert [len(ids) for ids in pool.written] == [2]


async def test_what_the_database_will_never_take_does_not_stand_in_the_way(database_url: str) -> None:
    pool = await create_pool(database_url, min_size=1, max_size=1)
    try:
        refusals = Refusals(pool, IdSource())
        refusals.note("studio\0", head(), BODY, ERROR, NOW)
        await refusals.write()
        refusals.note("studio", head(), BODY, ERROR, NOW)
        await refusals.write()
    finally:
        await pool.close()
    assert [row["provider"] for row in await all_refused(database_url)] == ["studio"]


async def test_only_the_newest_of_each_provider_stay(database_url: str) -> None:
    pool = await create_pool(database_url, min_size=1, max_size=1)
    try:
        refusals = Refusals(pool, IdSource())
        for number in range(10):
            refusals.note("studio", head(("webhook-id", f"d-{number}")), BODY, ERROR, NOW)
        for number in range(3):
            refusals.note("other", head(("webhook-id", f"d-{number}")), BODY, ERROR, NOW)
        await refusals.write()
    finally:
        await pool.close()
    connection = await connect_app(database_url)
    try:
        assert await trim_refused(connection, 4) == 6
        assert await trim_refused(connection, 4) == 0
        rows = await all_refused(database_url)
        assert [row["delivery_id"] for row in rows if row["provider"] == "studio"] == [
            f"d-{number}" for number in range(6, 10)
        ]
        assert len([row for row in rows if row["provider"] == "other"]) == 3
        assert await trim_refused(connection, 0) == 7
    finally:
        await connection.close()
