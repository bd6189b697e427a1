"""A desk over real lanes and a wallet that plays the operator's part as the contract says, and misbehaves as told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from lane_desk import IDS, attempt
from msgspec import Struct

from croupier.errors import CroupierError
from croupier.ids import bucket_of
from croupier.moneypath.commands import Action, Bet, Call, Win
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import LaneSettings
from croupier.moneypath.lanes import Lanes
from croupier.moneypath.outcomes import Outcome
from croupier.operator.wallet.desk import WalletDesk
from croupier.operator.wallet.settling import Settling, SettlingParts
from croupier.runtime.database import connect_app, create_pool
from croupier.wallet.calls import WalletTerms
from model.calls import NOW, bet, call, open_session, win
from model.town_wallet import TownWallet

TIMEOUT_S = 2.0


class Guest(Struct, frozen=True):
    """A player with an open session."""

    player_id: str
    session_id: Any

    def bet(self, reference: str, amount: int = 100, **fields: Any) -> Call:
        """A call with one bet."""
        return self.call(self.bet_action(reference, amount), **fields)

    def bet_action(self, reference: str, amount: int = 100) -> Bet:
        """A bet in a round named after it."""
        return bet(
            reference,
            amount,
            player_id=self.player_id,
            session_id=self.session_id,
            round_id=f"round-{reference}",
        )

    def win_action(self, reference: str, amount: int, of: str) -> Win:
        """A win in the round of a bet."""
        return win(
            reference, amount, player_id=self.player_id, session_id=self.session_id, round_id=f"round-{of}"
        )

    def call(self, *actions: Action, **fields: Any) -> Call:
        """A call of its own with a fresh nonce."""
        return attempt(call(*actions), self.player_id, **fields)


class Clock:
    """The moment, until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **fields: float) -> None:
        """Let time pass."""
        self.now += timedelta(**fields)


class WalletStage(Struct, frozen=True):
    """A desk in front of lanes, what settles behind it, and the wallet that both ask."""

    url: str
    wallet: TownWallet
    desk: WalletDesk
    settling: Settling
    lanes: Lanes
    clock: Clock
    pool: asyncpg.Pool

    async def guest(self, player_id: str = "player-1", purse: int = 1_000) -> Guest:
        """A player who has money at the operator's, in a new session."""
        if purse:
            self.wallet.deposit(player_id, purse)
        made = Guest(player_id, IDS.new(bucket_of(player_id)))
        opening = open_session(made.session_id, player_id=player_id)
        (opened,) = await self.desk.submit(attempt(call(opening), player_id))
        assert opened.is_approved
        return made

    async def ask(self, request: Call) -> Outcome:
        """Decide a call of one action; raises its CroupierError."""
        (outcome,) = await self.desk.submit(request)
        return outcome

    async def settle(self) -> None:
        """Settle until nothing is due, and let every task end."""
        await self.desk.drain(5)
        for _ in range(100):
            if not await self.settling.turn():
                return
        raise AssertionError("it settles for ever")

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        """Rows."""
        return list(await self.pool.fetch(sql, *arguments))

    async def states(self) -> dict[str, str]:
        """The state of every wallet call that counts, by the reference that it serves."""
        rows = await self.fetch("SELECT reference, state FROM wallet_call ORDER BY id")
        return {row["reference"]: row["state"] for row in rows}

    async def breaks(self) -> list[str]:
        """The kinds of all breaks."""
        return [row["kind"] for row in await self.fetch("SELECT kind FROM break_item ORDER BY id")]


@asynccontextmanager
async def open_wallet_stage(
    url: str,
    *,
    wallet: TownWallet | None = None,
    terms: WalletTerms | None = None,
    clock: Clock | None = None,
    lanes: int = 1,
) -> AsyncIterator[WalletStage]:
    """Started lanes, a desk and settling, ended at the end of the block."""
    terms, clock, wallet = terms or WalletTerms(), clock or Clock(), wallet or TownWallet()
    made = Lanes(
        lanes,
        lambda: connect_app(url, lane=True, wallet_mode="remote"),
        lambda: Stamp(clock.now, IDS, clock.now + timedelta(hours=1)),
        LaneSettings(),
        wallet=terms,
    )
    made.start()
    pool = await create_pool(url, min_size=1, max_size=4)
    desk = WalletDesk(made.decide, wallet, IDS, timeout_s=TIMEOUT_S)
    parts = SettlingParts(pool=pool, desk=desk, ids=IDS, now=clock, terms=terms, timeout_s=TIMEOUT_S)
    try:
        yield WalletStage(url, wallet, desk, Settling(parts), made, clock, pool)
    finally:
        await desk.drain(5)
        await made.drain()
        await pool.close()


async def ask_in_vain(asking: Callable[[], Any]) -> CroupierError:
    """The error of a call that must fail."""
    try:
        await asking()
    except CroupierError as error:
        return error
    raise AssertionError("it was answered")
