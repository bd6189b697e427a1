"""The same reference again: the first answer, and no second effect."""

from __future__ import annotations

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.caller import Exchange
from croupier.conformance.wallet.orders import Order, credit, debit, rollback, with_members
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import FRESH, Stage
from croupier.conformance.wallet.verdicts import Failed

ATTEMPTS = 20
AT_ONCE = 50
UNIQUE = (
    "Put a unique index on the reference, insert the movement and change the balance in one transaction, and answer"
    " a repeat from the stored row."
)


async def _repeat(stage: Stage, order: Order, change: int) -> None:
    before = await stage.balance(order.player)
    first = await stage.approve(order)
    for _ in range(ATTEMPTS):
        again = await stage.approve(order, is_repeat=True)
        stage.expect(again, wallet_reference=first.get("wallet_reference"))
    await stage.expect_balance(order.player, before + change, f"after {ATTEMPTS} repeats")


@scenario(
    "A debit that comes twenty times more is taken once",
    why="Every lost answer makes Croupier ask again with the same reference.",
    fix=UNIQUE,
    rule=rules.IDEMPOTENT,
)
async def debit_many_times(stage: Stage) -> None:
    """One after the other."""
    await _repeat(stage, debit(await stage.player(), 100), -100)


@scenario(
    "A credit that comes twenty times more is paid once",
    why="A win that is paid twice is gone.",
    fix=UNIQUE,
    rule=rules.IDEMPOTENT,
)
async def credit_many_times(stage: Stage) -> None:
    """One after the other."""
    await _repeat(stage, credit(await stage.player(), 100), 100)


@scenario(
    "A rollback that comes twenty times more undoes once",
    why="Rollbacks are repeated like everything else; a second refund is a gift.",
    fix=UNIQUE,
    rule=rules.IDEMPOTENT,
)
async def rollback_many_times(stage: Stage) -> None:
    """One after the other."""
    stake = debit(await stage.player(), 100)
    await stage.approve(stake)
    await _repeat(stage, rollback(stake), 100)


@scenario(
    "Fifty requests with one reference at once, each on its own connection, are applied once",
    why="Two workers of yours may hold the same reference at the same time; a look-up before an insert does not help.",
    fix=f"{UNIQUE} Where two collide, let the second wait for the first, or answer 409 `in_flight`.",
    rule=rules.IDEMPOTENT,
)
async def at_once(stage: Stage) -> None:
    """A debit and a credit, each fifty times at once."""
    player = await stage.player()
    before = await stage.balance(player)
    for order, change in ((debit(player, 100), -100), (credit(player, 30), 30)):
        exchanges = await stage.at_once([order] * AT_ONCE)
        _expect_one_first(stage, exchanges, order)
        before += change
        await stage.expect_balance(
            player, before, f"after {AT_ONCE} simultaneous requests of one {order.operation}"
        )


def _expect_one_first(stage: Stage, exchanges: list[Exchange], order: Order) -> None:
    for exchange in exchanges:
        stage.expect_approved(exchange, order, is_repeat=None)
    firsts = [exchange for exchange in exchanges if exchange.get("repeat") is False]
    if len(firsts) > 1:
        raise Failed("`repeat` false once at most", f"{len(firsts)} times", firsts[-1])


@scenario(
    "A reference is known on every connection",
    why="Croupier uses many connections, and yours may end in different processes.",
    fix="Keep references in the database, not in a process or a connection.",
    rule=rules.IDEMPOTENT,
)
async def other_connections(stage: Stage) -> None:
    """Ten repeats, each on a connection of its own."""
    player = await stage.player()
    before = await stage.balance(player)
    order = debit(player, 100)
    await stage.approve(order)
    for _ in range(10):
        stage.expect_approved(await stage.decide(order, FRESH), order, is_repeat=True)
    await stage.expect_balance(player, before - 100, "after repeats on other connections")


@scenario(
    "What was refused stays refused under its reference, also when there is money now",
    why="The provider was told that the stake was refused. To take it later is to take it for nothing.",
    fix="Store refusals under their reference like movements, and answer repeats from there.",
    rule=rules.REFUSED,
)
async def after_refusal(stage: Stage) -> None:
    """Refused, funded, repeated."""
    player = await stage.player_with(100)
    order = debit(player, 150)
    await stage.refuse(order, "insufficient_funds")
    await stage.refuse(order, "insufficient_funds", is_repeat=True)
    await stage.approve(credit(player, 400))
    await stage.refuse(order, "insufficient_funds", is_repeat=True)
    await stage.expect_balance(player, 500, "after a refused debit was repeated")


@scenario(
    "A repeat tells the balance of now",
    why="An old balance would be shown to the player as the newest.",
    fix="Take amount and ids of a repeat from the stored row, and the balance from the account.",
    rule=rules.APPROVED,
)
async def balance_is_of_now(stage: Stage) -> None:
    """A debit, a win, and the debit again."""
    player = await stage.player()
    before = await stage.balance(player)
    order = debit(player, 100)
    await stage.approve(order)
    await stage.approve(credit(player, 250))
    again = await stage.approve(order, is_repeat=True)
    stage.expect(again, balance=str(before + 150))


@scenario(
    "A repeat may differ in what does not count: times, rounds, the provider's own reference",
    why="A provider's second attempt comes with another time; it is the same movement.",
    fix="Compare operation, player, asset, amount and target with the stored row, and nothing else.",
    rule=rules.IDEMPOTENT,
)
async def other_details(stage: Stage) -> None:
    """Every member that does not count is another."""
    player = await stage.player()
    before = await stage.balance(player)
    order = debit(player, 100)
    await stage.approve(order)
    other = with_members(
        order,
        occurred_at="2024-01-01T00:00:00Z",
        provider_reference="another",
        round_id="another",
        session_id=None,
        game_id=None,
    )
    await stage.approve(other, is_repeat=True)
    await stage.expect_balance(player, before - 100, "after a repeat with other details")


@scenario(
    "The debit of a rolled back stake gets its first answer again, and takes nothing",
    why="A late repeat after a rollback is common: the provider's first attempt was slow.",
    fix="A rollback is a movement of its own: leave the target's row and its answer as they are.",
    rule=rules.IDEMPOTENT,
)
async def after_rollback(stage: Stage) -> None:
    """Taken, undone, repeated."""
    player = await stage.player()
    before = await stage.balance(player)
    order = debit(player, 100)
    await stage.approve(order)
    await stage.approve(rollback(order))
    await stage.approve(order, is_repeat=True)
    await stage.expect_balance(player, before, "after a repeat of a debit that was rolled back")
