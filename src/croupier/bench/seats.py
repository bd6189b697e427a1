"""Players at the tables: wallets with money and open sessions, made through the lanes like any others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct, structs

from croupier.ids import IdSource, bucket_of
from croupier.moneypath.commands import OPERATOR, Action, Call, Deposit, Nonce, OpenSession
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import BatchRecord, LaneSettings
from croupier.moneypath.lanes import Lanes
from croupier.play.eligibility import Grant, PlayTerms
from croupier.play.session import Opening
from croupier.runtime.database import connect_app
from croupier.wallet.calls import WalletTerms

PROVIDER: Final = "sandbox"
ASSET: Final = "EUR"
GAME: Final = "dice"
STAKE: Final = 100
PRIZE: Final = 50
"""Minor units won for each stake: play costs money, and nobody runs out during a run."""
PURSE: Final = 10**12
_CHUNK: Final = 512


class Seat(Struct, frozen=True):
    """A player with money and an open session."""

    player_id: str
    session_id: UUID


def utc_now() -> datetime:
    """The clock of the benches."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_lanes(
    url: str,
    count: int,
    observe: Callable[[BatchRecord], None] = lambda _: None,
    *,
    wallet: WalletTerms | None = None,
) -> AsyncIterator[tuple[Lanes, IdSource]]:
    """Lanes as a worker has them, without HTTP around them; `wallet` where the operator keeps the players' money."""
    mode = "builtin" if wallet is None else "remote"
    ids = IdSource()

    def stamp() -> Stamp:
        now = utc_now()
        return Stamp(now, ids, now + timedelta(hours=1))

    def connect() -> Awaitable[asyncpg.Connection]:
        return connect_app(url, lane=True, wallet_mode=mode)

    lanes = Lanes(count, connect, stamp, LaneSettings(), observe, wallet=wallet)
    lanes.start()
    try:
        yield lanes, ids
    finally:
        await lanes.drain()


def call_of(ids: IdSource, seat: Seat, action: Action, *, provider: str = PROVIDER) -> Call:
    """One action as the callbacks would submit it, nonce included."""
    bucket = bucket_of(seat.player_id)
    request_id = ids.new(bucket)
    nonce = request_id.hex
    return Call(
        provider=provider,
        player_id=seat.player_id,
        bucket=bucket,
        request_id=request_id,
        correlation_id=nonce,
        actions=(action,),
        nonce=Nonce(bucket_of(nonce), "bench", nonce, utc_now() + timedelta(minutes=2)),
        time_source="provider" if provider != OPERATOR else OPERATOR,
    )


async def open_seats(
    url: str, count: int, *, prefix: str = "player", wallet: WalletTerms | None = None
) -> list[Seat]:
    """Deposit for `count` new players and open a session for each; prefixes keep two calls apart.

    With a wallet of the operator's, the deposits are to be made there.
    """
    seats: list[Seat] = []
    async with open_lanes(url, 1, wallet=wallet) as (lanes, ids):
        for begin in range(0, count, _CHUNK):
            numbers = range(begin, min(count, begin + _CHUNK))
            names = [f"{prefix}-{number}" for number in numbers]
            if wallet is None:
                await asyncio.gather(*(_deposit(lanes, ids, name) for name in names))
            told = () if wallet is None else ((ASSET, PURSE),)
            seats += await asyncio.gather(*(_open_seat(lanes, ids, name, told) for name in names))
    return seats


async def _deposit(lanes: Lanes, ids: IdSource, player_id: str) -> None:
    seat = Seat(player_id, ids.new(bucket_of(player_id)))
    deposit = Deposit(
        reference=f"deposit-{player_id}",
        player_id=player_id,
        asset=ASSET,
        amount=PURSE,
        occurred_at=utc_now(),
    )
    await lanes.submit(call_of(ids, seat, deposit, provider=OPERATOR))


async def _open_seat(lanes: Lanes, ids: IdSource, player_id: str, told: tuple[tuple[str, int], ...]) -> Seat:
    seat = Seat(player_id, ids.new(bucket_of(player_id)))
    now = utc_now()
    opening = Opening(
        player_id, PROVIDER, GAME, ASSET, "bench", 1200, "main", "operator", now + timedelta(days=1)
    )
    grant = Grant(
        id=ids.new(bucket_of(player_id)),
        decided_at=now,
        expires_at=now + timedelta(days=1),
        terms=PlayTerms(jurisdiction="XX", rules="XX/bench"),
        evidence="{}",
    )
    opened = OpenSession(session_id=seat.session_id, opening=opening, grant=grant)
    await lanes.submit(structs.replace(call_of(ids, seat, opened, provider=OPERATOR), told=told))
    return seat
