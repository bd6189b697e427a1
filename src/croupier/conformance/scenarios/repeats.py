"""One reference, one effect: repeats get the first answer, other content is refused."""

from __future__ import annotations

import asyncio

from croupier.conformance import steps
from croupier.conformance.reading import Cause, Reading
from croupier.conformance.scenario import scenario
from croupier.conformance.speaker import Traits
from croupier.conformance.stage import Stage
from croupier.conformance.steps import Step
from croupier.providers.manifest import Capability, Manifest, RollbackReference

COPIES = 8


def _shares_names(manifest: Manifest, _: Traits) -> str:
    is_own = manifest.rollback_reference is RollbackReference.OWN
    return "" if is_own else "bets, wins and rollbacks of one bet share its reference"


def _same(stage: Stage, first: Reading, again: Reading) -> None:
    stage.require(
        again.operator_ids == first.operator_ids,
        f"the repeat names {again.operator_ids} where the first answer named {first.operator_ids}",
    )


async def _repeat(stage: Stage, step: Step, first: Reading, *, stored: int, current: int) -> None:
    again = await stage.say(step)
    stage.require_approved(again, stage.expect.repeat_balance(stored=stored, current=current))
    _same(stage, first, again)


@scenario(
    Capability.BET,
    claim="A repeated bet moves nothing and gets the first answer, with the manifest's balance.",
)
async def bet_is_taken_once(stage: Stage) -> None:
    """The same bet again, at once and after another one."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    first = await stage.approved(bet, 9_000)
    await _repeat(stage, bet, first, stored=9_000, current=9_000)
    await stage.approved(steps.bet(seat, 500), 8_500)
    await _repeat(stage, bet, first, stored=9_000, current=8_500)
    await stage.wallet_is(seat, 8_500)


@scenario(
    Capability.BET,
    Capability.WIN,
    claim="A repeated win pays nothing more and gets the first answer, with the manifest's balance.",
)
async def win_is_paid_once(stage: Stage) -> None:
    """The same win again, after other play."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    win = steps.win(bet, 600)
    first = await stage.approved(win, 9_600)
    await stage.approved(steps.bet(seat, 100), 9_500)
    await _repeat(stage, win, first, stored=9_600, current=9_500)
    await stage.wallet_is(seat, 9_500)


@scenario(
    Capability.BET,
    Capability.ROLLBACK,
    claim="A repeated rollback returns nothing more and gets the first answer, with the manifest's balance.",
)
async def rollback_is_done_once(stage: Stage) -> None:
    """The same rollback again, after other play."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    undo = steps.rollback(bet)
    first = await stage.approved(undo, 10_000)
    await stage.approved(steps.bet(seat, 100), 9_900)
    await _repeat(stage, undo, first, stored=10_000, current=9_900)
    await stage.wallet_is(seat, 9_900)


@scenario(Capability.BET, claim="Copies of one bet that arrive together have one effect.")
async def copies_at_once_have_one_effect(stage: Stage) -> None:
    """Eight copies, each signed for itself, at the same moment."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    readings = await asyncio.gather(*(stage.say(bet) for _ in range(COPIES)))
    for reading in readings:
        stage.require_approved(reading)
        _same(stage, readings[0], reading)
    await stage.wallet_is(seat, 9_000)


@scenario(
    Capability.BET,
    claim="A declined bet repeated after a deposit gets what the manifest says: the decline, or a new decision.",
)
async def declined_bet_is_repeated(stage: Stage) -> None:
    """A decline, a deposit, the same bet."""
    seat = await stage.seat(100)
    bet = steps.bet(seat, 1_000)
    reading = await stage.say(bet)
    stage.require_refused(reading, Cause.FUNDS, balance=100)
    await stage.operator.deposit(seat.player_id, seat.asset, 5_000)
    again = await stage.say(bet)
    if stage.expect.declines_stick:
        shown = stage.expect.repeat_balance(stored=100, current=5_100)
        stage.require_refused(again, Cause.FUNDS, balance=shown)
        await stage.wallet_is(seat, 5_100)
    else:
        stage.require_approved(again, 4_100)
        await stage.wallet_is(seat, 4_100)


@scenario(Capability.BET, claim="A used reference with another amount is refused and moves nothing.")
async def other_amount_under_a_used_reference(stage: Stage) -> None:
    """A bet, then the same with one minor unit more."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    await stage.refused(steps.reword(bet, amount=1_001), Cause.CONFLICT)
    await stage.wallet_is(seat, 9_000)


@scenario(Capability.BET, claim="A used reference in another round is refused and moves nothing.")
async def other_round_under_a_used_reference(stage: Stage) -> None:
    """A bet, then the same in a new round."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    other = steps.bet(seat, 1_000)
    moved = steps.reword(other, reference=bet.move.reference)
    await stage.refused(moved, Cause.CONFLICT)
    await stage.wallet_is(seat, 9_000)


@scenario(Capability.BET, claim="Another player's reference is refused and moves nothing for either.")
async def other_player_under_a_used_reference(stage: Stage) -> None:
    """A bet, then the same for somebody else."""
    seat, other = await stage.seat(10_000), await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    await stage.refused(steps.reseat(bet, other), Cause.CONFLICT)
    await stage.wallet_is(seat, 9_000)
    await stage.wallet_is(other, 10_000)


@scenario(
    Capability.BET,
    Capability.WIN,
    claim="A win under a used reference with another amount is refused and pays nothing.",
)
async def other_win_under_a_used_reference(stage: Stage) -> None:
    """A win, then the same with more."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    win = steps.win(bet, 500)
    await stage.approved(win)
    await stage.refused(steps.reword(win, amount=50_000), Cause.CONFLICT, Cause.SETTLED)
    await stage.wallet_is(seat, 9_500)


@scenario(
    Capability.BET,
    Capability.WIN,
    claim="A bet's reference that comes again with a win is refused and pays nothing.",
    fit=_shares_names,
)
async def win_under_the_reference_of_a_bet(stage: Stage) -> None:
    """A bet, then a win of the same name."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet, 9_000)
    win = steps.reword(steps.win(bet, 1_000), reference=bet.move.reference)
    await stage.refused(win, Cause.CONFLICT)
    await stage.wallet_is(seat, 9_000)


@scenario(
    Capability.BET,
    Capability.ROLLBACK,
    claim="A rollback's reference that comes again for another bet is refused and returns nothing.",
    fit=_shares_names,
)
async def other_target_under_a_used_reference(stage: Stage) -> None:
    """Two bets, one rolled back, the other under the same name."""
    seat = await stage.seat(10_000)
    one, two = steps.bet(seat, 1_000), steps.bet(seat, 500)
    await stage.approved(one)
    await stage.approved(two, 8_500)
    undo = steps.rollback(one)
    await stage.approved(undo, 9_500)
    again = steps.reword(steps.rollback(two), reference=undo.move.reference)
    await stage.refused(again, Cause.CONFLICT)
    await stage.wallet_is(seat, 9_500)
