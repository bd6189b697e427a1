"""What only some protocols have: jackpots, promotions, contributions, free rounds, proofs of fairness."""

from __future__ import annotations

from croupier.conformance import steps
from croupier.conformance.scenario import scenario
from croupier.conformance.stage import Stage
from croupier.conformance.steps import Kind
from croupier.providers.manifest import Capability


@scenario(Capability.JACKPOT_WIN, Capability.BET, claim="A jackpot win is paid, once.")
async def jackpot_win(stage: Stage) -> None:
    """A bet, a jackpot, the same jackpot again."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    jackpot = steps.win(bet, 50_000, kind=Kind.JACKPOT)
    await stage.approved(jackpot, 59_000)
    await stage.approved(jackpot, 59_000)
    await stage.wallet_is(seat, 59_000)


@scenario(Capability.PROMO_WIN, claim="A promotional win is paid without a stake, once.")
async def promo_win(stage: Stage) -> None:
    """A gift, and the same gift again; where it must name a bet, that is a free one."""
    seat = await stage.seat(10_000)
    gift = steps.promo(seat, 777, campaign=steps.fresh())
    if stage.traits.promos_need_bets:
        free = steps.bet(seat, 100, is_free=True, campaign=steps.fresh())
        await stage.approved(free, 10_000)
        gift = steps.win(free, 777, kind=Kind.PROMO)
    await stage.approved(gift, 10_777)
    await stage.approved(gift, 10_777)
    await stage.wallet_is(seat, 10_777)


@scenario(
    Capability.CONTRIBUTION,
    Capability.BET,
    claim="A jackpot contribution is part of the stake: the player pays the stake and no more.",
)
async def contribution(stage: Stage) -> None:
    """A bet with a contribution, and its rollback."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000, contribution=15)
    await stage.approved(bet, 9_000)
    await stage.approved(steps.rollback(bet), 10_000)
    await stage.wallet_is(seat, 10_000)


@scenario(
    Capability.FREE_ROUNDS,
    claim="A free bet takes nothing whatever amount it names; what it wins is paid as the protocol pays it, once.",
)
async def free_rounds(stage: Stage) -> None:
    """A free bet, its win, and the pay-out where there is one at the end."""
    seat = await stage.seat(10_000)
    campaign = steps.fresh()
    bet = steps.bet(seat, 500, is_free=True, campaign=campaign)
    await stage.approved(bet, 10_000)
    await stage.approved(bet, 10_000)
    win = steps.win(bet, 250)
    paid = 10_250 if stage.traits.freespins_pay else 10_000
    await stage.approved(win, paid)
    await stage.approved(win, paid)
    if not stage.traits.freespins_pay:
        total = steps.promo(seat, 250, campaign=campaign)
        await stage.approved(total, 10_250)
        await stage.approved(total, 10_250)
    await stage.wallet_is(seat, 10_250)


@scenario(
    Capability.FAIRNESS,
    Capability.CLOSE_ROUND,
    Capability.BET,
    claim="A round may be closed with a proof of its fairness, which is kept as evidence.",
)
async def fairness(stage: Stage) -> None:
    """A bet, the end of its round with a proof, and the round as the operator sees it."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    await stage.approved(steps.close(bet, is_proven=True))
    page = await stage.operator.rounds(seat.session_id)
    kept = [one["fairness"] for one in page if one["provider_round_id"] == bet.round_id]
    stage.require(len(kept) == 1 and bool(kept[0]), "the proof is not kept with the round")


@scenario(Capability.STATEMENT, claim="A provider's statement is imported and agrees with the books.")
async def statement_import(stage: Stage) -> None:
    """No adapter has statements yet: the first one that declares them fails here until this is played."""
    stage.require(False, "the kit does not import statements in this version")
