"""Several moves in one request: in order, all of them or none."""

from __future__ import annotations

from croupier.conformance import steps
from croupier.conformance.reading import Cause
from croupier.conformance.scenario import scenario
from croupier.conformance.stage import Stage
from croupier.providers.manifest import Capability


@scenario(Capability.BET_WIN, claim="A bet and its win in one request are both booked.")
async def bet_win(stage: Stage) -> None:
    """Stake ten, win three."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    reading = await stage.approved(steps.batch(bet, steps.win(bet, 300)), 9_300)
    stage.require(len(set(reading.operator_ids)) == 2, "the two moves are one transaction of the operator")
    await stage.wallet_is(seat, 9_300)


@scenario(
    Capability.BET_WIN, claim="Without funds for the bet its win in the same request is not paid either."
)
async def batch_is_all_or_none(stage: Stage) -> None:
    """A stake beyond the balance with a win that would cover it."""
    seat = await stage.seat(500)
    bet = steps.bet(seat, 1_000)
    reading = await stage.say(steps.batch(bet, steps.win(bet, 5_000)))
    stage.require_refused(reading, Cause.FUNDS, balance=500)
    await stage.wallet_is(seat, 500)


@scenario(Capability.BET_WIN, claim="A repeated bet and win move nothing and get the first answer.")
async def batch_is_repeated(stage: Stage) -> None:
    """The same request again, after other play."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    both = steps.batch(bet, steps.win(bet, 300))
    first = await stage.approved(both, 9_300)
    await stage.approved(steps.bet(seat, 100), 9_200)
    again = await stage.say(both)
    stage.require_approved(again, stage.expect.repeat_balance(stored=9_300, current=9_200))
    stage.require(again.operator_ids == first.operator_ids, "the repeat names other transactions")
    await stage.wallet_is(seat, 9_200)


@scenario(
    Capability.BET_WIN, claim="A request may hold a bet that is known and a win that is new: the win is paid."
)
async def batch_of_old_and_new(stage: Stage) -> None:
    """A bet, then the same bet with its win."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    first = await stage.approved(bet, 9_000)
    reading = await stage.approved(steps.batch(bet, steps.win(bet, 300)), 9_300)
    stage.require(reading.operator_ids[0] == first.operator_ids[0], "the known bet has another transaction")
    await stage.wallet_is(seat, 9_300)


@scenario(Capability.BATCH, Capability.BET, claim="Of several bets in one request all are taken, or none.")
async def several_bets_in_one_call(stage: Stage) -> None:
    """Two bets that the wallet can pay, then two of which it can pay one."""
    seat = await stage.seat(1_000)
    first = steps.bet(seat, 300)
    await stage.approved(steps.batch(first, steps.bet(seat, 200, round_id=first.round_id)), 500)
    third = steps.bet(seat, 400)
    reading = await stage.say(steps.batch(third, steps.bet(seat, 400, round_id=third.round_id)))
    stage.require_refused(reading, Cause.FUNDS, balance=500)
    await stage.wallet_is(seat, 500)
    await stage.approved(third, 100)


@scenario(
    Capability.BATCH,
    Capability.BET,
    Capability.ROLLBACK,
    claim="Several bets are rolled back in one request.",
)
async def several_rollbacks_in_one_call(stage: Stage) -> None:
    """Two bets of a round, one request that undoes both."""
    seat = await stage.seat(1_000)
    one = steps.bet(seat, 300)
    two = steps.bet(seat, 200, round_id=one.round_id)
    await stage.approved(one)
    await stage.approved(two, 500)
    await stage.approved(steps.batch(steps.rollback(one), steps.rollback(two)), 1_000)
    await stage.wallet_is(seat, 1_000)
