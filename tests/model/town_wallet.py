"""The operator's wallet as the contract says, in memory, which misbehaves as it is told."""

from __future__ import annotations

import asyncio
from collections import deque

from msgspec import Struct, structs

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
