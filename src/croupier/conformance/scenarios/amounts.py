"""Amounts: exact in every asset and at every size, and refused in every spelling that is none."""

from __future__ import annotations

from typing import Final

from croupier.conformance import steps
from croupier.conformance.reading import Cause, Request
from croupier.conformance.scenario import Scenario, scenario
from croupier.conformance.stage import NotPlayable, Stage
from croupier.conformance.steps import Spelling, Step
from croupier.providers.manifest import Capability

OTHER_EXPONENTS: Final = ("JPY", "BHD")
BEYOND_INT32: Final = 2_147_484
"""21 474.84 in an asset of two decimals: times 100 000 it needs more than 31 bits."""
BEYOND_DOUBLES: Final = 9_007_199_254_740_993
"""The first whole number that a double cannot hold."""


def _refuse_spelling(spelling: Spelling, name: str) -> Scenario:
    async def play(stage: Stage) -> None:
        seat = await stage.seat(10_000)
        bet, good = steps.bet(seat, spelling), steps.bet(seat, 1_000)
        await _refuse(stage, bet)
        await stage.approved(good, 9_000)
        await _refuse(stage, steps.win(good, spelling))
        await stage.wallet_is(seat, 9_000)

    claim = f"An amount that is {spelling.value} is refused in a bet and in a win, and moves nothing."
    if spelling in (Spelling.EXPONENT, Spelling.NOT_A_NUMBER):
        claim = f"An amount {spelling.value} is refused in a bet and in a win, and moves nothing."
    play.__name__ = name
    play.__module__ = __name__
    return scenario(Capability.BET, Capability.WIN, claim=claim)(play)


async def _refuse(stage: Stage, step: Step) -> None:
    request: Request = stage.build(step)
    reading = await stage.send(step, request)
    stage.require_refused(reading, Cause.AMOUNT, Cause.MALFORMED)


amount_finer_than_the_asset = _refuse_spelling(Spelling.FINER, "amount_finer_than_the_asset")
amount_with_an_exponent = _refuse_spelling(Spelling.EXPONENT, "amount_with_an_exponent")
amount_below_zero = _refuse_spelling(Spelling.NEGATIVE, "amount_below_zero")
amount_of_too_many_digits = _refuse_spelling(Spelling.TOO_LONG, "amount_of_too_many_digits")
amount_that_is_no_number = _refuse_spelling(Spelling.NOT_A_NUMBER, "amount_that_is_no_number")
amount_of_another_type = _refuse_spelling(Spelling.OTHER_TYPE, "amount_of_another_type")
amount_left_empty = _refuse_spelling(Spelling.EMPTY, "amount_left_empty")
amount_with_a_space = _refuse_spelling(Spelling.SPACED, "amount_with_a_space")


async def _play_exactly(stage: Stage, asset: str) -> None:
    seat = await stage.seat(100_000, asset=asset)
    await stage.approved(steps.balance(seat), 100_000)
    bet = steps.bet(seat, 12_345)
    await stage.approved(bet, 87_655)
    await stage.approved(steps.win(bet, 1), 87_656)
    await stage.wallet_is(seat, 87_656)


@scenario(
    Capability.BALANCE,
    Capability.BET,
    Capability.WIN,
    claim="Assets without decimals and with three are played to the minor unit.",
)
async def assets_of_other_exponents(stage: Stage) -> None:
    """A round in each."""
    assets = [asset for asset in OTHER_EXPONENTS if asset in stage.target.assets]
    if not assets:
        raise NotPlayable("this run has no asset with another number of decimals")
    for asset in assets:
        await _play_exactly(stage, asset)


@scenario(
    Capability.BET,
    Capability.WIN,
    claim="Amounts whose wire form is beyond 31 bits are booked to the minor unit.",
)
async def amounts_beyond_31_bits(stage: Stage) -> None:
    """A stake and a win of 21 474.84, and a win of 63 727 092.34."""
    seat = await stage.seat(BEYOND_INT32)
    bet = steps.bet(seat, BEYOND_INT32)
    await stage.approved(bet, 0)
    await stage.approved(steps.win(bet, 6_372_709_234), 6_372_709_234)
    await stage.approved(steps.bet(seat, BEYOND_INT32), 6_372_709_234 - BEYOND_INT32)
    await stage.wallet_is(seat, 6_372_709_234 - BEYOND_INT32)


@scenario(
    Capability.BALANCE,
    Capability.BET,
    claim="Amounts that a double cannot hold are booked to the minor unit.",
)
async def amounts_beyond_doubles(stage: Stage) -> None:
    """A balance of 2^53 + 1 minor units, and stakes of one and of nearly all."""
    seat = await stage.seat(BEYOND_DOUBLES)
    await stage.approved(steps.balance(seat), BEYOND_DOUBLES)
    await stage.approved(steps.bet(seat, 1), BEYOND_DOUBLES - 1)
    await stage.approved(steps.bet(seat, BEYOND_DOUBLES - 2), 1)
    await stage.wallet_is(seat, 1)


@scenario(
    Capability.BET,
    Capability.WIN,
    claim="A win that is refused is left for finance to look at: the player may be owed money.",
)
async def refused_win_reaches_finance(stage: Stage) -> None:
    """A bet, and a win that its asset cannot hold."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet, 9_000)
    await _refuse(stage, steps.win(bet, Spelling.FINER))
    kinds = [one["kind"] for one in await stage.operator.breaks(seat.player_id)]
    stage.require(kinds.count("refused_credit") == 1, f"finance sees {kinds}")
