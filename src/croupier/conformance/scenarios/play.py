"""What every protocol is for: balances, bets, wins, and rounds that end."""

from __future__ import annotations

from croupier.conformance import steps
from croupier.conformance.reading import Cause
from croupier.conformance.scenario import scenario
from croupier.conformance.speaker import Ending, Traits
from croupier.conformance.stage import Stage
from croupier.conformance.steps import Step
from croupier.providers.manifest import Capability, Manifest


def _rounds_end(_: Manifest, traits: Traits) -> str:
    return "the protocol does not say when a round ends" if traits.ending is Ending.NEVER else ""


def _has_sibling_wins(_: Manifest, traits: Traits) -> str:
    return "the protocol settles a bet once" if traits.one_win_per_bet else ""


async def finish(stage: Stage, bet: Step, amount: int) -> None:
    """Pay a win and end the round, as the protocol ends rounds."""
    if stage.traits.ending is Ending.BY_CALL:
        if amount:
            await stage.approved(steps.win(bet, amount))
        await stage.approved(steps.close(bet))
    else:
        await stage.approved(steps.win(bet, amount, is_closing=True))


@scenario(Capability.BALANCE, claim="The balance is what the wallet holds.")
async def balance_is_shown(stage: Stage) -> None:
    """Ask for it."""
    seat = await stage.seat(12_345)
    await stage.approved(steps.balance(seat), 12_345)
    await stage.wallet_is(seat, 12_345)


@scenario(Capability.BET, claim="A bet takes its stake, and its answer shows the balance after it.")
async def bet_takes_the_stake(stage: Stage) -> None:
    """One bet."""
    seat = await stage.seat(10_000)
    reading = await stage.approved(steps.bet(seat, 1_250), 8_750)
    stage.require(all(reading.operator_ids), "the answer names no transaction of the operator")
    await stage.wallet_is(seat, 8_750)


@scenario(Capability.BET, claim="The whole balance may be staked, to the last minor unit.")
async def whole_balance_can_be_staked(stage: Stage) -> None:
    """A bet of all there is, then one of one minor unit."""
    seat = await stage.seat(10_001)
    await stage.approved(steps.bet(seat, 10_001), 0)
    reading = await stage.refused(steps.bet(seat, 1), Cause.FUNDS)
    stage.require_refused(reading, Cause.FUNDS, balance=0)
    await stage.wallet_is(seat, 0)


@scenario(Capability.BET, claim="A bet beyond the balance is declined for lack of funds and moves nothing.")
async def bet_beyond_the_balance_is_declined(stage: Stage) -> None:
    """A stake of one minor unit more than there is."""
    seat = await stage.seat(1_000)
    reading = await stage.say(steps.bet(seat, 1_001))
    stage.require_refused(reading, Cause.FUNDS, balance=1_000)
    await stage.wallet_is(seat, 1_000)


@scenario(Capability.BET, Capability.WIN, claim="A win is paid, and its answer shows the balance after it.")
async def win_is_paid(stage: Stage) -> None:
    """A bet and its win."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet, 9_000)
    reading = await stage.approved(steps.win(bet, 2_345), 11_345)
    stage.require(all(reading.operator_ids), "the answer names no transaction of the operator")
    await stage.wallet_is(seat, 11_345)


@scenario(
    Capability.BET, Capability.WIN, claim="Several wins of one bet are all paid.", fit=_has_sibling_wins
)
async def several_wins_are_paid(stage: Stage) -> None:
    """A bet and three wins."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    for number in range(1, 4):
        await stage.approved(steps.win(bet, 100), 9_000 + number * 100)
    await stage.wallet_is(seat, 9_300)


@scenario(
    Capability.BET, Capability.WIN, claim="Several bets of one round are taken, each settled for itself."
)
async def several_bets_in_a_round(stage: Stage) -> None:
    """Five bets and their wins in one round."""
    seat = await stage.seat(10_000)
    first = steps.bet(seat, 100)
    bets = [first, *(steps.bet(seat, 100, round_id=first.round_id) for _ in range(4))]
    for number, bet in enumerate(bets, 1):
        await stage.approved(bet, 10_000 - number * 100)
    for number, bet in enumerate(bets, 1):
        await stage.approved(steps.win(bet, 50), 9_500 + number * 50)
    await stage.wallet_is(seat, 9_750)


@scenario(
    Capability.BET, Capability.WIN, claim="A win of nothing is approved where the protocol has such wins."
)
async def win_of_nothing(stage: Stage) -> None:
    """A lost bet, told."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    if stage.traits.zero_wins:
        await stage.approved(steps.win(bet, 0), 9_000)
    else:
        await stage.refused(steps.win(bet, 0), Cause.AMOUNT)
    await stage.wallet_is(seat, 9_000)


@scenario(
    Capability.BET, claim="A bet of nothing is approved where the protocol has such bets, else refused."
)
async def bet_of_nothing(stage: Stage) -> None:
    """A stake of zero."""
    seat = await stage.seat(10_000)
    if stage.traits.zero_bets:
        await stage.approved(steps.bet(seat, 0), 10_000)
    else:
        await stage.refused(steps.bet(seat, 0), Cause.AMOUNT)
    await stage.wallet_is(seat, 10_000)


@scenario(
    Capability.CLOSE_ROUND,
    Capability.BET,
    claim="A round ends, once, and a session whose rounds have ended settles when it is closed.",
    fit=_rounds_end,
)
async def close_round(stage: Stage) -> None:
    """Bet, win, end of the round, end of the session."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    await finish(stage, bet, 400)
    if stage.traits.ending is Ending.BY_CALL:
        await stage.approved(steps.close(bet))
    await stage.operator.close_session(seat.session_id)

    async def is_settled() -> bool:
        return bool((await stage.operator.session(seat.session_id))["state"] == "settled")

    await stage.holds_until(is_settled, "the session does not settle")
    await stage.wallet_is(seat, 9_400)


@scenario(
    Capability.CLOSE_ROUND,
    Capability.BET,
    claim="A bet in a round that has ended is declined, a win in it is paid.",
    fit=_rounds_end,
)
async def bet_after_the_end_is_declined(stage: Stage) -> None:
    """A late bet, a late win."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    late = steps.bet(seat, 1_000, round_id=bet.round_id)
    await stage.approved(bet)
    second = steps.bet(seat, 500, round_id=bet.round_id)
    await stage.approved(second, 8_500)
    await finish(stage, bet, 0)
    reading = await stage.say(late)
    stage.require_refused(reading, Cause.ROUND_CLOSED, balance=8_500)
    await stage.approved(steps.win(second, 300), 8_800)
    await stage.wallet_is(seat, 8_800)


@scenario(
    Capability.BET, Capability.WIN, claim="Two sessions of one player are played side by side on one wallet."
)
async def two_sessions_share_the_wallet(stage: Stage) -> None:
    """Two launches, bets in turn, a win in each."""
    first = await stage.seat(10_000)
    second = await stage.seat(0, player_id=first.player_id)
    one, two = steps.bet(first, 1_000), steps.bet(second, 2_000)
    await stage.approved(one, 9_000)
    await stage.approved(two, 7_000)
    await stage.approved(steps.win(one, 100), 7_100)
    await stage.approved(steps.win(two, 200), 7_300)
    await stage.wallet_is(first, 7_300)


@scenario(
    Capability.BET,
    Capability.WIN,
    claim="A bet in a session that is over is declined; what is won in it is paid all the same.",
)
async def credits_outlive_the_session(stage: Stage) -> None:
    """A bet, the end of the session, a late bet, a late win."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    await stage.operator.close_session(seat.session_id)
    reading = await stage.refused(steps.bet(seat, 1_000), Cause.SESSION_OVER)
    stage.require_refused(reading, Cause.SESSION_OVER, balance=9_000)
    await stage.approved(steps.win(bet, 2_000), 11_000)
    await stage.wallet_is(seat, 11_000)
