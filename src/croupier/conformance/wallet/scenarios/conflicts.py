"""The same reference with anything else: 409, and nothing moves."""

from __future__ import annotations

from msgspec.structs import replace

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.orders import CREDIT, Order, Player, credit, debit, rollback
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import CONFLICT, Stage

WHY = "One of the two is a mistake, and nobody can tell which. To answer the first is to confirm what was never asked."
FIX = (
    "Store operation, player, asset, amount and target with the reference, compare them on every repeat, and answer"
    " 409 `reference_conflict` before anything else is looked at."
)


async def _conflict(stage: Stage, first: Order, second: Order) -> None:
    """The first is decided; the second has its reference and is refused; the first still stands."""
    await stage.decide(first)
    before = await stage.balance(first.player)
    await stage.reject(second, CONFLICT)
    await stage.expect_balance(first.player, before, "after a conflict")
    again = await stage.decide(first)
    stage.expect(again, repeat=True)


@scenario("Another amount is a conflict", why=WHY, fix=FIX, rule=rules.CONFLICT)
async def other_amount(stage: Stage) -> None:
    """A debit and a credit, one more and one less."""
    player = await stage.player()
    for make in (debit, credit):
        first = make(player, 100)
        await _conflict(stage, first, replace(first, amount=101))
        await _conflict(stage, first, replace(first, amount=99))


@scenario("Another asset is a conflict", why=WHY, fix=FIX, rule=rules.CONFLICT)
async def other_asset(stage: Stage) -> None:
    """The same number of something else."""
    first = debit(await stage.player(), 100)
    await _conflict(stage, first, replace(first, player=Player(first.player.id, "KIT_NO_ASSET")))


@scenario("Another player is a conflict", why=WHY, fix=FIX, rule=rules.CONFLICT)
async def other_player(stage: Stage) -> None:
    """Both have money."""
    player, other = await stage.player(), await stage.player()
    before = await stage.balance(other)
    first = debit(player, 100)
    await _conflict(stage, first, replace(first, player=other))
    await stage.expect_balance(other, before, "of the other player after a conflict")


@scenario("Another operation is a conflict", why=WHY, fix=FIX, rule=rules.CONFLICT)
async def other_operation(stage: Stage) -> None:
    """A credit under a debit's reference, and a rollback under it."""
    player = await stage.player()
    first, stake = debit(player, 100), debit(player, 100)
    await _conflict(stage, first, replace(first, operation=CREDIT, kind="win"))
    await stage.approve(stake)
    await _conflict(stage, first, rollback(stake, reference=first.reference))


@scenario("A rollback of another target is a conflict", why=WHY, fix=FIX, rule=rules.CONFLICT)
async def other_target(stage: Stage) -> None:
    """Two stakes, one rollback's reference."""
    player = await stage.player()
    stakes = debit(player, 100), debit(player, 100)
    for stake in stakes:
        await stage.approve(stake)
    first = rollback(stakes[0])
    await _conflict(stage, first, rollback(stakes[1], reference=first.reference))


@scenario(
    "A refused reference with another amount is a conflict too",
    why="A smaller stake under the reference of a refused one is another stake.",
    fix=FIX,
    rule=rules.CONFLICT,
)
async def after_refusal(stage: Stage) -> None:
    """Refused for 150, tried with 50."""
    player = await stage.player_with(100)
    first = debit(player, 150)
    await stage.refuse(first, "insufficient_funds")
    await _conflict(stage, first, replace(first, amount=50))


@scenario(
    "Of two players who use one reference at once, one gets it and the other a conflict",
    why="A check before the insert lets both through.",
    fix=FIX,
    rule=rules.REFERENCES,
)
async def two_players_at_once(stage: Stage) -> None:
    """Five times, so that it is not luck."""
    player, other = await stage.player(), await stage.player()
    for _ in range(5):
        before = await stage.balance(player) + await stage.balance(other)
        mine = debit(player, 100)
        exchanges = await stage.at_once([mine, replace(mine, player=other)])
        winners = [one for one in exchanges if one.status == 200]
        losers = [one for one in exchanges if one.status != 200]
        for loser in losers or exchanges[:1]:
            stage.expect_error(loser, CONFLICT)
        for winner in winners:
            stage.expect(winner, status="approved")
        after = await stage.balance(player) + await stage.balance(other)
        if after != before - 100 * len(winners):
            await stage.expect_balance(player, before - 100, "of both together")
