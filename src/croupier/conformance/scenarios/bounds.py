"""What is not a request of the protocol: too large, not readable, ambiguous, to nowhere."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from croupier.conformance import steps
from croupier.conformance.reading import Cause, Request, Verdict
from croupier.conformance.scenario import scenario
from croupier.conformance.stage import ScenarioFailed, Stage
from croupier.conformance.steps import Step
from croupier.providers.manifest import Capability

STAKE: Final = 500
"""Five units: where a distorted amount is a plain 5, it is this stake again."""


def _signed(stage: Stage, request: Request) -> Request:
    return stage.speaker.sign(request, stage.stamp())


async def _refuse(stage: Stage, step: Step, request: Request, *causes: Cause) -> None:
    reading = await stage.send(step, _signed(stage, request))
    stage.require_refused(reading, *causes)


@scenario(Capability.BET, claim="A body beyond the bound is refused, however well it is signed.")
async def oversized_body(stage: Stage) -> None:
    """A bet with a member that fills the bound and more."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    bound = min(stage.target.body_bytes, stage.target.manifest.body_bytes or stage.target.body_bytes)
    padded = stage.speaker.add_member(stage.speaker.write(bet), "padding", "x" * bound)
    await _refuse(stage, bet, padded, Cause.TOO_LARGE)
    await stage.wallet_is(seat, 10_000)
    await stage.approved(bet, 9_000)


@scenario(
    Capability.BET,
    claim="A member that the protocol does not know is tolerated or refused as the protocol says.",
)
async def unknown_member(stage: Stage) -> None:
    """A bet with a member too many."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    request = stage.speaker.add_member(stage.speaker.write(bet), "conformance_probe", "surprise")
    reading = await stage.send(bet, _signed(stage, request))
    if stage.traits.takes_unknown_members:
        stage.require_approved(reading, 9_000)
    else:
        stage.require_refused(reading, Cause.MALFORMED)
        await stage.wallet_is(seat, 10_000)
        await stage.approved(bet, 9_000)


@scenario(Capability.BET, claim="A member given twice is refused: two readers could take two values.")
async def repeated_member(stage: Stage) -> None:
    """A bet with its first member twice."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    request = stage.speaker.repeat_member(stage.speaker.write(bet))
    reading = await stage.send(bet, stage.speaker.sign_anyhow(request, stage.stamp()))
    stage.require_refused(reading, Cause.MALFORMED, Cause.SIGNATURE)
    await stage.wallet_is(seat, 10_000)
    await stage.approved(bet, 9_000)


@scenario(Capability.BET, claim="A signed body that cannot be read is refused in the protocol's own form.")
async def unreadable_body(stage: Stage) -> None:
    """Bodies that are empty, cut off, of another kind, not UTF-8, or nested without end."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    for body in stage.speaker.unreadable_bodies():
        request = replace(stage.speaker.write(bet), body=body)
        reading = await stage.send(bet, stage.speaker.sign_anyhow(request, stage.stamp()))
        stage.require_refused(reading, Cause.MALFORMED, Cause.SIGNATURE)
    await stage.wallet_is(seat, 10_000)
    await stage.approved(bet, 9_000)


@scenario(
    Capability.BET,
    claim="Whatever is left out of a bet or of another type, the answer is final, and moves the stake or nothing.",
)
async def distorted_members(stage: Stage) -> None:
    """A new bet for every member of it that can be distorted."""
    seat = await stage.seat(10_000_000)
    approved = 0
    for number in range(len(stage.speaker.distort(stage.speaker.write(steps.bet(seat, STAKE))))):
        bet = steps.bet(seat, STAKE)
        what, request = stage.speaker.distort(stage.speaker.write(bet))[number]
        signed = stage.speaker.sign_anyhow(request, stage.stamp())
        reading = await stage.send_as_it_is(bet, signed)
        if reading.verdict is Verdict.UNKNOWN and not stage.speaker.tells(Cause.SIGNATURE, reading.code):
            raise ScenarioFailed(f"with {what} nobody can tell what happened", reading)
        if reading.verdict is Verdict.SENSELESS and reading.response.status != 200:
            raise ScenarioFailed(f"with {what} the answer is not the protocol's: {reading.finding}", reading)
        # What is not echoed may still have been taken.
        approved += reading.response.status == 200 and not reading.is_final_no
    held = await stage.operator.balance(seat.player_id, seat.asset)
    stage.require((10_000_000 - held) % STAKE == 0, f"the wallet holds {held}")
    stage.require(10_000_000 - held <= approved * STAKE, "a refused bet took its stake")
    await stage.approved(steps.bet(seat, STAKE), held - STAKE)


@scenario(Capability.BET, claim="A path that means nothing is refused.")
async def unknown_path(stage: Stage) -> None:
    """A bet to nowhere."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    written = stage.speaker.write(bet)
    request = _signed(stage, replace(written, path=written.path.rstrip(b"/") + b"/nowhere"))
    await _refuse_path(stage, bet, request)
    await stage.wallet_is(seat, 10_000)
    await stage.approved(bet, 9_000)


@scenario(Capability.BET, claim="A method that the path does not take is refused.")
async def another_method(stage: Stage) -> None:
    """A bet by PUT."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await _refuse_path(stage, bet, _signed(stage, replace(stage.speaker.write(bet), method="PUT")))
    await stage.wallet_is(seat, 10_000)
    await stage.approved(bet, 9_000)


async def _refuse_path(stage: Stage, step: Step, request: Request) -> None:
    reading = await stage.send_as_it_is(step, request)
    if reading.verdict is Verdict.APPROVED:
        raise ScenarioFailed("it is approved", reading)
    if not 200 <= reading.response.status < 500:
        raise ScenarioFailed(f"the answer is {reading.response.status}", reading)
    if not stage.speaker.tells(Cause.PATH, reading.code):
        raise ScenarioFailed(f"the protocol does not say so with {reading.code!r}", reading)


@scenario(Capability.BET, claim="A compressed body is refused: nothing but what was signed is read.")
async def compressed_body(stage: Stage) -> None:
    """A bet that claims to be compressed."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    request = stage.build(bet)
    packed = replace(request, headers=(*request.headers, (b"content-encoding", b"gzip")))
    reading = await stage.send(bet, packed)
    stage.require_refused(reading, Cause.MALFORMED)
    await stage.wallet_is(seat, 10_000)
    await stage.approved(bet, 9_000)


@scenario(
    Capability.BET, claim="An account that does not exist is answered without saying anything about keys."
)
async def unknown_account(stage: Stage) -> None:
    """A bet to another account's address, signed and unsigned: the answers are the same."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    root = stage.speaker.account.root
    answers = []
    for request in (stage.build(bet), stage.speaker.unsign(stage.build(bet))):
        moved = replace(request, path=request.path.replace(root, root + b"-nobody", 1))
        answer = await stage.raw(moved)
        answers.append((answer.status, answer.body.partition(b"correlation_id")[0]))
    stage.require(answers[0][0] == 404, f"the answer is {answers[0][0]}")
    stage.require(answers[0] == answers[1], "the answers to a signed and an unsigned request differ")
    await stage.wallet_is(seat, 10_000)
