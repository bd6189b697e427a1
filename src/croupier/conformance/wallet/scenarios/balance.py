"""What a player has: told exactly, by player and asset, and without moving anything."""

from __future__ import annotations

from typing import Any

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.caller import Exchange
from croupier.conformance.wallet.orders import credit, debit
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import Stage, told
from croupier.conformance.wallet.verdicts import Failed


@scenario(
    "The balance is what was put in less what was taken",
    why="Croupier shows this number to players and providers; nobody else adds it up for them.",
    fix="Read the balance from the row that debits and credits change, in the same database and without a cache.",
    rule=rules.READS,
)
async def follows_movements(stage: Stage) -> None:
    """A debit and a credit, and the balance after each."""
    player = await stage.player()
    before = await stage.balance(player)
    await stage.approve(debit(player, 300))
    await stage.expect_balance(player, before - 300, "after a debit of 300")
    await stage.approve(credit(player, 45))
    await stage.expect_balance(player, before - 255, "after a credit of 45 as well")


@scenario(
    "Asking for the balance moves nothing, however often",
    why="Balances are asked for more often than anything else.",
    fix="Let /balance read only.",
    rule=rules.READS,
)
async def moves_nothing(stage: Stage) -> None:
    """Twenty questions, one answer."""
    player = await stage.player()
    before = await stage.balance(player)
    for _ in range(20):
        await stage.expect_balance(player, before, "as before")


@scenario(
    "A player whom the wallet does not know is refused as `unknown_player`, or has nothing",
    why="An error in its place looks like an outage: Croupier would stop launching games.",
    fix="Answer 200 with `refused` and `unknown_player` for a player without a wallet; keep 4xx for broken requests.",
    rule=rules.NO_SUCH_WALLET,
)
async def unknown_player(stage: Stage) -> None:
    """A made-up name."""
    stranger = stage.books.name_player()
    exchange = await stage.ask("/balance", {"player_id": stranger.id, "asset": stranger.asset})
    _expect_nobody(stage, exchange, ("unknown_player",))


@scenario(
    "An asset that the wallet does not keep is refused as `unknown_asset`, or the player has none of it",
    why="A configuration that names one asset too many must be told apart from an outage.",
    fix="Answer 200 with `refused` and `unknown_asset`.",
    rule=rules.NO_SUCH_WALLET,
)
async def unknown_asset(stage: Stage) -> None:
    """A player with money, and a made-up asset."""
    player = await stage.player()
    exchange = await stage.ask("/balance", {"player_id": player.id, "asset": "KIT_NO_ASSET"})
    _expect_nobody(stage, exchange, ("unknown_asset", "unknown_player"))


def _expect_nobody(stage: Stage, exchange: Exchange, codes: tuple[str, ...]) -> None:
    said: Any = exchange.get("code")
    if exchange.status == 200 and exchange.get("status") == "approved" and exchange.get("balance") == "0":
        stage.remark(f"the wallet answers a balance of 0 where the contract has the refusal `{codes[0]}`")
    elif exchange.status != 200 or said not in codes:
        raise Failed(f"200 with a refusal `{codes[0]}`", told(exchange), exchange)
