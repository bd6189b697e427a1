"""An acceptor on a real database for tests: made-up deliveries, and what is kept of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from croupier.errors import CroupierError
from croupier.ids import IdSource, bucket_of
from croupier.inbox.accept import Acceptor, AcceptSettings, IntakeBatch, Receipt
from croupier.inbox.deliveries import Delivery
from croupier.runtime.database import connect_app, connect_owner
from croupier_signing import payload_digest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDS = IdSource()
Answer = Receipt | CroupierError


def delivery(delivery_id: str, body: bytes = b'{"type":"round.completed"}', **fields: Any) -> Delivery:
    """A verified webhook, as the intake renders one."""
    bucket = bucket_of(delivery_id)
    given: dict[str, Any] = {
        "bucket": bucket,
        "provider": "studio",
        "delivery_id": delivery_id,
        "id": IDS.new(bucket),
        "type": "round.completed",
        "player_id": "player-1",
        "session_id": None,
        "provider_round_id": "round-1",
        "reference": "close-1",
        "asset": None,
        "amount": None,
        "occurred_at": NOW,
        "path": "/webhooks/studio",
        "headers": '[["webhook-id", "x"]]',
        "body": body,
        "body_digest": payload_digest(body),
        "key_id": "studio-1",
        "verified_as": "standard_webhooks",
        "signed_at": NOW,
        "received_at": NOW,
        "correlation_id": "c-1",
        "trace_id": None,
        "order_key": "ses_1:round-1",
    }
    return Delivery(**given | fields)


@asynccontextmanager
async def open_acceptor(
    url: str,
    *,
    connect: Callable[[], Awaitable[Any]] | None = None,
    observe: Callable[[IntakeBatch], None] = lambda _: None,
    on_death: Callable[[], None] = lambda: None,
    is_calm: Callable[[], bool] = lambda: True,
    **settings: Any,
) -> AsyncIterator[Acceptor]:
    """A started acceptor, drained at the end."""
    given = AcceptSettings(**{"accepting": 4096, **settings})
    acceptor = Acceptor(connect or (lambda: connect_app(url, lane=True)), given, observe, on_death, is_calm)
    acceptor.start()
    try:
        yield acceptor
    finally:
        await acceptor.drain()


async def accept_all(acceptor: Acceptor, deliveries: list[Delivery]) -> list[Answer]:
    """Submit in one moment and in this order; what each was answered, in the same order."""
    waiting = [acceptor.submit(one) for one in deliveries]
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    for one in answers:
        assert isinstance(one, Receipt | CroupierError), repr(one)
    return [one for one in answers if isinstance(one, Receipt | CroupierError)]


def words(answers: list[Answer]) -> list[str]:
    """`accepted`, `duplicate`, or the code of the error."""
    return [
        one.kind.code if isinstance(one, CroupierError) else "duplicate" if one.is_duplicate else "accepted"
        for one in answers
    ]


async def fetch(url: str, sql: str, *arguments: Any) -> list[asyncpg.Record]:
    """Rows, read as the owner."""
    connection = await connect_owner(url)
    try:
        return list(await connection.fetch(sql, *arguments))
    finally:
        await connection.close()


async def kept(url: str) -> tuple[set[Any], set[Any]]:
    """The ids of all deliveries, and of those that wait."""
    deliveries = await fetch(url, "SELECT id FROM delivery")
    queued = await fetch(url, "SELECT id FROM inbox_queue")
    assert len(deliveries) == len({row["id"] for row in deliveries})
    return {row["id"] for row in deliveries}, {row["id"] for row in queued}
