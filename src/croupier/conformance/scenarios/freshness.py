"""Old requests: refused where a protocol can tell them, answered as repeats where it cannot."""

from __future__ import annotations

from croupier.conformance import steps
from croupier.conformance.reading import Cause
from croupier.conformance.scenario import scenario
from croupier.conformance.speaker import Traits
from croupier.conformance.stage import Stage
from croupier.providers.manifest import Capability, Freshness, Manifest

MARGIN_S = 5


def _has_time(manifest: Manifest, _: Traits) -> str:
    return "the protocol has no timestamp" if manifest.freshness is Freshness.NONE else ""


def _has_request_ids(manifest: Manifest, _: Traits) -> str:
    return "" if manifest.request_id is not None else "the manifest names no id of an attempt"


@scenario(
    Capability.BET,
    claim="The same bytes sent twice have one effect: refused where there are nonces, else answered as a repeat.",
)
async def request_is_replayed(stage: Stage) -> None:
    """A bet, and its bytes again."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    request = stage.build(bet)
    stage.require_approved(await stage.send(bet, request), 9_000)
    again = await stage.send(bet, request)
    if stage.expect.has_nonces:
        stage.require_refused(again, Cause.SIGNATURE)
    else:
        stage.require_approved(again, 9_000)
    await stage.wallet_is(seat, 9_000)


@scenario(
    Capability.BET,
    claim="A replayed request that was declined once is not approved later, when the wallet is full again.",
)
async def declined_request_is_replayed(stage: Stage) -> None:
    """A decline, a deposit, the same bytes: a nonce is spent, or the decline stands, or the manifest decides again."""
    seat = await stage.seat(100)
    bet = steps.bet(seat, 1_000)
    request = stage.build(bet)
    stage.require_refused(await stage.send(bet, request), Cause.FUNDS)
    await stage.operator.deposit(seat.player_id, seat.asset, 5_000)
    again = await stage.send(bet, request)
    if stage.expect.has_nonces:
        stage.require_refused(again, Cause.SIGNATURE)
    elif stage.expect.declines_stick:
        stage.require_refused(again, Cause.FUNDS)
    else:
        stage.require_approved(again, 4_100)


@scenario(
    Capability.BET,
    claim="An attempt sent again by its own id gets the very bytes of its first answer.",
    fit=_has_request_ids,
)
async def answer_is_repeated_as_sent(stage: Stage) -> None:
    """A bet, other play, the bet's bytes again."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    request = stage.build(bet)
    first = await stage.send(bet, request)
    stage.require_approved(first, 9_000)
    await stage.approved(steps.bet(seat, 500), 8_500)
    again = await stage.send(bet, request)
    stage.require(again.response.body == first.response.body, "the answer is another one")
    await stage.wallet_is(seat, 8_500)


@scenario(Capability.BET, claim="A request from before the window is refused.", fit=_has_time)
async def stale_request(stage: Stage) -> None:
    """A bet signed too long ago."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    reading = await stage.say(bet, offset_s=-stage.target.window_s - MARGIN_S)
    stage.require_refused(reading, Cause.SIGNATURE)
    await stage.wallet_is(seat, 10_000)
    await stage.approved(bet, 9_000)


@scenario(Capability.BET, claim="A request from after the window is refused.", fit=_has_time)
async def request_from_the_future(stage: Stage) -> None:
    """A bet signed for later."""
    seat = await stage.seat(10_000)
    reading = await stage.say(steps.bet(seat, 1_000), offset_s=stage.target.window_s + MARGIN_S)
    stage.require_refused(reading, Cause.SIGNATURE)
    await stage.wallet_is(seat, 10_000)


@scenario(Capability.BET, claim="A request from within the window is accepted, early or late.", fit=_has_time)
async def clocks_may_differ_a_little(stage: Stage) -> None:
    """Bets signed near both ends of the window."""
    seat = await stage.seat(10_000)
    nearly = stage.target.window_s - MARGIN_S
    stage.require_approved(await stage.say(steps.bet(seat, 1_000), offset_s=-nearly), 9_000)
    stage.require_approved(await stage.say(steps.bet(seat, 1_000), offset_s=nearly), 8_000)
