"""Events on a real database and receivers on loopback, for the tests of the outbox."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from aiohttp import web
from msgspec import Struct
from standardwebhooks.webhooks import Webhook

from croupier.events import BREAKER_OPENED, MONEY_MOVED, EventData, MoneyMoved, render_event
from croupier.ids import EVENT, IdSource, bucket_of, render_id
from croupier.moneypath.commands import Call
from croupier.operator.outbox.deliver import EndpointDelivery, Tools
from croupier.operator.outbox.fan_out import FanOut
from croupier.operator.outbox.records import Record
from croupier.operator.outbox.samples import render_sample
from croupier.operator.outbox.settings import Endpoint, Outbox
from croupier.runtime.database import create_pool
from croupier_signing import SigningKey

SECRET = b"sixteen-bytes-or-more-of-a-secret"
NEXT_SECRET = b"the-secret-that-comes-after-the-first"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCHEDULE_S = (5, 300, 1800)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        """The time it shows."""
        return self.at

    def advance(self, **span: float) -> None:
        """Move it on."""
        self.at += timedelta(**span)


class Got(Struct, frozen=True):
    """A request that a receiver was sent."""

    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    def verified_with(self, secret: bytes) -> Any:
        """The payload, if the reference library takes the signature under this secret; it raises otherwise."""
        return oracle(secret).verify(self.body, self.headers)


def oracle(secret: bytes) -> Webhook:
    """The reference library's verifier, which wants the secret in base64."""
    return Webhook(base64.b64encode(secret).decode())


Behave = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """What an operator runs: remembers every request, and answers with what is set."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.behave: Behave | None = None
        self.url = ""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.got.append(
            Got({name.lower(): value for name, value in request.headers.items()}, await request.read())
        )
        if self.behave is not None:
            return await self.behave(request)
        status = self.statuses.pop(0) if self.statuses else 204
        return web.Response(status=status, headers=self.headers, text="" if status == 204 else "the answer")

    @property
    def ids(self) -> list[str]:
        return [one.event_id for one in self.got]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Receiver]:
        """Listen on a port of its own until the block ends."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/events"
        try:
            yield self
        finally:
            await runner.cleanup()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that takes everything."""
    async with Receiver().serving() as receiver:
        yield receiver


def endpoint_at(url: str, name: str = "platform", **fields: Any) -> Endpoint:
    """An endpoint on loopback."""
    given: dict[str, Any] = {"keys": (SigningKey(f"{name}-1", SECRET),), "allow_private": True, **fields}
    return Endpoint(id=name, url=url, **given)


def outbox_of(*endpoints: Endpoint, **fields: Any) -> Outbox:
    """The outbox with these endpoints and a short schedule."""
    return Outbox(endpoints=endpoints, **{"schedule_s": SCHEDULE_S, **fields})


class Stage:
    """A database, a clock and everything that deliveries work with."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.clock = Clock()
        self.ids = IdSource()
        self.records: list[Record] = []
        self.reports: list[Call] = []
        self._count = 0

    async def _submit(self, call: Call) -> tuple[()]:
        self.reports.append(call)
        return ()

    def tools(self, **fields: Any) -> Tools:
        """What a delivery is given; nothing is left to chance."""
        given: dict[str, Any] = {
            "pool": self.pool,
            "submit": self._submit,
            "ids": self.ids,
            "now": self.clock.now,
            "chance": lambda: 0.0,
            "observe": self.records.append,
            **fields,
        }
        return Tools(**given)

    async def add_events(
        self, count: int = 1, *, type_: str = MONEY_MOVED, player_id: str = "player-1"
    ) -> list[str]:
        """Write events as the money path does; their public ids in their order."""
        return [await self.add_event(type_=type_, player_id=player_id) for _ in range(count)]

    async def add_event(
        self,
        *,
        type_: str = MONEY_MOVED,
        player_id: str = "player-1",
        recorded_at: datetime | None = None,
        payload: str | None = None,
    ) -> str:
        """Write one event."""
        self._count += 1
        bucket = bucket_of(player_id)
        event_id = self.ids.new(bucket)
        at = recorded_at or self.clock.now()
        await self.pool.execute(
            "INSERT INTO outbox_event (bucket, id, type, session_id, player_id, payload, recorded_at) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7)",
            bucket,
            event_id,
            type_,
            None if type_ == BREAKER_OPENED else UUID(int=(7 << 76) | bucket),
            player_id,
            payload or render_event(type_, at, self._data(type_, at)),
            at,
        )
        return render_id(EVENT, event_id)

    def _data(self, type_: str, at: datetime) -> EventData:
        sample = render_sample(type_, at)
        if isinstance(sample, MoneyMoved):
            fields = {name: getattr(sample, name) for name in sample.__struct_fields__}
            return MoneyMoved(**{**fields, "reference": f"bet-{self._count}"})
        return sample

    async def fan_out(self, outbox: Outbox, *, limit: int = 1000) -> int:
        """Give new events to the consumers."""
        return await FanOut(outbox, self.tools(), limit=limit).give()

    @asynccontextmanager
    async def delivering(
        self, endpoint: Endpoint, outbox: Outbox | None = None, **tools: Any
    ) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """A delivery to one endpoint: call what this gives to make every attempt that is due now."""
        delivery = EndpointDelivery(endpoint, outbox or outbox_of(endpoint), self.tools(**tools))

        async def drain() -> None:
            while await delivery.turn():
                pass

        try:
            yield drain
        finally:
            await delivery.finish()

    async def attempts(self) -> list[tuple[Any, ...]]:
        """What was tried, in the order of time: attempt, result, status, error."""
        rows = await self.pool.fetch(
            "SELECT attempt, result, status, error FROM outbox_attempt ORDER BY at, event_id, attempt"
        )
        return [tuple(row) for row in rows]

    async def waiting(self, endpoint: str = "platform") -> int:
        """How many events wait for an endpoint."""
        sql = "SELECT count(*) FROM outbox_delivery WHERE endpoint = $1"
        return int(await self.pool.fetchval(sql, endpoint))

    async def due_in_s(self) -> Sequence[float]:
        """In how many seconds each delivery is due."""
        rows = await self.pool.fetch("SELECT claimable_at FROM outbox_delivery ORDER BY position")
        return [(row["claimable_at"] - self.clock.now()).total_seconds() for row in rows]


@asynccontextmanager
async def open_stage(url: str) -> AsyncIterator[Stage]:
    """A stage on this database, with the application's rights."""
    pool = await create_pool(url, min_size=1, max_size=8)
    try:
        yield Stage(pool)
    finally:
        await pool.close()
