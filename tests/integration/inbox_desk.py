"""A queue of webhooks with workers in the test's own process: a clock to turn, accounts to break, calls to watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct, structs
from stored_webhooks import ACCOUNT, ACCOUNTS, Mailbox, Webhook, until_not

from croupier.errors import CroupierError, ErrorKind
from croupier.inbox.drain import Drain, DrainEdge, DrainSettings, WorkRecord
from croupier.inbox.process import Patience
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import APPROVED, OK, Outcome
from croupier.providers.contract import Adapter, Context, ProviderAccount
from croupier.providers.manifest import Manifest
from croupier.providers.notices import Notice
from croupier.providers.verification import RawRequest, Verified
from croupier.runtime.accounts import ADAPTERS
from croupier.runtime.database import connect_app
from model.calls import NOW, PROVIDER

Accounts = Mapping[str, tuple[ProviderAccount, Adapter]]
Submit = Callable[[Call], Awaitable[tuple[Outcome, ...]]]
NATIVE: Final = ADAPTERS["croupier_v1"]
FIRST_RESULT: Final = "replay = '00000000-0000-0000-0000-000000000000'"


class Clock:
    """The tests' time, moved by hand."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **span: float) -> None:
        """Let time pass."""
        self.at += timedelta(**span)

    def behind(self, **span: float) -> Callable[[], datetime]:
        """The same time on a host whose clock is off."""
        return lambda: self.at - timedelta(**span)


class Till:
    """Stands in for the lanes: approves everything, notes the order, and fails as it is told."""

    def __init__(self) -> None:
        self.begun: list[UUID] = []
        self.ended: list[UUID] = []
        self.calls: list[Call] = []
        self.failing: dict[UUID, ErrorKind] = {}
        self.gate: asyncio.Event | None = None

    async def submit(self, call: Call) -> tuple[Outcome, ...]:
        """Decide a call, once the gate is open."""
        self.begun.append(call.request_id)
        self.calls.append(call)
        await (asyncio.sleep(0) if self.gate is None else self.gate.wait())
        self.ended.append(call.request_id)
        if (kind := self.failing.get(call.request_id)) is not None:
            raise CroupierError(kind, "as the test said")
        return tuple(Outcome(APPROVED, OK, "", asset="EUR") for _ in call.actions)


class OddNotices:
    """A webhook half that reads as the test says."""

    scheme = "standard_webhooks"

    def __init__(self, read: Callable[[Notice], Notice]) -> None:
        self._read = read

    def verify(self, raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
        """Nothing arrives here."""
        raise AssertionError("the tests store what is verified")

    def decode(self, verified: Verified, context: Context) -> Notice:
        """What the native protocol reads, and then what the test makes of it."""
        assert NATIVE.notices is not None
        return self._read(NATIVE.notices.decode(verified, context))


class OddAdapter(Struct, frozen=True):
    """An adapter whose webhook half is the test's."""

    notices: OddNotices
    manifest: Manifest = NATIVE.manifest


def odd_account(read: Callable[[Notice], Notice], name: str = PROVIDER) -> Accounts:
    """An account whose adapter reads notices as `read` says."""
    adapter: Any = OddAdapter(OddNotices(read))
    return {name: (structs.replace(ACCOUNT, id=name), adapter)}


def native_accounts(*names: str) -> Accounts:
    """Several accounts that speak the native protocol."""
    return {name: (structs.replace(ACCOUNT, id=name), NATIVE) for name in names}


class InboxDesk:
    """The queue of one database with everything a worker needs."""

    def __init__(self, url: str, connection: asyncpg.Connection) -> None:
        self.url = url
        self.connection = connection
        self.clock = Clock()
        self.till = Till()
        self.records: list[WorkRecord] = []
        self.mailbox = Mailbox(url, NOW - timedelta(minutes=1))
        self.accounts: Accounts = ACCOUNTS
        self.patience = Patience(attempts=3)

    async def put(self, *webhooks: Webhook, provider: str = PROVIDER) -> list[UUID]:
        """Store and queue webhooks; their ids."""
        return await self.mailbox.store(*webhooks, provider=provider)

    def edge(self, submit: Submit | None = None, **fields: Any) -> DrainEdge:
        """What a worker is given; settings that a test does not care about are small."""
        given = {"claim": 50, "idle_s": 0.02, "patience": self.patience, **fields.pop("settings", {})}
        return DrainEdge(
            **{
                "connect": lambda: connect_app(self.url, lane=True),
                "submit": submit or self.till.submit,
                "accounts": self.accounts,
                "now": self.clock,
                "observe": self.records.append,
                "settings": DrainSettings(**given),
                **fields,
            }
        )

    @asynccontextmanager
    async def working(self, *edges: DrainEdge) -> AsyncIterator[asyncio.Event]:
        """Workers that run until the block ends."""
        stop = asyncio.Event()
        tasks = [asyncio.create_task(Drain(edge).run(stop)) for edge in edges or (self.edge(),)]
        try:
            yield stop
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def drain(self, *edges: DrainEdge) -> None:
        """Work until nothing is due by the tests' clock."""

        async def is_left() -> bool:
            return bool(await self.due() or await self.leased())

        async with self.working(*edges):
            await until_not(is_left)

    async def due(self) -> int:
        """How many deliveries a worker may take now."""
        sql = "SELECT count(*) FROM inbox_queue WHERE claimable_at <= $1"
        return int(await self.connection.fetchval(sql, self.clock()))

    async def leased(self) -> int:
        """How many are in somebody's hand."""
        return int(await self.connection.fetchval("SELECT count(leased_until) FROM inbox_queue"))

    async def result(self, id_: UUID) -> asyncpg.Record | None:
        """What became of a delivery the first time."""
        sql = f"SELECT * FROM delivery_result WHERE id = $1 AND {FIRST_RESULT}"
        return await self.connection.fetchrow(sql, id_)

    async def said(self, *ids: UUID) -> list[tuple[str, str] | None]:
        """Result and code of each delivery; None for what has none yet."""
        rows = [await self.result(id_) for id_ in ids]
        return [None if row is None else (row["result"], row["code"]) for row in rows]

    async def queued(self, id_: UUID) -> asyncpg.Record | None:
        """A delivery's place in the queue."""
        return await self.connection.fetchrow("SELECT * FROM inbox_queue WHERE id = $1", id_)

    async def dead(self, id_: UUID) -> asyncpg.Record | None:
        """Why a delivery is dead."""
        return await self.connection.fetchrow("SELECT * FROM dead_letter WHERE id = $1", id_)

    async def breaks(self) -> list[tuple[str, str, str]]:
        """Kind, subject and owner of the work items there are."""
        rows = await self.connection.fetch(
            "SELECT kind, subject, owner FROM break_item ORDER BY kind, subject"
        )
        return [tuple(row) for row in rows]


@asynccontextmanager
async def open_inbox(url: str) -> AsyncIterator[InboxDesk]:
    """A desk with a connection to look with."""
    connection = await connect_app(url)
    try:
        yield InboxDesk(url, connection)
    finally:
        await connection.close()
