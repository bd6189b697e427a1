"""Accounts and postings. Positive increases what an account holds for its owner (`money.md`, "Accounts")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from msgspec import Struct

WALLET: Final = "player_wallet"
RECEIVABLE: Final = "player_receivable"
CLEARING: Final = "operator_clearing"
REVENUE: Final = "operator_revenue"
CASH: Final = "operator_cash"
PROMO: Final = "promo_expense"
PAYABLE: Final = "provider_payable"
POOL: Final = "jackpot_pool"
SUSPENSE: Final = "suspense"

MATERIALISED: Final = frozenset({WALLET, RECEIVABLE, POOL})
"""Kinds with a balance row; the balances of all others are the sum of their postings."""

CASH_FUND: Final = "cash"
NO_FUND: Final = ""
HOUSE: Final = ""
"""Owner of the operator's own accounts, of which there is one per asset."""


class AccountKey(Struct, frozen=True, gc=False):
    """Which materialised account: kind, owner (player or pool id), asset code, fund.

    A pool has one balance in each bucket that contributed, so that no two lanes queue on one row; `bucket` tells
    them apart. A player has one bucket, and it is left 0.
    """

    kind: str
    owner: str
    asset: str
    fund: str
    bucket: int = 0


class Leg(Struct, frozen=True, gc=False):
    """One side of an entry before it is written: account and signed amount in minor units."""

    kind: str
    owner: str
    asset: str
    fund: str
    amount: int
    session_id: UUID | None = None

    def account_in(self, bucket: int) -> AccountKey:
        """The account this leg posts to when its entry is in `bucket`."""
        return account_key(self.kind, self.owner, self.asset, self.fund, bucket=bucket)


def account_key(kind: str, owner: str, asset: str, fund: str, *, bucket: int) -> AccountKey:
    """The key of a materialised account whose row is in `bucket`."""
    return AccountKey(kind, owner, asset, fund, bucket if kind == POOL else 0)


def wallet_of(player_id: str, asset: str, fund: str = CASH_FUND) -> AccountKey:
    """The wallet of a player in one asset and fund."""
    return AccountKey(WALLET, player_id, asset, fund)


def receivable_of(player_id: str, asset: str) -> AccountKey:
    """What a player owes in one asset."""
    return AccountKey(RECEIVABLE, player_id, asset, NO_FUND)


def mirror(legs: Iterable[Leg]) -> tuple[Leg, ...]:
    """The exact opposite of an entry."""
    return tuple(Leg(leg.kind, leg.owner, leg.asset, leg.fund, -leg.amount, leg.session_id) for leg in legs)


def imbalance(legs: Iterable[Leg]) -> dict[str, int]:
    """The assets in which the legs do not sum to zero, with the sum in minor units; empty for a sound entry."""
    totals: dict[str, int] = {}
    for leg in legs:
        totals[leg.asset] = totals.get(leg.asset, 0) + leg.amount
    return {asset: total for asset, total in totals.items() if total}
