"""Lanes on a real database for tests: players with money and sessions, counted transactions, and the books' verdict."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
from msgspec import Struct, structs

from croupier.errors import CroupierError
from croupier.ids import IdSource, bucket_of
from croupier.moneypath.commands import Action, Bet, Call, Nonce
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import BatchRecord, LaneSettings
from croupier.moneypath.lanes import Lanes
from croupier.moneypath.outcomes import Outcome
from croupier.runtime.database import connect_app, connect_owner
from croupier.settlement.audit import check_ledger, replay_sessions
from model.calls import ASSET, NOW, bet, call, deposit, open_session

Connect = Callable[[], Awaitable[Any]]
IDS = IdSource()


class Seat(Struct, frozen=True):
    """A player with an open session."""

    player_id: str
    session_id: UUID

    def bet(self, reference: str, amount: int = 1, **fields: Any) -> Call:
        """A call of its own with one bet of this player."""
        return self.call(self.bet_action(reference, amount, **fields))

    def bet_under(self, nonce: Nonce, reference: str) -> Call:
        """A bet of one minor unit in a request with this nonce."""
        return self.call(self.bet_action(reference), nonce=nonce)

    def bet_action(self, reference: str, amount: int = 1, **fields: Any) -> Bet:
        """A bet in a round named after it."""
        given = {"round_id": f"round-{reference}", **fields}
        return bet(reference, amount, player_id=self.player_id, session_id=self.session_id, **given)

    def call(self, *actions: Action, **fields: Any) -> Call:
        """A call of its own with these actions and a fresh nonce."""
        return attempt(call(*actions), self.player_id, **fields)


def attempt(request: Call, player_id: str, **fields: Any) -> Call:
    """The same content as a request of its own: another request id, another nonce, the player's bucket."""
    bucket = bucket_of(player_id)
    request_id = IDS.new(bucket)
    given = {"nonce": nonce_of(request_id.hex), **fields}
    return structs.replace(request, player_id=player_id, bucket=bucket, request_id=request_id, **given)


def nonce_of(text: str, **fields: Any) -> Nonce:
    """A nonce of the usual key."""
    nonce = Nonce(bucket_of(text), "key-1", text, NOW + timedelta(minutes=2))
    return structs.replace(nonce, **fields)


class Desk(Struct, frozen=True):
    """Running lanes with what they reported."""

    lanes: Lanes
    records: list[BatchRecord]

    async def ask(self, request: Call) -> Outcome:
        """Decide a call of one action; raises its CroupierError."""
        (outcome,) = await self.lanes.submit(request)
        return outcome

    async def ask_all(self, requests: list[Call]) -> list[Outcome | CroupierError]:
        """Submit calls in one moment and in this order; their outcomes or errors in the same order."""
        given = await asyncio.gather(*(self.ask(one) for one in requests), return_exceptions=True)
        for one in given:
            assert isinstance(one, Outcome | CroupierError), repr(one)
        return [one for one in given if isinstance(one, Outcome | CroupierError)]

    async def seat(self, player_id: str, purse: int = 1_000) -> Seat:
        """A new player with so many minor units and an open session."""
        money = deposit(f"deposit-{player_id}", purse, player_id=player_id)
        assert (await self.ask(attempt(call(money), player_id))).is_approved
        return await self.another_session(player_id)

    async def another_session(self, player_id: str) -> Seat:
        """A player who has money already, in a new session."""
        made = Seat(player_id, IDS.new(bucket_of(player_id)))
        opened = open_session(made.session_id, player_id=made.player_id)
        assert (await self.ask(attempt(call(opened), made.player_id))).is_approved
        return made

    async def seats(self, count: int, purse: int = 1_000) -> list[Seat]:
        """Several players, at once."""
        return list(await asyncio.gather(*(self.seat(f"player-{number}", purse) for number in range(count))))


def make_stamp() -> Stamp:
    """The tests' moment."""
    return Stamp(NOW, IDS, NOW + timedelta(hours=1))


@asynccontextmanager
async def open_desk(
    url: str,
    *,
    lanes: int = 1,
    connect: Connect | None = None,
    stamp: Callable[[], Stamp] = make_stamp,
    **settings: Any,
) -> AsyncIterator[Desk]:
    """Started lanes, drained at the end."""
    records: list[BatchRecord] = []
    made = Lanes(
        lanes,
        connect or (lambda: connect_app(url, lane=True)),
        stamp,
        LaneSettings(**settings),
        records.append,
    )
    made.start()
    try:
        yield Desk(made, records)
    finally:
        await made.drain()


class CountedConnection:
    """A connection that counts the transactions in which something was decided, into a list that outlives it."""

    def __init__(self, connection: asyncpg.Connection, begun: list[int]) -> None:
        self._connection = connection
        self._begun = begun
        self.execute = connection.execute
        self.terminate = connection.terminate

    async def fetchrow(self, query: str, *arguments: Any) -> Any:
        """Run a statement and return its one row."""
        if "load_facts" in query:
            self._begun.append(1)
        return await self._connection.fetchrow(query, *arguments)


def counted(url: str, begun: list[int]) -> Connect:
    """Connections of a lane whose transactions are counted."""

    async def connect() -> CountedConnection:
        return CountedConnection(await connect_app(url, lane=True), begun)

    return connect


@asynccontextmanager
async def held_wallet(url: str, player_id: str) -> AsyncIterator[asyncpg.Connection]:
    """A stranger's transaction that holds a player's accounts until the end of the block."""
    connection = await connect_app(url)
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM account WHERE owner = $1 FOR UPDATE", player_id)
            yield connection
    finally:
        await connection.close()


async def waiting_for_locks(url: str) -> int:
    """How many statements of this database wait for a lock."""
    return int(
        await read_value(
            url,
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
    )


async def read_value(url: str, sql: str, *arguments: Any) -> Any:
    """The first column of the first row."""
    connection = await connect_owner(url)
    try:
        return await connection.fetchval(sql, *arguments)
    finally:
        await connection.close()


async def read_rows(url: str, sql: str, *arguments: Any) -> list[Any]:
    """Every row."""
    connection = await connect_owner(url)
    try:
        return list(await connection.fetch(sql, *arguments))
    finally:
        await connection.close()


async def balance_of(url: str, player_id: str) -> int:
    """What a player's wallet holds, in minor units."""
    sql = "SELECT balance FROM account WHERE owner = $1 AND kind = 'player_wallet' AND asset = $2"
    return int(await read_value(url, sql, player_id, ASSET))


async def require_sound_books(url: str) -> None:
    """I1, I2 and I5 over the whole database."""
    connection = await connect_app(url)
    try:
        report = await check_ledger(connection)
        assert report.is_held, report.invariants()
        replayed = await replay_sessions(connection)
        assert replayed.is_held, replayed.differences
    finally:
        await connection.close()


def approved(answers: list[Outcome | CroupierError]) -> list[Outcome]:
    """The approved outcomes among the answers."""
    return [one for one in answers if isinstance(one, Outcome) and one.is_approved]


def refusals(answers: list[Outcome | CroupierError]) -> list[CroupierError]:
    """The errors among the answers."""
    return [one for one in answers if isinstance(one, CroupierError)]


def with_address(url: str, port: int) -> str:
    """The same database, reached through a port of the loopback, without TLS."""
    moved = re.sub(r"(?<=@)[^/]+(?=/)", f"127.0.0.1:{port}", url)
    assert moved != url, "the URL names a host"
    return moved if "sslmode=disable" in moved else f"{moved}{'&' if '?' in moved else '?'}sslmode=disable"
