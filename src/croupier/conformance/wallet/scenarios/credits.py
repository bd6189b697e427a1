"""Giving money: always, and exactly."""

from __future__ import annotations

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.orders import credit, debit
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import Stage


@scenario(
    "A credit adds its amount and tells the balance after it",
    why="The provider shows this balance to the player at once.",
    fix="Answer with the balance of the same transaction, after the amount was added.",
    rule=rules.ADDS,
)
async def adds_the_amount(stage: Stage) -> None:
    """Three credits and their balances."""
    player = await stage.player()
    held = await stage.balance(player)
    for amount in (1, 250, 1234):
        held += amount
        exchange = await stage.approve(credit(player, amount))
        stage.expect(exchange, balance=str(held))
    await stage.expect_balance(player, held, "after the credits")


@scenario(
    "Every kind of credit is booked",
    why="A credit that is refused is a win that somebody must pay by hand.",
    fix="Accept `win`, `jackpot_win`, `promo_win` and `rollback`; `kind` tells why and decides nothing.",
    rule=rules.KINDS,
)
async def kinds(stage: Stage) -> None:
    """One credit of each kind."""
    player = await stage.player()
    before = await stage.balance(player)
    for kind in ("win", "jackpot_win", "promo_win", "rollback"):
        await stage.approve(credit(player, 7, kind=kind))
    await stage.expect_balance(player, before + 28, "after four credits of 7")


@scenario(
    "A player who has nothing can win",
    why="The win of a last stake comes to an empty wallet.",
    fix="Do not ask for a positive balance before a credit.",
    rule=rules.ADDS,
)
async def to_an_empty_wallet(stage: Stage) -> None:
    """All in, and won."""
    player = await stage.player_with(300)
    await stage.approve(debit(player, 300))
    exchange = await stage.approve(credit(player, 900))
    stage.expect(exchange, balance="900")


@scenario(
    "A credit needs no debit before it",
    why="Free rounds, jackpots and tournaments pay without a stake.",
    fix="Do not look for a bet of the same round before a credit is booked.",
    rule=rules.ADDS,
)
async def without_a_stake(stage: Stage) -> None:
    """A win in a round that nobody has staked in."""
    player = await stage.player()
    before = await stage.balance(player)
    await stage.approve(credit(player, 5))
    await stage.expect_balance(player, before + 5, "after a win without a stake")
