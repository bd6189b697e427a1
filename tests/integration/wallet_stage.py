"""A desk over real lanes and a wallet that plays the operator's part as the contract says, and misbehaves as told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from lane_desk import IDS, attempt
from msgspec import Struct, structs

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
from croupier.wallet.port import (
    NOT_FOUND,
    Approved,
    Balance,
    IfSpent,
    NotApplied,
    Operation,
    Refused,
    Unknown,
    WalletOrder,
    Word,
)
from model.calls import NOW, bet, call, open_session, win

TIMEOUT_S = 2.0


class Applied(Struct):
    """A movement as the wallet keeps it, and whether a rollback undid it."""

    order: WalletOrder
    word: Word
    is_undone: bool = False


class Trouble(Struct, frozen=True):
    """One call that goes wrong: whether it is applied all the same, what is said, and what is waited for before."""

    is_applied: bool
    word: Word | None = None
    until: asyncio.Event | None = None


class TownWallet:
    """The operator's wallet: right by itself; the next calls go wrong as `troubles` say, in order."""

    def __init__(self) -> None:
        self.balances: dict[tuple[str, str], int] = {}
        self.known: dict[str, Applied] = {}
        self.tombstones: set[str] = set()
        self.troubles: deque[Trouble] = deque()
        self.status_troubles: deque[Word] = deque()
        self.asked: list[WalletOrder] = []
        self.status_asked: list[str] = []
        self.is_down = False
        self.in_flight = 0
        self.most_in_flight = 0

    def deposit(self, player_id: str, amount: int, asset: str = "EUR") -> None:
        """Money that comes in at the operator's own cashier."""
        self.balances[player_id, asset] = self.balances.get((player_id, asset), 0) + amount

    def balance(self, player_id: str, asset: str = "EUR") -> int:
        """What the player has."""
        return self.balances.get((player_id, asset), 0)

    def is_away(self, operation: Operation) -> bool:
        """As an open breaker says."""
        return self.is_down

    async def move(self, order: WalletOrder, *, ends_at_s: float) -> Word:
        """Ask for a movement."""
        self.asked.append(order)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._move(order)
        finally:
            self.in_flight -= 1

    async def _move(self, order: WalletOrder) -> Word:
        await asyncio.sleep(0)
        if self.is_down:
            return NotApplied("unreachable")
        trouble = self.troubles.popleft() if self.troubles else None
        if trouble is None:
            return self.apply(order)
        if trouble.is_applied:
            self.apply(order)
        if trouble.until is not None:
            await trouble.until.wait()
        return trouble.word or self.apply(order)

    def apply(self, order: WalletOrder) -> Word:
        """Decide a movement once."""
        if order.reference not in self.known:
            self.known[order.reference] = Applied(order, self._decide(order))
        return self._now(self.known[order.reference])

    def _now(self, applied: Applied) -> Word:
        word, key = applied.word, (applied.order.player_id, applied.order.asset)
        if isinstance(word, Approved):
            return structs.replace(word, balance=self.balances.get(key, 0))
        return word

    def _decide(self, order: WalletOrder) -> Word:
        key = (order.player_id, order.asset)
        balance = self.balances.get(key)
        if balance is None:
            return Refused(code="unknown_player")
        if order.reference in self.tombstones:
            return Refused(code="tombstoned", balance=balance)
        if order.operation is Operation.ROLLBACK:
            return self._roll_back(order, balance)
        change = order.amount if order.operation is Operation.CREDIT else -order.amount
        if balance + change < 0:
            return Refused(code="insufficient_funds", balance=balance)
        self.balances[key] = balance + change
        return Approved(amount=order.amount, balance=balance + change)

    def _roll_back(self, order: WalletOrder, balance: int) -> Word:
        target = self.known.get(order.target_reference or "")
        if target is None or not isinstance(target.word, Approved):
            self.tombstones.add(order.target_reference or "")
            return Approved(amount=0, balance=balance, code="nothing_to_roll_back")
        if target.is_undone:
            return Approved(amount=0, balance=balance, code="already_rolled_back")
        amount = target.word.amount
        if target.order.operation is Operation.CREDIT:
            if amount > balance and order.if_spent is IfSpent.REFUSE:
                return Refused(code="insufficient_funds", balance=balance)
            amount = min(amount, balance)
        change = amount if target.order.operation is Operation.DEBIT else -amount
        target.is_undone = True
        self.balances[order.player_id, order.asset] = balance + change
        return Approved(amount=amount, balance=balance + change)

    async def ask_status(self, order: WalletOrder, *, ends_at_s: float) -> Word:
        """What became of a movement."""
        self.status_asked.append(order.reference)
        await asyncio.sleep(0)
        if self.is_down:
            return Unknown("unreachable")
        if self.status_troubles:
            return self.status_troubles.popleft()
        known = self.known.get(order.reference)
        return NotApplied(NOT_FOUND) if known is None else self._now(known)

    async def load_balance(
        self, player_id: str, asset: str, *, correlation_id: str, ends_at_s: float
    ) -> Balance | Refused | Unknown:
        """What a player has."""
        if self.is_down:
            return Unknown("unreachable")
        balance = self.balances.get((player_id, asset))
        return Refused(code="unknown_player") if balance is None else Balance(balance)


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
