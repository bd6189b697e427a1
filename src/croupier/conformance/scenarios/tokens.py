"""Session tokens: given at launch, presented with every call, replaced, and never in the way of a credit."""

from __future__ import annotations

from msgspec.structs import replace

from croupier.conformance import steps
from croupier.conformance.reading import Cause, Reading
from croupier.conformance.scenario import scenario
from croupier.conformance.speaker import Traits
from croupier.conformance.stage import Stage
from croupier.conformance.steps import Seat
from croupier.providers.manifest import Capability, Manifest


def _has_tokens(manifest: Manifest, _: Traits) -> str:
    return "" if manifest.session_token else "the protocol has no session tokens"


async def _credit(stage: Stage, bet: steps.Step, seat: Seat, *, balance: int) -> Reading:
    """A win under this seat's token: paid, unless the protocol insists on a token of the player's own."""
    win = steps.reseat(steps.win(bet, 500), seat)
    reading = await stage.say(win)
    if stage.target.manifest.strict_tokens:
        stage.require_refused(reading, Cause.SESSION)
    else:
        stage.require_approved(reading, balance)
    return reading


@scenario(
    Capability.BET,
    Capability.WIN,
    claim="A token that nobody was given takes no bet; a credit does not fail for it unless the manifest is strict.",
    fit=_has_tokens,
)
async def unknown_token(stage: Stage) -> None:
    """A bet and a win under a random token."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet)
    guest = replace(seat, token=steps.fresh())
    await stage.refused(steps.bet(guest, 100), Cause.SESSION)
    await _credit(stage, bet, guest, balance=9_500)


@scenario(Capability.BET, claim="Another player's token takes no bet from either.", fit=_has_tokens)
async def another_players_token(stage: Stage) -> None:
    """A bet with one player's name and another's token."""
    seat, other = await stage.seat(10_000), await stage.seat(10_000)
    await stage.refused(steps.bet(replace(seat, token=other.token), 100), Cause.SESSION)
    await stage.refused(steps.balance(replace(seat, token=other.token)), Cause.SESSION)
    await stage.wallet_is(seat, 10_000)
    await stage.wallet_is(other, 10_000)


@scenario(
    Capability.SESSION_CHECK,
    Capability.BET,
    Capability.WIN,
    claim="A check gives a new token; the old one takes no bet any more, the new one does.",
    fit=_has_tokens,
)
async def token_is_replaced(stage: Stage) -> None:
    """Check, bet with the old token, bet with the new one, win under the old one."""
    seat = await stage.seat(10_000)
    first = steps.bet(seat, 1_000)
    await stage.approved(first, 9_000)
    reading = await stage.approved(steps.check(seat))
    stage.require(bool(reading.token) and reading.token != seat.token, "the check gives no new token")
    await stage.refused(steps.bet(seat, 100), Cause.SESSION)
    renewed = replace(seat, token=reading.token)
    await stage.approved(steps.bet(renewed, 100), 8_900)
    await stage.approved(steps.win(first, 500), 9_400)
    await stage.wallet_is(seat, 9_400)


@scenario(
    Capability.SESSION_CHECK,
    Capability.BET,
    claim="A check whose answer was lost may be repeated.",
    fit=_has_tokens,
)
async def lost_check_is_repeated(stage: Stage) -> None:
    """Two checks with the same token, then a bet with the later one's."""
    seat = await stage.seat(10_000)
    await stage.approved(steps.check(seat))
    again = await stage.approved(steps.check(seat))
    await stage.approved(steps.bet(replace(seat, token=again.token), 100), 9_900)


@scenario(
    Capability.SESSION_CHECK, claim="A check with a token nobody was given is refused.", fit=_has_tokens
)
async def check_of_an_unknown_token(stage: Stage) -> None:
    """A random token, and another player's."""
    seat, other = await stage.seat(), await stage.seat()
    await stage.refused(steps.check(replace(seat, token=steps.fresh())), Cause.SESSION)
    await stage.refused(steps.check(replace(seat, token=other.token)), Cause.SESSION)
