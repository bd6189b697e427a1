"""Taking back: what came, what never came, what comes later, and what was spent meanwhile."""

from __future__ import annotations

import asyncio

from croupier.conformance import steps
from croupier.conformance.reading import Cause, Verdict
from croupier.conformance.scenario import scenario
from croupier.conformance.speaker import Traits
from croupier.conformance.stage import Stage
from croupier.providers.manifest import Capability, Manifest, RollbackReference

ROLLBACK_OF_BET = (Capability.BET, Capability.ROLLBACK)
ROLLBACK_OF_WIN = (Capability.BET, Capability.WIN, Capability.ROLLBACK)


def _has_own_names(manifest: Manifest, _: Traits) -> str:
    is_own = manifest.rollback_reference is RollbackReference.OWN
    return "" if is_own else "a rollback shares the reference of its target: it is always the same one"


def _takes_wins_back(_: Manifest, traits: Traits) -> str:
    return "" if traits.rolls_wins_back else "the protocol does not roll wins back"


def _undoes_rollbacks(manifest: Manifest, _: Traits) -> str:
    return "" if manifest.undoes_rollbacks else "the manifest does not undo rollbacks"


def _names_amount(_: Manifest, traits: Traits) -> str:
    return "" if traits.rollback_names_amount else "a rollback names no amount"


def _needs_bets(_: Manifest, traits: Traits) -> str:
    return "" if traits.bets_needed else "a win need not name its bet"


@scenario(*ROLLBACK_OF_BET, claim="A rolled-back bet returns its stake.")
async def rollback_returns_the_stake(stage: Stage) -> None:
    """A bet and its rollback."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet, 9_000)
    await stage.approved(steps.rollback(bet), 10_000)
    await stage.wallet_is(seat, 10_000)


@scenario(
    *ROLLBACK_OF_BET,
    claim="A second rollback of one bet, under another reference, has no effect.",
    fit=_has_own_names,
)
async def second_rollback_has_no_effect(stage: Stage) -> None:
    """Two rollbacks with names of their own."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    await stage.approved(steps.rollback(bet), 10_000)
    await stage.approved(steps.rollback(bet), 10_000)
    await stage.wallet_is(seat, 10_000)


@scenario(*ROLLBACK_OF_BET, claim="Two rollbacks of one bet that arrive together return the stake once.")
async def two_rollbacks_at_once(stage: Stage) -> None:
    """Four rollbacks at the same moment."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet, 9_000)
    for reading in await asyncio.gather(*(stage.say(steps.rollback(bet)) for _ in range(4))):
        stage.require_approved(reading)
    await stage.wallet_is(seat, 10_000)


@scenario(
    *ROLLBACK_OF_BET,
    claim="The rollback of a bet that never came moves nothing and is answered by the manifest.",
)
async def rollback_of_the_unknown(stage: Stage) -> None:
    """A rollback of nothing."""
    seat = await stage.seat(10_000)
    reading = await stage.say(steps.rollback(steps.bet(seat, 1_000)))
    if stage.expect.approves_unknown_target:
        stage.require_approved(reading, 10_000)
    else:
        stage.require_refused(reading, Cause.TARGET, balance=10_000)
    await stage.wallet_is(seat, 10_000)


@scenario(
    *ROLLBACK_OF_BET,
    claim="A bet that comes after its rollback takes nothing and is answered by the manifest.",
)
async def bet_after_its_rollback(stage: Stage) -> None:
    """The rollback first, then the bet, then the bet again."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.say(steps.rollback(bet))
    left = 10_000 if stage.expect.leaves_tombstone else 9_000
    for _ in range(2):
        reading = await stage.say(bet)
        if stage.expect.late_debit_is_approved:
            stage.require_approved(reading, left)
        else:
            stage.require_refused(reading, Cause.ROLLED_BACK, balance=left)
    await stage.wallet_is(seat, left)


@scenario(
    *ROLLBACK_OF_BET, claim="A bet that was taken and rolled back is not taken again when it is repeated."
)
async def rolled_back_bet_is_repeated(stage: Stage) -> None:
    """Bet, rollback, bet: nothing moves, whether it is answered from the store or refused."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    first = await stage.approved(bet)
    await stage.approved(steps.rollback(bet))
    again = await stage.say(bet)
    if again.verdict is Verdict.APPROVED:
        stage.require_approved(again, stage.expect.repeat_balance(stored=9_000, current=10_000))
        stage.require(again.operator_ids == first.operator_ids, "the repeat names another transaction")
    else:
        stage.require_refused(again, Cause.ROLLED_BACK, Cause.SETTLED)
    await stage.wallet_is(seat, 10_000)


@scenario(
    *ROLLBACK_OF_BET, claim="The rollback of a declined bet moves nothing and ends the provider's worry."
)
async def rollback_of_a_declined_bet(stage: Stage) -> None:
    """A declined bet and its rollback."""
    seat = await stage.seat(100)
    bet = steps.bet(seat, 1_000)
    await stage.refused(bet, Cause.FUNDS)
    reading = await stage.say(steps.rollback(bet))
    if stage.expect.approves_unknown_target:
        stage.require_approved(reading, 100)
    elif reading.verdict is not Verdict.APPROVED:
        stage.require_refused(reading, Cause.TARGET)
    await stage.wallet_is(seat, 100)


@scenario(*ROLLBACK_OF_WIN, claim="A rolled-back win is taken from the wallet.", fit=_takes_wins_back)
async def rollback_takes_a_win_back(stage: Stage) -> None:
    """A win and its rollback."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    win = steps.win(bet, 600)
    await stage.approved(bet)
    await stage.approved(win, 9_600)
    await stage.approved(steps.rollback(win), 9_000)
    await stage.wallet_is(seat, 9_000)


@scenario(
    *ROLLBACK_OF_WIN,
    claim="The rollback of a win that was spent does what the manifest says, and never below zero.",
    fit=_takes_wins_back,
)
async def rollback_of_a_spent_win(stage: Stage) -> None:
    """A win is withdrawn before it is rolled back."""
    seat = await stage.seat(1_000)
    bet = steps.bet(seat, 1_000)
    win = steps.win(bet, 600)
    await stage.approved(bet)
    await stage.approved(win, 600)
    await stage.operator.withdraw(seat.player_id, seat.asset, 500)
    reading = await stage.say(steps.rollback(win))
    taken = stage.expect.taken_back(won=600, held=100)
    if taken is None:
        stage.require_refused(reading, Cause.FUNDS, balance=100)
    else:
        stage.require_approved(reading, 100 - taken)
    await stage.wallet_is(seat, 100 - (taken or 0))


@scenario(
    *ROLLBACK_OF_WIN, claim="The rollback of a bet that was paid does what the protocol says, and only that."
)
async def rollback_after_the_win(stage: Stage) -> None:
    """Bet, win, rollback of the bet: refused where a settled bet stays, else the win stays paid."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    await stage.approved(steps.win(bet, 600), 9_600)
    reading = await stage.say(steps.rollback(bet))
    if stage.traits.settled_bets_stay:
        stage.require_refused(reading, Cause.SETTLED)
        await stage.wallet_is(seat, 9_600)
    else:
        stage.require_approved(reading, 10_600)
        await stage.wallet_is(seat, 10_600)


@scenario(
    *ROLLBACK_OF_WIN,
    claim="A win for a bet that was rolled back is refused where a win needs its bet.",
    fit=_needs_bets,
)
async def win_of_a_rolled_back_bet(stage: Stage) -> None:
    """Bet, rollback, win."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    await stage.approved(steps.rollback(bet))
    await stage.refused(steps.win(bet, 600), Cause.ROLLED_BACK, Cause.SETTLED)
    await stage.wallet_is(seat, 10_000)


@scenario(
    Capability.BET,
    Capability.WIN,
    claim="A win for a bet that never came is refused where a win needs its bet.",
    fit=_needs_bets,
)
async def win_of_an_unknown_bet(stage: Stage) -> None:
    """A win out of the blue."""
    seat = await stage.seat(10_000)
    await stage.refused(steps.win(steps.bet(seat, 1_000), 600), Cause.TARGET)
    await stage.wallet_is(seat, 10_000)


@scenario(*ROLLBACK_OF_BET, claim="A rolled-back rollback takes the stake again.", fit=_undoes_rollbacks)
async def rollback_of_a_rollback(stage: Stage) -> None:
    """Bet, rollback, rollback of that."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    undo = steps.rollback(bet)
    await stage.approved(bet)
    await stage.approved(undo, 10_000)
    await stage.approved(steps.rollback(undo), 9_000)
    await stage.wallet_is(seat, 9_000)


@scenario(*ROLLBACK_OF_BET, claim="A bet of a session that is over is rolled back all the same.")
async def rollback_outlives_the_session(stage: Stage) -> None:
    """Bet, end of the session, rollback."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    await stage.operator.close_session(seat.session_id)
    await stage.approved(steps.rollback(bet), 10_000)
    await stage.wallet_is(seat, 10_000)


@scenario(*ROLLBACK_OF_BET, claim="Somebody else's bet is not rolled back.")
async def rollback_of_another_players_bet(stage: Stage) -> None:
    """One player's bet, another player's rollback."""
    seat, other = await stage.seat(10_000), await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    reading = await stage.say(steps.reseat(steps.rollback(bet), other))
    stage.require(reading.verdict is not Verdict.APPROVED, "another player's rollback is approved")
    await stage.wallet_is(seat, 9_000)
    await stage.wallet_is(other, 10_000)


@scenario(
    *ROLLBACK_OF_BET,
    claim="A rollback that names another amount than its bet is refused, or returns what the bet took.",
    fit=_names_amount,
)
async def rollback_of_another_amount(stage: Stage) -> None:
    """A bet, the rollback of more, the rollback of it."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet, 9_000)
    more = steps.rollback(steps.reword(bet, amount=2_000))
    if stage.traits.rollbacks_never_fail:
        await stage.approved(more, 10_000)
    else:
        await stage.refused(more, Cause.CONFLICT, Cause.AMOUNT, Cause.TARGET)
        await stage.wallet_is(seat, 9_000)
    await stage.approved(steps.rollback(bet), 10_000)
    await stage.wallet_is(seat, 10_000)


@scenario(
    Capability.BET,
    Capability.WIN,
    claim="A win for another player's bet is refused where a win needs its bet.",
    fit=_needs_bets,
)
async def win_of_another_players_bet(stage: Stage) -> None:
    """One player's bet, another player's win."""
    seat, other = await stage.seat(10_000), await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet, 9_000)
    win = steps.reseat(steps.win(bet, 600), other)
    await stage.refused(win, Cause.TARGET, Cause.PLAYER, Cause.SESSION, Cause.CONFLICT)
    await stage.wallet_is(seat, 9_000)
    await stage.wallet_is(other, 10_000)


@scenario(
    *ROLLBACK_OF_WIN,
    claim="A win that comes after its rollback pays nothing and is answered by the manifest.",
    fit=_takes_wins_back,
)
async def win_after_its_rollback(stage: Stage) -> None:
    """A bet, the rollback of a win that has not come, the win."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet, 9_000)
    win = steps.win(bet, 600)
    await stage.approved(steps.rollback(win), 9_000)
    await stage.refused(win, Cause.ROLLED_BACK)
    await stage.wallet_is(seat, 9_000)
