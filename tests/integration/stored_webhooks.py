"""Webhooks in the raw store without the HTTP before it: signed, verified, read and kept as intake does it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from croupier.ids import SESSION, bucket_of, render_id
from croupier.inbox.deliveries import Origin, render_delivery
from croupier.inbox.drain import Drain, DrainEdge, DrainSettings
from croupier.inbox.process import Patience
from croupier.inbox.replay.reading import Accounts
from croupier.money import AssetRegistry
from croupier.moneypath.lanes import Lanes
from croupier.providers.arrival import parse_head
from croupier.providers.contract import Context, Operation, ProviderAccount
from croupier.providers.notices import Notice
from croupier.providers.verification import RawRequest
from croupier.runtime.accounts import ADAPTERS
from croupier.runtime.database import connect_app
from croupier_signing import SigningKey, sign_webhook
from model.calls import ASSET, GAME, OPERATOR_FUNDED, POOL, PROVIDER

KEY: Final = SigningKey("acme-1", b"0123456789abcdef0123456789abcdef")
NATIVE: Final = ADAPTERS["croupier_v1"]
ACCOUNT: Final = ProviderAccount(
    id=PROVIDER,
    adapter="croupier_v1",
    base_url="",
    inbound_keys={KEY.id: KEY},
    outbound_key=None,
    assets=AssetRegistry(),
    contract_for=lambda *, asset, game_id, at: OPERATOR_FUNDED,
    pools=(POOL,),
)
ACCOUNTS: Final[Accounts] = {PROVIDER: (ACCOUNT, NATIVE)}
MONTH: Final = timedelta(days=30)
_NOISE: Final = random.Random(1)


class Webhook(Struct, frozen=True, kw_only=True):
    """One webhook: what it says, under which delivery id, when it came."""

    type: str
    data: dict[str, Any]
    id: str
    received_at: datetime

    def render_body(self) -> bytes:
        """The body as a provider sends it."""
        envelope = {"type": self.type, "timestamp": render_time(self.received_at), "data": self.data}
        return msgspec.json.encode(envelope)


def render_time(at: datetime) -> str:
    """RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def jackpot(session: UUID, player: str, reference: str, amount: int, **fields: Any) -> dict[str, Any]:
    """`data` of a jackpot win in a session."""
    return {
        "reference": reference,
        "session_id": render_id(SESSION, session),
        "round_id": "r1",
        "game_id": GAME,
        "player_id": player,
        "asset": ASSET,
        "amount": str(amount),
        "occurred_at": "2026-03-01T12:00:00Z",
        **fields,
    }


def completed(session: UUID, player: str, reference: str, **fields: Any) -> dict[str, Any]:
    """`data` of a completed round."""
    return {
        "reference": reference,
        "session_id": render_id(SESSION, session),
        "round_id": "r1",
        "player_id": player,
        "occurred_at": "2026-03-01T12:00:00Z",
        "outcome": {},
        **fields,
    }


def rolled_back(player: str, reference: str, target: str, **fields: Any) -> dict[str, Any]:
    """`data` of a rolled-back transaction."""
    return {
        "reference": reference,
        "target_reference": target,
        "player_id": player,
        "occurred_at": "2026-03-01T12:00:00Z",
        **fields,
    }


def session_closed(session: UUID, player: str) -> dict[str, Any]:
    """`data` of a closed session."""
    return {
        "session_id": render_id(SESSION, session),
        "player_id": player,
        "occurred_at": "2026-03-01T12:00:00Z",
    }


def statement_ready(statement: str) -> dict[str, Any]:
    """`data` of a statement that can be fetched."""
    return {
        "statement_id": statement,
        "occurred_at": "2026-04-01T00:00:00Z",
        "period_from": "2026-03-01T00:00:00Z",
        "period_to": "2026-04-01T00:00:00Z",
    }


class Mailbox:
    """Makes webhooks that come one millisecond after the other, and keeps them."""

    def __init__(self, url: str, start: datetime) -> None:
        self._url = url
        self._at = start
        self._count = 0

    def make(self, type_: str, data: dict[str, Any], id_: str | None = None) -> Webhook:
        """The next webhook."""
        self._count += 1
        self._at += timedelta(milliseconds=1)
        return Webhook(type=type_, data=data, id=id_ or f"msg-{self._count}", received_at=self._at)

    async def store(self, *webhooks: Webhook, provider: str = PROVIDER) -> list[UUID]:
        """Keep and queue webhooks; their ids."""
        rows = [_row(webhook, provider) for webhook in webhooks]
        connection = await connect_app(self._url)
        try:
            for start in range(0, len(rows), 1000):
                batch = rows[start : start + 1000]
                buckets = sorted({row.bucket for row in batch})
                known = await connection.fetchval(
                    "SELECT known FROM accept_deliveries($1, $2)", buckets, batch
                )
                assert not known, "a delivery id was used twice"
        finally:
            await connection.close()
        return [row.id for row in rows]


def _row(webhook: Webhook, provider: str) -> Any:
    body, at = webhook.render_body(), webhook.received_at
    signed_at = int(at.timestamp())
    path = f"/webhooks/{provider}"
    headers = (
        (b"webhook-id", webhook.id.encode()),
        (b"webhook-timestamp", b"%d" % signed_at),
        (
            b"webhook-signature",
            sign_webhook(KEY, webhook_id=webhook.id, timestamp_s=signed_at, body=body).encode(),
        ),
    )
    raw = RawRequest(method="POST", path=path.encode(), query=b"", headers=headers, body=body, received_at=at)
    notices = NATIVE.notices
    assert notices is not None
    verified = notices.verify(raw, ACCOUNT, at)
    notice: Notice = notices.decode(verified, Context(operation=Operation(name="webhook"), account=ACCOUNT))
    bucket = bucket_of(webhook.id)
    id_ = id_at(at, bucket)
    head = parse_head(
        {"method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": []}
    )
    return render_delivery(
        verified, notice, head, Origin(provider, id_, bucket, "croupier_v1", f"corr-{id_.hex}")
    )


def id_at(at: datetime, bucket: int) -> UUID:
    """An id as intake would have made it at that moment: the times of a mailbox are never the same twice."""
    milliseconds = round(at.timestamp() * 1000)
    noise = _NOISE.getrandbits(54)
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (0b10 << 62) | (noise << 8) | bucket)


def clock() -> datetime:
    """The time by this machine's clock."""
    return datetime.now(UTC)


@asynccontextmanager
async def draining(
    url: str, lanes: Lanes, accounts: Accounts = ACCOUNTS, **patience: Any
) -> AsyncIterator[asyncio.Event]:
    """A worker that drains the queue until the block ends; dead letters at the first failure unless said otherwise."""
    stop = asyncio.Event()
    edge = DrainEdge(
        connect=lambda: connect_app(url, lane=True),
        submit=lanes.submit,
        accounts=accounts,
        now=clock,
        settings=DrainSettings(idle_s=0.02, patience=Patience(**{"attempts": 1, **patience})),
    )
    task = asyncio.create_task(Drain(edge).run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await task


async def drain_all(url: str, lanes: Lanes, accounts: Accounts = ACCOUNTS, **patience: Any) -> None:
    """Drain until nothing is claimable any more: what waits for its cause goes on waiting."""
    connection = await connect_app(url)

    async def is_left() -> bool:
        return bool(await connection.fetchval("SELECT count(*) FROM inbox_queue WHERE NOT is_waiting"))

    try:
        async with draining(url, lanes, accounts, **patience):
            await until_not(is_left)
    finally:
        await connection.close()


async def until_not(condition: Callable[[], Awaitable[bool]], timeout_s: float = 60.0) -> None:
    """Wait for a condition to end, with a deadline."""
    async with asyncio.timeout(timeout_s):
        while True:
            if not await condition():
                return
            await asyncio.sleep(0.02)


async def require_every_delivery_accounted_for(connection: asyncpg.Connection) -> None:
    """I4: a row in the queue, a dead letter or a first result, and exactly one of them, for every delivery."""
    wrong: Iterable[Any] = await connection.fetch(
        """
        SELECT d.delivery_id, q.queued, x.dead, r.finished
          FROM delivery d
         CROSS JOIN LATERAL (SELECT count(*) AS queued FROM inbox_queue q WHERE q.bucket = d.bucket AND q.id = d.id) q
         CROSS JOIN LATERAL (SELECT count(*) AS dead FROM dead_letter x WHERE x.bucket = d.bucket AND x.id = d.id) x
         CROSS JOIN LATERAL (
            SELECT count(*) AS finished FROM delivery_result r
             WHERE r.bucket = d.bucket AND r.id = d.id AND r.replay = '00000000-0000-0000-0000-000000000000') r
         WHERE q.queued + x.dead + r.finished <> 1
        """
    )
    assert [dict(row) for row in wrong] == []
