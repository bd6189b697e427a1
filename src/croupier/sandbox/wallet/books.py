"""The wallet's books in PostgreSQL: movements decided in batches, each batch one call and one transaction.

Players are dealt out to a few shards, each with a connection of its own. What comes while a shard is busy waits and
goes together next, so that many callers share a commit and what concerns one player stays in order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import asyncpg

from croupier.runtime.statements import load_statements
from croupier.sandbox.wallet.admission import Pass
from croupier.sandbox.wallet.answers import Said
from croupier.sandbox.wallet.clock import Clock
from croupier.sandbox.wallet.orders import Order
from croupier.sandbox.wallet.trouble import Trouble, unauthenticated

SHARDS: Final = 2
MOST_IN_BATCH: Final = 128
MOST_WAITING: Final = 8_192
MOST_TRIES: Final = 8
CONNECT_TIMEOUT_S: Final = 10.0
STATEMENT_TIMEOUT_S: Final = 15.0
POST_WITHIN_S: Final = 15.0
POLL_S: Final = 0.05

SETTINGS: Final = {
    "application_name": "croupier-reference-wallet",
    "timezone": "UTC",
    "synchronous_commit": "on",
    # Every statement finds its rows by key, whatever the tables held when it was planned.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "jit": "off",
}
QUERIES: Final = load_statements("croupier/sandbox/wallet/queries.sql")
SCHEMA: Final = (
    *load_statements("croupier/sandbox/wallet/schema.sql").values(),
    *load_statements("croupier/sandbox/wallet/functions.sql").values(),
)
_CONTENDED: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_LOST: Final = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError)


class PostTaken(Exception):
    """Another process keeps the wallet of this database."""


@dataclass(slots=True, eq=False)
class Ticket:
    """An order that waits for its decision; `broken` is a fault that the books are to have with it."""

    order: Order
    admitted: Pass | None
    broken: str | None
    answer: asyncio.Future[Said] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


async def connect(url: str) -> asyncpg.Connection:
    """One connection with the wallet's settings. Raises OSError, TimeoutError or asyncpg.PostgresError."""
    return await asyncpg.connect(
        url, timeout=CONNECT_TIMEOUT_S, command_timeout=STATEMENT_TIMEOUT_S, server_settings=SETTINGS
    )


class Shard:
    """Decides the orders of some players, in the order in which they came."""

    def __init__(self, url: str, clock: Clock, is_in_time: Callable[[Pass], bool]) -> None:
        self._url = url
        self._clock = clock
        self._is_in_time = is_in_time
        self._connection: asyncpg.Connection | None = None
        self._waiting: deque[Ticket] = deque()
        self._came = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_ending = False

    def take(self, ticket: Ticket) -> None:
        """Let an order wait for its turn. Raises Trouble (429) when too many do."""
        if self._is_ending:
            raise Trouble(503, "unavailable", "the wallet stops")
        if len(self._waiting) >= MOST_WAITING:
            raise Trouble(429, "overloaded", "too many movements wait")
        self._waiting.append(ticket)
        self._came.set()

    async def work(self) -> None:
        """Decide until it is told to finish, and nothing waits any more."""
        while self._waiting or not self._is_ending:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_IN_BATCH))]
                self._idle.clear()
                try:
                    await self._settle([ticket for ticket in batch if self._may_decide(ticket)])
                except Exception as error:  # noqa: BLE001 (the worker loop: one batch's fault must not end the shard)
                    _fail(batch, Trouble(500, "internal", repr(error), applied="unknown"))
                finally:
                    self._idle.set()

    async def finish_batch(self) -> None:
        """Wait until what is being decided now is committed."""
        await self._idle.wait()

    def finish(self) -> None:
        """Take nothing new, and end when nothing waits."""
        self._is_ending = True
        self._came.set()

    async def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            with suppress(*_LOST, asyncpg.PostgresError):
                await self._connection.close(timeout=CONNECT_TIMEOUT_S)

    def _may_decide(self, ticket: Ticket) -> bool:
        """A signature that expired while its request waited is stale: nothing is applied that late."""
        if ticket.admitted is None or self._is_in_time(ticket.admitted):
            return True
        _fail([ticket], unauthenticated("stale"))
        return False

    async def _settle(self, batch: list[Ticket], tries: int = 1) -> None:
        if not batch:
            return
        try:
            rows = await self._decide(batch)
        except Trouble as trouble:
            _fail(batch, trouble)
        except asyncpg.PostgresError as error:
            await self._settle_failed(batch, error, tries)
        else:
            for ticket, row in zip(batch, rows, strict=True):
                if not ticket.answer.done():
                    ticket.answer.set_result(Said(*row))

    async def _decide(self, batch: list[Ticket]) -> list[asyncpg.Record]:
        """One row for each. Raises PostgresError when all was rolled back, Trouble (503) when the database is away."""
        try:
            connection = await self._connect()
        except (*_LOST, asyncpg.PostgresError) as error:
            raise Trouble(503, "unavailable", f"the database does not answer: {error}") from None
        try:
            rows: list[asyncpg.Record] = await connection.fetch(
                QUERIES["move_all"].sql, *_columns(batch, self._clock.stamp())
            )
        except _LOST as error:
            self._drop(connection)
            detail = f"the database went away: {error}"
            raise Trouble(503, "unavailable", detail, applied="unknown") from None
        return rows

    async def _settle_failed(self, batch: list[Ticket], error: asyncpg.PostgresError, tries: int) -> None:
        """What was rolled back is tried again, each order alone: one must not take its neighbours with it."""
        if len(batch) > 1:
            for ticket in batch:
                await self._settle([ticket])
        elif not isinstance(error, _CONTENDED):
            _fail(batch, Trouble(500, "internal", f"the books failed: {error}", applied="unknown"))
        elif tries >= MOST_TRIES:
            _fail(batch, Trouble(409, "in_flight", "the reference is being decided", applied="unknown"))
        else:
            await self._settle(batch, tries + 1)

    async def _connect(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._url)
        return self._connection

    def _drop(self, connection: asyncpg.Connection) -> None:
        self._connection = None
        connection.terminate()


class Books:
    """The shards, and the connection that keeps this process the only one and reads whole pages."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._shards: tuple[Shard, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []
        self._desk: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> list[tuple[str, int]]:
        """Take the post, make the schema; the nonces that were spent lately.

        Raises PostTaken, or what `connect` raises.
        """
        self._desk = await connect(self._url)
        await self._take_post(self._desk)
        async with self._desk.transaction():
            for statement in SCHEMA:
                await self._desk.execute(statement.sql)
        rows = await self._desk.fetch(QUERIES["load_nonces"].sql, self._clock.now_s())
        return [(row["nonce"], row["expires_s"]) for row in rows]

    async def _take_post(self, desk: asyncpg.Connection) -> None:
        """A former process that was killed keeps it until its last transaction has ended."""
        try:
            async with asyncio.timeout(POST_WITHIN_S):
                while not await desk.fetchval(QUERIES["take_post"].sql):  # noqa: ASYNC110 (another process holds it)
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise PostTaken("another reference wallet runs on this database") from None

    def start(self, is_in_time: Callable[[Pass], bool]) -> None:
        """Begin to decide."""
        self._shards = tuple(Shard(self._url, self._clock, is_in_time) for _ in range(SHARDS))
        self._tasks = [asyncio.create_task(shard.work()) for shard in self._shards]

    async def close(self) -> None:
        """Decide what waits, refuse what comes, and give the connections back."""
        for shard in self._shards:
            shard.finish()
        await asyncio.gather(*self._tasks)
        for shard in self._shards:
            await shard.close()
        if self._desk is not None:
            await self._desk.close(timeout=CONNECT_TIMEOUT_S)

    def ask(
        self, order: Order, admitted: Pass | None = None, broken: str | None = None
    ) -> asyncio.Future[Said]:
        """Have an order decided; the future raises Trouble when it cannot be. Raises Trouble (429)."""
        ticket = Ticket(order, admitted, broken)
        self._shards[hash(order.player_id) % SHARDS].take(ticket)
        return ticket.answer

    async def load_settled(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Rows of a named statement, after everything that is being decided now is committed. Raises Trouble (503)."""
        await asyncio.gather(*(shard.finish_batch() for shard in self._shards))
        return await self._read(name, *arguments)

    async def block(self, player_id: str, *, is_blocked: bool) -> None:
        """From now on debits of a player are refused, or not. Raises Trouble (503)."""
        await self._read("block", player_id, is_blocked)

    async def forget_nonces(self) -> None:
        """Delete those that are in time no longer. Raises Trouble (503)."""
        await self._read("delete_nonces", self._clock.now_s() - 1)

    async def _read(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        async with self._turn:
            try:
                if self._desk is None or self._desk.is_closed():
                    self._desk = await connect(self._url)
                rows: list[asyncpg.Record] = await self._desk.fetch(QUERIES[name].sql, *arguments)
            except (*_LOST, asyncpg.PostgresError) as error:
                raise Trouble(503, "unavailable", f"the database does not answer: {error}") from None
            return rows


def _columns(batch: Sequence[Ticket], at: datetime) -> tuple[Any, ...]:
    """The arguments of `move_all`: one array for each property of the orders, the time, and the nonces."""
    orders = [ticket.order for ticket in batch]
    passes = {ticket.admitted.nonce: ticket.admitted.expires_s for ticket in batch if ticket.admitted}
    passes.pop("", None)
    return (
        [order.reference for order in orders],
        [order.operation for order in orders],
        [order.player_id for order in orders],
        [order.asset for order in orders],
        [order.amount for order in orders],
        [order.target_reference for order in orders],
        [order.if_spent for order in orders],
        [ticket.broken for ticket in batch],
        at,
        [order.correlation_id for order in orders],
        [order.told for order in orders],
        list(passes),
        list(passes.values()),
    )


def _fail(batch: Sequence[Ticket], trouble: Trouble) -> None:
    for ticket in batch:
        if not ticket.answer.done():
            ticket.answer.set_exception(trouble)
