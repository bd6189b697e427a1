"""Several movements in one request: in order, each on its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.caller import Exchange
from croupier.conformance.wallet.orders import Order, credit, debit, render_item, rollback, with_members
from croupier.conformance.wallet.scenario import BATCH, scenario
from croupier.conformance.wallet.stage import Stage, told
from croupier.conformance.wallet.verdicts import Failed

MOST: Final = 256
FIX = (
    "Run the single call's code for every item, in order, each with a savepoint or a transaction of its own."
)


async def _batch(stage: Stage, orders: Sequence[Order]) -> tuple[Exchange, list[dict[str, Any]]]:
    """The results, each about its order."""
    exchange = await stage.ask("/batch", {"items": [render_item(order) for order in orders]})
    results: Any = exchange.get("results")
    if exchange.status != 200 or len(results) != len(orders):
        count = "no" if exchange.status != 200 else len(results)
        raise Failed(f"200 with {len(orders)} results", f"{exchange.status} with {count} results", exchange)
    for position, (order, result) in enumerate(zip(orders, results, strict=True)):
        if result.get("reference") != order.reference:
            raise Failed(
                f"result {position} about {order.reference}", f"about {result.get('reference')!r}", exchange
            )
        stage.books.note(order, result.get)
    return exchange, results


def _expect(exchange: Exchange, results: Sequence[dict[str, Any]], *wanted: str) -> None:
    """Each result's word: the code of a decision, or `error` and its code."""
    said = [
        f"error {one.get('code')}" if one["status"] == "error" else str(one.get("code")) for one in results
    ]
    if said != list(wanted):
        raise Failed(", ".join(wanted), ", ".join(said), exchange)


@scenario(
    "Items of one player are applied in their order",
    why="The win of one round pays for the stake of the next.",
    fix=FIX,
    rule=rules.BATCH_ORDER,
    needs=BATCH,
)
async def in_order(stage: Stage) -> None:
    """Too early, paid, in time; and a rollback of what came before it."""
    player = await stage.player_with(0)
    early, gain, stake = debit(player, 100), credit(player, 100), debit(player, 100)
    exchange, results = await _batch(stage, [early, gain, stake, rollback(stake), rollback(stake)])
    _expect(exchange, results, "insufficient_funds", "ok", "ok", "ok", "already_rolled_back")
    said = [one.get("balance") for one in results[:4]]
    if said != ["0", "100", "0", "100"]:
        raise Failed("the balances 0, 100, 0, 100", f"{said}", exchange)
    await stage.expect_balance(player, 100, "after the batch")


@scenario(
    "One item that is refused or fails takes nothing with it",
    why="The items belong to different players and providers; they share nothing but the request.",
    fix=FIX,
    rule=rules.BATCH_ALONE,
    needs=BATCH,
)
async def each_alone(stage: Stage) -> None:
    """A refusal, a conflict and a broken amount among good ones."""
    player = await stage.player()
    before = await stage.balance(player)
    known = debit(player, 10)
    await stage.approve(known)
    broken = with_members(debit(player, 1), amount="1.0")
    orders = [
        debit(player, 20),
        debit(stage.books.name_player(), 5),
        replace(known, amount=11),
        debit(player, 30),
        broken,
        credit(player, 7),
    ]
    exchange, results = await _batch(stage, orders)
    codes = [str(one.get("code")) for one in results]
    _expect(
        exchange,
        [*results[:1], *results[2:4], *results[5:]],
        *("ok", "error reference_conflict", "ok", "ok"),
    )
    if results[1]["status"] != "refused" or results[4]["status"] != "error":
        raise Failed(
            "a refusal for the stranger and an error for the broken amount", ", ".join(codes), exchange
        )
    for result in (results[2], results[4]):
        if result.get("applied") != "no":
            raise Failed('errors with "applied": "no"', f"{result.get('applied')!r}", exchange)
    await stage.expect_balance(player, before - 10 - 20 - 30 + 7, "after the batch")


@scenario(
    "A batch of 256 is taken whole",
    why="It is the largest that Croupier sends.",
    fix=f"{FIX} Allow bodies of 256 KiB.",
    rule=rules.BATCH_SIZE,
    needs=BATCH,
)
async def the_largest(stage: Stage) -> None:
    """256 debits of 1."""
    player = await stage.player()
    before = await stage.balance(player)
    exchange, results = await _batch(stage, [debit(player, 1) for _ in range(MOST)])
    _expect(exchange, results, *["ok"] * MOST)
    await stage.expect_balance(player, before - MOST, f"after {MOST} debits of 1")


@scenario(
    "A batch of 257, and one of none, are refused whole",
    why="A bound that is not kept is none.",
    fix="Count the items before the first is looked at, and answer 400 `malformed`.",
    rule=rules.BATCH_SIZE,
    needs=BATCH,
)
async def too_many(stage: Stage) -> None:
    """Nothing of it is applied."""
    player = await stage.player()
    before = await stage.balance(player)
    orders = [debit(player, 1) for _ in range(MOST + 1)]
    for body in ([render_item(order) for order in orders], []):
        exchange = await stage.ask("/batch", {"items": body})
        stage.expect_error(exchange, {400: ("malformed",), 413: ("body_too_large",)})
    await stage.expect_unheard(orders[0])
    await stage.expect_balance(player, before, "after a batch that was too large")


@scenario(
    "A batch that comes again is a repeat, item by item",
    why="When a batch's answer is lost, its items are settled one by one, alone or in other batches.",
    fix="References are the same whether they come alone or in a batch.",
    rule=rules.BATCH_RESULTS,
    needs=BATCH,
)
async def repeats(stage: Stage) -> None:
    """The same again, one alone, and one twice in one batch."""
    player = await stage.player()
    before = await stage.balance(player)
    orders = [debit(player, 10), credit(player, 4), debit(player, 20)]
    await _batch(stage, orders)
    exchange, results = await _batch(stage, orders)
    if [one.get("repeat") for one in results] != [True] * len(orders):
        raise Failed("`repeat` true in every result", told(exchange, ("results",)), exchange)
    await stage.approve(orders[0], is_repeat=True)
    twice = debit(player, 5)
    exchange, results = await _batch(stage, [twice, twice])
    if [one.get("repeat") for one in results] != [False, True]:
        raise Failed("`repeat` false, then true", told(exchange, ("results",)), exchange)
    await stage.expect_balance(player, before - 10 + 4 - 20 - 5, "after batches with repeats")


@scenario(
    "Results stand in the order of the items",
    why="Croupier takes each result by its place and by its reference, and believes neither alone.",
    fix="Answer with a list as long as the items, also when you work on players at the same time.",
    rule=rules.BATCH_RESULTS,
    needs=BATCH,
)
async def results_in_order(stage: Stage) -> None:
    """Two players in turn, where there are two."""
    player = await stage.player()
    before = await stage.balance(player)
    strangers = [stage.books.name_player() for _ in range(5)]
    orders = [order for one in strangers for order in (debit(player, 3), debit(one, 3))]
    exchange, results = await _batch(stage, orders)
    _expect(exchange, results[::2], *["ok"] * len(strangers))
    if any(one["status"] != "refused" for one in results[1::2]):
        raise Failed("refusals for strangers in between", told(exchange, ("results",)), exchange)
    await stage.expect_balance(player, before - 15, "after the batch")
