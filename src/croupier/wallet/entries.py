"""The postings of every event, as in the table "Entries" of `money.md`. Pure; amounts in minor units."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from croupier.wallet.accounts import (
    CASH,
    CASH_FUND,
    CLEARING,
    HOUSE,
    NO_FUND,
    PAYABLE,
    POOL,
    PROMO,
    RECEIVABLE,
    REVENUE,
    WALLET,
    Leg,
    mirror,
)


class Purse(Struct, frozen=True, gc=False):
    """Whose money, in which asset and fund, at which provider, under which session (none for cashier and jackpots)."""

    player_id: str
    asset: str
    provider: str = ""
    session_id: UUID | None = None
    fund: str = CASH_FUND


class Terms(Struct, frozen=True, gc=False):
    """What a contract fixes for entries: the pool jackpots are paid from (none: the provider), who funds promotions."""

    jackpot_pool: str | None
    promo_source: str


def _wallet(purse: Purse, amount: int) -> Leg:
    return Leg(WALLET, purse.player_id, purse.asset, purse.fund, amount)


def _clearing(purse: Purse, amount: int) -> Leg:
    return Leg(CLEARING, HOUSE, purse.asset, NO_FUND, amount, purse.session_id)


def jackpot_source(purse: Purse, terms: Terms, amount: int) -> Leg:
    """The leg of the contract's jackpot source: the operator's pool, or what the provider is owed."""
    if terms.jackpot_pool is None:
        return Leg(PAYABLE, purse.provider, purse.asset, NO_FUND, amount, purse.session_id)
    return Leg(POOL, terms.jackpot_pool, purse.asset, NO_FUND, amount, purse.session_id)


def promo_source(purse: Purse, terms: Terms, amount: int) -> Leg:
    """The leg of the contract's promotion source: the operator's expense, or what the provider is owed."""
    if terms.promo_source == "provider":
        return Leg(PAYABLE, purse.provider, purse.asset, NO_FUND, amount, purse.session_id)
    return Leg(PROMO, HOUSE, purse.asset, NO_FUND, amount, purse.session_id)


def plan_deposit(purse: Purse, amount: int) -> tuple[Leg, ...]:
    """Cash comes in from the player: cash −a, wallet +a; nothing for nothing."""
    return (Leg(CASH, HOUSE, purse.asset, NO_FUND, -amount), _wallet(purse, amount)) if amount else ()


def plan_withdrawal(purse: Purse, amount: int) -> tuple[Leg, ...]:
    """Cash goes out to the player: the mirror of a deposit."""
    return mirror(plan_deposit(purse, amount))


def plan_bet(purse: Purse, amount: int, contribution: int, terms: Terms) -> tuple[Leg, ...]:
    """Stake to clearing, and from there the jackpot contribution to its source, in one entry."""
    legs: tuple[Leg, ...] = (_wallet(purse, -amount), _clearing(purse, amount)) if amount else ()
    if contribution:
        legs += (_clearing(purse, -contribution), jackpot_source(purse, terms, contribution))
    return legs


def plan_win(purse: Purse, amount: int) -> tuple[Leg, ...]:
    """Win from clearing to wallet; nothing for a win of zero."""
    return (_clearing(purse, -amount), _wallet(purse, amount)) if amount else ()


def plan_jackpot_win(purse: Purse, amount: int, terms: Terms) -> tuple[Leg, ...]:
    """Jackpot win from the contract's source to wallet."""
    return (jackpot_source(purse, terms, -amount), _wallet(purse, amount)) if amount else ()


def plan_promo_win(purse: Purse, amount: int, terms: Terms) -> tuple[Leg, ...]:
    """Promotional win from the contract's source to wallet."""
    return (promo_source(purse, terms, -amount), _wallet(purse, amount)) if amount else ()


def plan_win_rollback(legs: Sequence[Leg], balance: int) -> tuple[Leg, ...]:
    """Undo a win: what the wallet still holds comes back, the rest becomes the player's receivable.

    `legs` are the win's own, `balance` the wallet's before the rollback, in minor units.
    """
    undone: list[Leg] = []
    for leg in mirror(legs):
        if leg.kind != WALLET:
            undone.append(leg)
            continue
        taken = min(-leg.amount, balance)
        owed = -leg.amount - taken
        if taken:
            undone.append(Leg(WALLET, leg.owner, leg.asset, leg.fund, -taken))
        if owed:
            undone.append(Leg(RECEIVABLE, leg.owner, leg.asset, NO_FUND, -owed))
    return tuple(undone)


def plan_win_clamp(legs: Sequence[Leg], balance: int) -> tuple[Leg, ...]:
    """Undo as much of a win as the wallet still holds, and leave the rest paid; nothing when it holds nothing.

    `legs` are the win's own: one of its source, one of the wallet.
    """
    taken = min(balance, sum(leg.amount for leg in legs if leg.kind == WALLET))
    if not taken:
        return ()
    return tuple(
        Leg(leg.kind, leg.owner, leg.asset, leg.fund, -taken if leg.kind == WALLET else taken, leg.session_id)
        for leg in legs
    )


def plan_closing(purse: Purse, *, to_provider: int, to_revenue: int) -> tuple[Leg, ...]:
    """Empty a session's clearing: the provider's share and the operator's revenue, either of them signed."""
    legs = (
        _clearing(purse, -(to_provider + to_revenue)),
        Leg(PAYABLE, purse.provider, purse.asset, NO_FUND, to_provider, purse.session_id),
        Leg(REVENUE, HOUSE, purse.asset, NO_FUND, to_revenue, purse.session_id),
    )
    return tuple(leg for leg in legs if leg.amount)
