"""Answers that nobody reads: the connection is closed after the request, and everything is settled all the same."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.orders import Order, credit, debit, render_body, rollback
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import Stage, told
from croupier.conformance.wallet.verdicts import Failed

ASKED_FOR_S: Final = 2.0
PAUSE_S: Final = 0.05
TIMES: Final = 10
WHY = "Networks lose answers. What was done must then be found under its reference, or it is done twice."
FIX = (
    "Finish a transaction that has begun whether or not somebody still listens, commit the reference together with the"
    " movement, and never undo a movement because its answer could not be sent."
)


async def _leave(stage: Stage, order: Order, *, is_reset: bool = False) -> None:
    message = stage.caller.make_message(order.path, render_body(order))
    try:
        await stage.caller.send_and_leave(message, is_reset=is_reset)
    except (OSError, TimeoutError) as error:
        raise Failed("a connection that takes a request", f"{error!r}") from None


async def _settle(stage: Stage, order: Order, change: int, before: int) -> None:
    """Ask until it is decided, send it again, and see it applied once."""
    ends_at_s = time.monotonic() + ASKED_FOR_S
    said = await stage.status(order)
    while said.get("status") == "not_found" and time.monotonic() < ends_at_s:
        await asyncio.sleep(PAUSE_S)
        said = await stage.status(order)
    if said.get("status") == "refused":
        raise Failed("approved, or not found", told(said), said)
    was_decided = said.get("status") == "approved"
    exchange = await stage.decide(order)
    # Nobody can tell whether a request that was not decided in time is decided by the repeat or before it.
    stage.expect_approved(exchange, order, is_repeat=True if was_decided else None)
    await stage.expect_balance(order.player, before + change, "after a lost answer, a question and a repeat")
    stage.expect(await stage.status(order), status="approved", amount=str(order.amount))


@scenario("A debit whose answer is lost is applied at most once", why=WHY, fix=FIX, rule=rules.SETTLED)
async def of_a_debit(stage: Stage) -> None:
    """Ten debits, each settled before the next; every other connection is reset."""
    player = await stage.player()
    for number in range(TIMES):
        before = await stage.balance(player)
        order = debit(player, 10 + number)
        await _leave(stage, order, is_reset=number % 2 == 1)
        await _settle(stage, order, -order.amount, before)


@scenario("A credit whose answer is lost is applied at most once", why=WHY, fix=FIX, rule=rules.SETTLED)
async def of_a_credit(stage: Stage) -> None:
    """Ten credits, each settled before the next."""
    player = await stage.player()
    for number in range(TIMES):
        before = await stage.balance(player)
        order = credit(player, 10 + number)
        await _leave(stage, order, is_reset=number % 2 == 1)
        await _settle(stage, order, order.amount, before)


@scenario("A rollback whose answer is lost undoes at most once", why=WHY, fix=FIX, rule=rules.SETTLED)
async def of_a_rollback(stage: Stage) -> None:
    """Ten rollbacks, each settled before the next."""
    player = await stage.player()
    for number in range(TIMES):
        stake = debit(player, 10 + number)
        await stage.approve(stake)
        before = await stage.balance(player)
        order = rollback(stake)
        await _leave(stage, order, is_reset=number % 2 == 1)
        await _settle(stage, order, stake.amount, before)


@scenario(
    "A repeat at the same time as a lost attempt is applied with it once",
    why=WHY,
    fix=FIX,
    rule=rules.IDEMPOTENT,
)
async def with_a_repeat_at_once(stage: Stage) -> None:
    """The repeat does not wait for the status."""
    player = await stage.player()
    for number in range(TIMES):
        before = await stage.balance(player)
        order = debit(player, 10 + number)
        await asyncio.gather(_leave(stage, order), stage.decide(order))
        await _settle(stage, order, -order.amount, before)


@scenario(
    "Half a request moves nothing",
    why="A request that is cut in the middle may still look like one.",
    fix="Read as many bytes as `content-length` says before the signature is checked.",
    rule=rules.SIGNED,
)
async def half_a_request(stage: Stage) -> None:
    """The last bytes of the body are missing."""
    player = await stage.player()
    before = await stage.balance(player)
    order = debit(player, 100)
    message = stage.caller.make_message(order.path, render_body(order))
    await stage.caller.send_and_leave(message[:-20], is_reset=False)
    await stage.expect_unheard(order)
    await stage.expect_balance(player, before, "after half a request")
    await stage.approve(order)
