"""Taking money: exactly what was asked, and never more than there is."""

from __future__ import annotations

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.orders import debit, with_members
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import Stage, told
from croupier.conformance.wallet.verdicts import Failed


@scenario(
    "A debit takes its amount and tells the balance after it",
    why="The provider shows this balance to the player at once.",
    fix="Answer with the balance of the same transaction, after the amount was taken.",
    rule=rules.APPROVED,
)
async def takes_the_amount(stage: Stage) -> None:
    """Three debits and their balances."""
    player = await stage.player()
    left = await stage.balance(player)
    for amount in (1, 250, 1234):
        left -= amount
        exchange = await stage.approve(debit(player, amount))
        stage.expect(exchange, balance=str(left))
    await stage.expect_balance(player, left, "after the debits")


@scenario(
    "Every movement has a `wallet_reference` of its own, and keeps it",
    why="With it people find one movement in both systems.",
    fix="Answer with the id of the row that was inserted, and with the stored id for a repeat.",
    rule=rules.WALLET_REFERENCE,
)
async def own_reference(stage: Stage) -> None:
    """Two debits and a repeat of the first."""
    player = await stage.player()
    first, second = debit(player, 1), debit(player, 1)
    named = [(await stage.approve(order)).get("wallet_reference") for order in (first, second)]
    again = await stage.approve(first, is_repeat=True)
    if named[0] == named[1]:
        raise Failed("two ids for two movements", f"{named[0]!r} twice", again)
    stage.expect(again, wallet_reference=named[0])


@scenario(
    "A debit of everything is approved and leaves zero",
    why="Players stake their last cent.",
    fix="Compare with `balance >= amount`.",
    rule=rules.TAKES,
)
async def takes_everything(stage: Stage) -> None:
    """A stake of all there is."""
    player = await stage.player_with(500)
    exchange = await stage.approve(debit(player, 500))
    stage.expect(exchange, balance="0")
    await stage.expect_balance(player, 0, "after everything was taken")


@scenario(
    "A debit of one more than there is is refused as `insufficient_funds` and takes nothing",
    why="What is staked beyond the balance is the casino's loss.",
    fix="Decide in the transaction that holds the player's row; answer 200 with `refused` and the balance.",
    rule=rules.INSUFFICIENT,
)
async def one_too_many(stage: Stage) -> None:
    """500 are there, 501 are asked for."""
    player = await stage.player_with(500)
    exchange = await stage.refuse(debit(player, 501), "insufficient_funds")
    stage.expect(exchange, balance="500")
    await stage.expect_balance(player, 500, "after a refused debit")


@scenario(
    "A debit of a player whom the wallet does not know is refused",
    why="An error would be asked about again and again; a refusal ends it.",
    fix="Answer 200 with `refused` and `unknown_player`, and keep the refusal under its reference.",
    rule=rules.NO_SUCH_WALLET,
)
async def unknown_player(stage: Stage) -> None:
    """A made-up name; a wallet that opens accounts by itself may say that there is no money."""
    await stage.refuse(debit(stage.books.name_player(), 100), "unknown_player", "insufficient_funds")


@scenario(
    "A debit that undoes an earlier rollback is taken like any other",
    why="Some providers roll a rollback back; the stake is taken again then.",
    fix="Accept `kind` `rollback` in a debit; `kind` tells why and decides nothing.",
    rule=rules.KINDS,
)
async def kinds(stage: Stage) -> None:
    """Both kinds of debits."""
    player = await stage.player()
    for kind in ("bet", "rollback"):
        await stage.approve(debit(player, 10, kind=kind))


@scenario(
    "Session, round and game may be null",
    why="Not every provider names them in every call.",
    fix="Make these columns nullable.",
    rule=rules.NULLS,
)
async def nulls(stage: Stage) -> None:
    """A debit that belongs nowhere."""
    player = await stage.player()
    await stage.approve(with_members(debit(player, 10), session_id=None, round_id=None, game_id=None))


@scenario(
    "`occurred_at` may be days ago",
    why="What a provider reports after an outage happened before it; Croupier passes its time on.",
    fix="Store `occurred_at` and do not judge it; the signature has the time that counts.",
    rule=rules.TAKES,
)
async def late_report(stage: Stage) -> None:
    """A movement of last year."""
    player = await stage.player()
    exchange = await stage.decide(with_members(debit(player, 10), occurred_at="2024-02-29T23:59:59Z"))
    if exchange.get("status") != "approved":
        raise Failed("an approval", told(exchange), exchange)
