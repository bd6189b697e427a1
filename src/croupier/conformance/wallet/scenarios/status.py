"""What became of a reference: the same as the movement's own answer, or that nobody has heard of it."""

from __future__ import annotations

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.orders import credit, debit, rollback
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import Stage, told
from croupier.conformance.wallet.verdicts import Failed

WHY = "It is how Croupier settles what it does not know; a wrong word here is a wrong word to the provider."
FIX = "Answer from the stored row of the reference, on the primary database, with the balance of now."


@scenario("An approved movement is told as approved", why=WHY, fix=FIX, rule=rules.STATUS)
async def approved(stage: Stage) -> None:
    """A debit and a credit, and the balance of now."""
    player = await stage.player()
    before = await stage.balance(player)
    stake, gain = debit(player, 100), credit(player, 30)
    first = await stage.approve(stake)
    await stage.approve(gain)
    said = await stage.status(stake)
    stage.expect(
        said,
        status="approved",
        operation="debit",
        code="ok",
        amount="100",
        balance=str(before - 70),
        wallet_reference=first.get("wallet_reference"),
    )
    stage.expect(await stage.status(gain), status="approved", operation="credit", amount="30")


@scenario("A refused movement is told as refused, with its reason", why=WHY, fix=FIX, rule=rules.STATUS)
async def refused(stage: Stage) -> None:
    """Also when there is money now."""
    player = await stage.player_with(100)
    order = debit(player, 150)
    await stage.refuse(order, "insufficient_funds")
    stage.expect(
        await stage.status(order),
        status="refused",
        code="insufficient_funds",
        operation="debit",
        balance="100",
    )
    await stage.approve(credit(player, 900))
    stage.expect(await stage.status(order), status="refused", code="insufficient_funds", balance="1000")


@scenario(
    "A reference that nobody has sent is `not_found`, and asking for it decides nothing",
    why=WHY,
    fix="Answer 200 with `not_found`, and write nothing: the movement may still come.",
    rule=rules.STATUS,
)
async def not_found(stage: Stage) -> None:
    """Asked for three times, then sent after all."""
    player = await stage.player()
    order = debit(player, 100)
    for _ in range(3):
        await stage.expect_unheard(order)
    await stage.approve(order)
    stage.expect(await stage.status(order), status="approved", amount="100")


@scenario("A rollback is told like its own answer", why=WHY, fix=FIX, rule=rules.STATUS)
async def of_a_rollback(stage: Stage) -> None:
    """One that undid, one that came too late, one of nothing."""
    player = await stage.player()
    stake = debit(player, 100)
    await stage.approve(stake)
    undoing, late, empty = rollback(stake), rollback(stake), rollback(debit(player, 5))
    await stage.approve(undoing)
    await stage.approve(late, amount=0, code="already_rolled_back")
    await stage.approve(empty, amount=0, code="nothing_to_roll_back")
    for order, code, amount in (
        (undoing, "ok", "100"),
        (late, "already_rolled_back", "0"),
        (empty, "nothing_to_roll_back", "0"),
    ):
        said = await stage.status(order)
        stage.expect(said, status="approved", operation="rollback", code=code, amount=amount)


@scenario(
    "A debit that was rolled back is still told as approved",
    why="Its rollback has a reference of its own. Told as refused, it would look as if it was never taken.",
    fix="Leave the row of the target as it is; what undid it is another movement.",
    rule=rules.STATUS,
)
async def after_rollback(stage: Stage) -> None:
    """Taken, undone, asked for."""
    player = await stage.player()
    before = await stage.balance(player)
    stake = debit(player, 100)
    await stage.approve(stake)
    await stage.approve(rollback(stake))
    stage.expect(await stage.status(stake), status="approved", amount="100", balance=str(before))


@scenario(
    "A tombstoned reference is never told as approved",
    why=WHY,
    fix="Answer `refused` with `tombstoned`; before the movement came, `not_found` is understood too.",
    rule=rules.NOTHING,
)
async def tombstoned(stage: Stage) -> None:
    """Before and after the late debit."""
    player = await stage.player()
    stake = debit(player, 100)
    await stage.approve(rollback(stake), amount=0, code="nothing_to_roll_back")
    early = await stage.status(stake)
    if early.get("status") == "approved":
        raise Failed("`refused` with `tombstoned`, or `not_found`", told(early), early)
    await stage.refuse(stake, "tombstoned")
    stage.expect(await stage.status(stake), status="refused", code="tombstoned")
