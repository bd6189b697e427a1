"""Many at once: never more than there is, and nobody waits for a stranger."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.orders import Player, credit, debit
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import FRESH, Stage
from croupier.conformance.wallet.verdicts import Failed, NotPlayable

RACERS: Final = 30
PAID: Final = 10
PLAYERS: Final = 8
ROUNDS: Final = 3
MEASURABLE_S: Final = 0.01
"""Calls that are quicker than this are too quick to tell who waits for whom."""


@scenario(
    "Of many debits at once exactly as many are approved as there is money",
    why="A player with two windows stakes the last cent twice; what is approved beyond the balance is lost.",
    fix="Lock the player's row before its balance is read (`SELECT … FOR UPDATE`), or let the update ask for enough"
    " (`UPDATE … WHERE balance >= amount`).",
    rule=rules.INSUFFICIENT,
)
async def last_cent(stage: Stage) -> None:
    """30 debits of 10 race for 100."""
    player = await stage.player_with(PAID * 10)
    exchanges = await stage.at_once([debit(player, 10) for _ in range(RACERS)])
    approved = [one for one in exchanges if one.get("status") == "approved"]
    refused = [one for one in exchanges if one.get("status") == "refused"]
    if (len(approved), len(refused)) != (PAID, RACERS - PAID):
        raise Failed(
            f"{PAID} approved and {RACERS - PAID} refused",
            f"{len(approved)} approved and {len(refused)} refused",
            exchanges[-1],
        )
    for exchange in refused:
        stage.expect_refused(exchange, "insufficient_funds")
    balances = sorted(int(one.get("balance")) for one in approved)
    if balances != [10 * number for number in range(PAID)]:
        raise Failed("a balance of its own after each debit: 0, 10 … 90", f"{balances}", exchanges[-1])
    await stage.expect_balance(player, 0, "after the race")


@scenario(
    "Debits and credits of one player at once all count",
    why="An update that is lost between two requests is money that is lost or made.",
    fix="Change the balance relative to what the row holds (`balance = balance + …`) while it is locked.",
    rule=rules.APPROVED,
)
async def mixed(stage: Stage) -> None:
    """25 debits of 3 and 25 credits of 2."""
    player = await stage.player()
    before = await stage.balance(player)
    orders = [make(player, amount) for _ in range(25) for make, amount in ((debit, 3), (credit, 2))]
    for exchange, order in zip(await stage.at_once(orders), orders, strict=True):
        stage.expect_approved(exchange, order)
    await stage.expect_balance(player, before - 25, "after 25 debits of 3 and 25 credits of 2 at once")


@scenario(
    "Players do not wait for each other",
    why="One slow player would hold up the whole casino. A finding here is a remark: it depends on the machine.",
    fix="Lock rows of players and no tables; give the database as many connections as Croupier opens.",
    rule=rules.IN_TIME,
)
async def players_are_independent(stage: Stage) -> None:
    """Debits of eight players, one after the other and at once."""
    try:
        players = [await stage.player(100) for _ in range(PLAYERS)]
    except NotPlayable:
        raise NotPlayable(f"it needs {PLAYERS} players: give --player once for each") from None
    in_turn_s, at_once_s = 0.0, 0.0
    for _ in range(ROUNDS):
        in_turn_s += await _time_in_turn_s(stage, players)
        at_once_s += await _time_at_once_s(stage, players)
    if in_turn_s / (ROUNDS * PLAYERS) > MEASURABLE_S and at_once_s > 0.8 * in_turn_s:
        stage.remark(
            f"{PLAYERS} players at once took {at_once_s:.2f} s, one after the other {in_turn_s:.2f} s: they seem to"
            " wait for each other"
        )


async def _time_in_turn_s(stage: Stage, players: list[Player]) -> float:
    began_s = time.monotonic()
    for player in players:
        await stage.decide(debit(player, 1), FRESH)
    return time.monotonic() - began_s


async def _time_at_once_s(stage: Stage, players: list[Player]) -> float:
    began_s = time.monotonic()
    await asyncio.gather(*(stage.decide(debit(player, 1), FRESH) for player in players))
    return time.monotonic() - began_s
