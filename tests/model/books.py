"""The books of the second ledger: lines of what happened, and the accounts they add up to. Minor units."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from uuid import UUID

from croupier.play.session import Opening

Account = tuple[str, str, str, str]
"""Kind, owner, asset, fund; clearing has its session in the place of the owner."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. `source` is who keeps contributions and pays jackpots or promotions."""

    kind: str
    reference: str
    player: str
    asset: str = ""
    amount: int = 0
    contribution: int = 0
    source: tuple[str, str] = ("", "")
    session: UUID | None = None
    round: str | None = None
    fund: str = "cash"
    undoes: Line | None = None

    @property
    def wallet(self) -> Account:
        """The wallet it moves."""
        return ("player_wallet", self.player, self.asset, self.fund)

    @property
    def clearing(self) -> Account:
        """The clearing it moves."""
        return ("operator_clearing", str(self.session), self.asset, "")

    @property
    def source_account(self) -> Account:
        """Where the contribution goes, or the jackpot or promotion comes from."""
        return (*self.source, self.asset, "")


class RoundLines:
    """What happened in one round."""

    def __init__(self, lines: list[Line], session: UUID, name: str) -> None:
        own = [line for line in lines if (line.session, line.round) == (session, name)]
        undone = [line.undoes for line in own]
        self.bets = sum(line.kind == "bet" for line in own)
        self.live_bets = [line for line in own if line.kind == "bet" and line not in undone]
        self.staked = sum(line.amount for line in self.live_bets)
        self.won = sum(line.amount for line in own if line.kind == "win" and line not in undone)


def totals(lines: list[Line]) -> Counter[Account]:
    """What every account holds after all lines, before any session is settled."""
    books: Counter[Account] = Counter()
    for line in lines:
        post(books, line)
    return books


def moves_of(line: Line) -> Counter[Account]:
    """The table "Entries"."""
    amount, moves = line.amount, Counter[Account]()
    if line.kind in ("deposit", "withdrawal"):
        sign = 1 if line.kind == "deposit" else -1
        moves[line.wallet] += sign * amount
        moves["operator_cash", "", line.asset, ""] -= sign * amount
    elif line.kind == "bet":
        moves[line.wallet] -= amount
        moves[line.clearing] += amount - line.contribution
        moves[line.source_account] += line.contribution
    elif line.kind in ("win", "jackpot", "promo"):
        moves[line.wallet] += amount
        moves[line.clearing if line.kind == "win" else line.source_account] -= amount
    return moves


def post(books: Counter[Account], line: Line) -> None:
    undone = line.undoes
    if undone is None:
        books.update(moves_of(line))
        return
    holds = books[undone.wallet]
    books.subtract(moves_of(undone))
    if undone.kind in ("win", "jackpot", "promo") and holds < undone.amount:
        owes = undone.amount - holds
        books[undone.wallet] += owes
        books["player_receivable", undone.player, undone.asset, ""] -= owes


def settle(books: Counter[Account], session: UUID, opening: Opening) -> None:
    """The provider's share of the whole result, rounded toward minus infinity, and the rest to revenue."""
    clearing = ("operator_clearing", str(session), opening.asset, "")
    result = books[clearing]
    share = math.floor(Fraction(result * opening.share_bps, 10_000))
    books["provider_payable", opening.provider, opening.asset, ""] += share
    books["operator_revenue", "", opening.asset, ""] += result - share
    books[clearing] = 0
