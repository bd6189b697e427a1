"""Undoing: once, completely, and never what is not there."""

from __future__ import annotations

from msgspec.structs import replace

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.orders import TAKE_WHAT_IS_LEFT, credit, debit, rollback
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import Stage, told
from croupier.conformance.wallet.verdicts import Failed

TOMBSTONE = (
    "When the target is unknown, store its reference as a tombstone in the rollback's transaction, under the unique"
    " index of references, so that the movement finds it and is refused as `tombstoned`."
)
ONCE = "Lock the target's row, mark it as undone, and answer every other rollback of it `already_rolled_back` with `0`."


@scenario(
    "The rollback of a debit gives the money back",
    why="Providers undo stakes of rounds that failed.",
    fix="Add the target's amount, in one transaction with the rollback's own row.",
    rule=rules.UNDOES,
)
async def of_a_debit(stage: Stage) -> None:
    """Taken and given back."""
    player = await stage.player()
    before = await stage.balance(player)
    stake = debit(player, 700)
    await stage.approve(stake)
    exchange = await stage.approve(rollback(stake))
    stage.expect(exchange, balance=str(before))
    await stage.expect_balance(player, before, "after the rollback of a debit")


@scenario(
    "The rollback of a credit takes the money back",
    why="Providers undo wins that were paid by mistake.",
    fix="Take the target's amount, in one transaction with the rollback's own row.",
    rule=rules.UNDOES,
)
async def of_a_credit(stage: Stage) -> None:
    """Given and taken back."""
    player = await stage.player()
    before = await stage.balance(player)
    gain = credit(player, 700)
    await stage.approve(gain)
    exchange = await stage.approve(rollback(gain))
    stage.expect(exchange, balance=str(before))
    await stage.expect_balance(player, before, "after the rollback of a credit")


@scenario(
    "A spent credit with `take_what_is_left`: what is left is taken, and said",
    why="Croupier writes the rest off by what this answer says; too much makes a debt, too little a gift.",
    fix="Take the smaller of amount and balance, and answer with it as `amount`.",
    rule=rules.TAKEN_BACK,
)
async def spent_takes_what_is_left(stage: Stage) -> None:
    """500 won, 300 of them staked."""
    player = await stage.player_with(0)
    gain = credit(player, 500)
    await stage.approve(gain)
    await stage.approve(debit(player, 300))
    undoing = rollback(gain, if_spent=TAKE_WHAT_IS_LEFT)
    exchange = await stage.approve(undoing, amount=200)
    stage.expect(exchange, balance="0")
    await stage.expect_balance(player, 0, "after what was left was taken")
    await stage.approve(undoing, amount=200, is_repeat=True)
    another = rollback(gain, if_spent=TAKE_WHAT_IS_LEFT)
    await stage.approve(another, amount=0, code="already_rolled_back")
    await stage.expect_balance(player, 0, "after two more rollbacks of the same")


@scenario(
    "A spent credit with `take_what_is_left` and nothing left: undone with `0`",
    why="It is undone all the same: a later rollback of it must not take what the player deposits meanwhile.",
    fix="Answer `ok` with the amount `0`, and mark the target as undone.",
    rule=rules.TAKEN_BACK,
)
async def spent_with_nothing_left(stage: Stage) -> None:
    """Won, staked, undone, deposited."""
    player = await stage.player_with(0)
    gain = credit(player, 500)
    await stage.approve(gain)
    await stage.approve(debit(player, 500))
    await stage.approve(rollback(gain, if_spent=TAKE_WHAT_IS_LEFT), amount=0)
    await stage.approve(credit(player, 900))
    again = rollback(gain, if_spent=TAKE_WHAT_IS_LEFT)
    await stage.approve(again, amount=0, code="already_rolled_back")
    await stage.expect_balance(player, 900, "after a second rollback")


@scenario(
    "A spent credit with `refuse`: refused as `insufficient_funds`, and nothing moves",
    why="Some protocols want all or nothing.",
    fix="Compare amount and balance before anything is taken, and refuse when it is larger.",
    rule=rules.IF_SPENT,
)
async def spent_refuses(stage: Stage) -> None:
    """500 won, 300 of them staked; the target can be undone later by another rollback."""
    player = await stage.player_with(0)
    gain = credit(player, 500)
    await stage.approve(gain)
    await stage.approve(debit(player, 300))
    refused = rollback(gain)
    await stage.refuse(refused, "insufficient_funds")
    await stage.expect_balance(player, 200, "after a refused rollback")
    await stage.approve(credit(player, 300))
    await stage.refuse(refused, "insufficient_funds", is_repeat=True)
    await stage.approve(rollback(gain))
    await stage.expect_balance(player, 0, "after the second rollback found enough")


@scenario(
    "Another rollback of the same target is `already_rolled_back` with `0`",
    why="Two rollbacks of one stake, each with its own reference, would refund it twice.",
    fix=ONCE,
    rule=rules.ALREADY,
)
async def by_another_reference(stage: Stage) -> None:
    """Undone by the first, not by the others."""
    player = await stage.player()
    before = await stage.balance(player)
    stake = debit(player, 100)
    await stage.approve(stake)
    await stage.approve(rollback(stake))
    for _ in range(3):
        again = rollback(stake)
        await stage.approve(again, amount=0, code="already_rolled_back")
        await stage.approve(again, amount=0, code="already_rolled_back", is_repeat=True)
    await stage.expect_balance(player, before, "after four rollbacks of one debit")


@scenario(
    "Of ten rollbacks of one target at once, one undoes it",
    why="A look at the target before its row is locked lets several through.",
    fix=ONCE,
    rule=rules.ALREADY,
)
async def at_once(stage: Stage) -> None:
    """Ten references, ten connections."""
    player = await stage.player()
    before = await stage.balance(player)
    stake = debit(player, 100)
    await stage.approve(stake)
    exchanges = await stage.at_once([rollback(stake) for _ in range(10)])
    codes = sorted(str(exchange.get("code")) for exchange in exchanges)
    if codes != ["already_rolled_back"] * 9 + ["ok"]:
        raise Failed("`ok` once and `already_rolled_back` nine times", ", ".join(codes), exchanges[-1])
    await stage.expect_balance(player, before, "after ten rollbacks of one debit at once")


@scenario(
    "A rollback that comes before its debit leaves a tombstone: the late debit is refused",
    why="The provider gave the stake up. Taken late, it is in no round, and nobody gives it back.",
    fix=TOMBSTONE,
    rule=rules.TOMBSTONED,
)
async def before_its_debit(stage: Stage) -> None:
    """Undone, then asked for."""
    player = await stage.player()
    before = await stage.balance(player)
    stake = debit(player, 100)
    early = rollback(stake)
    await stage.approve(early, amount=0, code="nothing_to_roll_back")
    await stage.expect_balance(player, before, "after a rollback of nothing")
    await stage.refuse(stake, "tombstoned", is_repeat=False)
    await stage.refuse(stake, "tombstoned", is_repeat=True)
    await stage.approve(early, amount=0, code="nothing_to_roll_back", is_repeat=True)
    await stage.expect_balance(player, before, "after the late debit")


@scenario(
    "A rollback that comes before its credit leaves a tombstone too",
    why="A win that was taken back before it came must not be paid when it comes.",
    fix=TOMBSTONE,
    rule=rules.NOTHING,
)
async def before_its_credit(stage: Stage) -> None:
    """Undone, then paid."""
    player = await stage.player()
    before = await stage.balance(player)
    gain = credit(player, 100)
    await stage.approve(rollback(gain), amount=0, code="nothing_to_roll_back")
    await stage.refuse(gain, "tombstoned")
    await stage.expect_balance(player, before, "after the late credit")


@scenario(
    "A debit and its rollback at once leave the balance as it was",
    why="Whichever comes first, the stake is not taken in the end.",
    fix=f"{TOMBSTONE} The tombstone and the movement meet at the same unique index, so that one of them waits.",
    rule=rules.NOTHING,
)
async def race_with_its_debit(stage: Stage) -> None:
    """Ten times, so that it is not luck."""
    player = await stage.player()
    before = await stage.balance(player)
    for _ in range(10):
        stake = debit(player, 100)
        await stage.at_once([stake, rollback(stake)])
    await stage.expect_balance(player, before, "after ten debits, each with its rollback at once")


@scenario(
    "The rollback of a refused debit gives nothing",
    why="What was never taken must not be given back.",
    fix="Look at what became of the target, not at whether its row exists.",
    rule=rules.NOTHING,
)
async def of_a_refused_debit(stage: Stage) -> None:
    """Refused, undone, repeated."""
    player = await stage.player_with(100)
    stake = debit(player, 150)
    await stage.refuse(stake, "insufficient_funds")
    await stage.approve(rollback(stake), amount=0, code="nothing_to_roll_back")
    await stage.expect_balance(player, 100, "after the rollback of a refused debit")
    await stage.approve(credit(player, 900))
    exchange = await stage.decide(stake)
    stage.expect_refused(exchange, "insufficient_funds", "tombstoned", is_repeat=None)
    await stage.expect_balance(player, 1000, "after the refused debit came again")


@scenario(
    "A rollback that names another player's movement moves nobody's money",
    why="A mixed-up player would be given another one's stake.",
    fix="Compare player and asset of the target with the rollback's, and answer 409 `reference_conflict`.",
    rule=rules.COMPARISON,
)
async def of_another_player(stage: Stage) -> None:
    """The owner can still have it undone."""
    owner, other = await stage.player(), await stage.player()
    before, others = await stage.balance(owner), await stage.balance(other)
    stake = debit(owner, 100)
    await stage.approve(stake)
    foreign = replace(rollback(stake), player=other)
    exchange = await stage.decide(foreign)
    _expect_no_effect(exchange.status, exchange.get("amount"), told(exchange))
    await stage.expect_balance(other, others, "of the player who has no such stake")
    await stage.expect_balance(owner, before - 100, "of the player whose stake it is")
    await stage.approve(rollback(stake))
    await stage.expect_balance(owner, before, "after the owner's own rollback")


@scenario(
    "A rollback that names another amount than its target's moves nothing",
    why="One of the two amounts is a mistake; undone by the wrong one, the books never agree again.",
    fix="Compare `amount` with the target's, and answer 409 `reference_conflict`.",
    rule=rules.COMPARISON,
)
async def of_another_amount(stage: Stage) -> None:
    """One more, and one less."""
    player = await stage.player()
    before = await stage.balance(player)
    for amount in (101, 99):
        stake = debit(player, 100)
        await stage.approve(stake)
        exchange = await stage.decide(replace(rollback(stake), amount=amount))
        _expect_no_effect(exchange.status, exchange.get("amount"), told(exchange))
        await stage.approve(rollback(stake))
        await stage.expect_balance(player, before, "after the rollback with the right amount")


def _expect_no_effect(status: int, amount: object, said: str) -> None:
    if status == 200 and amount not in ("0", None):
        raise Failed("409 `reference_conflict`, or an answer that moves nothing", said)
