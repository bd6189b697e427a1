"""Who may speak: no signature, wrong, shortened, of other keys, and with any single bit changed."""

from __future__ import annotations

import asyncio
import secrets

from msgspec import Struct

from croupier.conformance import steps
from croupier.conformance.reading import Cause, Reading, Request, Verdict
from croupier.conformance.scenario import scenario
from croupier.conformance.speaker import Part, Traits
from croupier.conformance.stage import NotPlayable, ScenarioFailed, Stage
from croupier.conformance.steps import Step
from croupier.providers.manifest import Capability, Manifest
from croupier_signing import COVERAGES, Key

SIGNED = (Capability.BET,)
AT_ONCE = 64


async def _is_refused(stage: Stage, step: Step, request: Request) -> Reading:
    reading = await stage.send(step, request)
    stage.require_refused(reading, Cause.SIGNATURE)
    return reading


async def _refuses_key(stage: Stage, key: Key | None, what: str) -> None:
    if key is None:
        raise NotPlayable(f"this run has no {what}")
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await _is_refused(stage, bet, stage.build(bet, key=key))
    await stage.wallet_is(seat, 10_000)
    await stage.approved(bet, 9_000)


@scenario(*SIGNED, claim="A request without a signature is refused.")
async def missing_signature(stage: Stage) -> None:
    """A bet, unsigned."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await _is_refused(stage, bet, stage.speaker.unsign(stage.build(bet)))
    await stage.wallet_is(seat, 10_000)


@scenario(*SIGNED, claim="A shortened or lengthened signature is refused.")
async def truncated_signature(stage: Stage) -> None:
    """A bet whose signature lacks its end, is empty, or goes on."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    part = stage.speaker.signature
    request = stage.build(bet)
    whole = part.of(request)
    for cut in (whole[:-1], whole[:-2], whole[: len(whole) // 2], b"", whole + b"0", whole + whole):
        await _is_refused(stage, bet, part.put(request, cut))
    await stage.wallet_is(seat, 10_000)


@scenario(*SIGNED, claim="A key that nobody has agreed on is refused.")
async def unknown_key(stage: Stage) -> None:
    """A bet signed by a stranger."""
    await _refuses_key(stage, stage.target.strange_key, "stranger's key")


@scenario(*SIGNED, claim="The key of another provider account is refused here.")
async def key_of_another_account(stage: Stage) -> None:
    """A bet signed with a key that is valid elsewhere."""
    await _refuses_key(stage, stage.target.foreign_key, "second provider account of this kind of key")


@scenario(*SIGNED, claim="A revoked key is refused.")
async def revoked_key(stage: Stage) -> None:
    """A bet signed with a key that was valid once."""
    await _refuses_key(stage, stage.target.revoked_key, "revoked key")


@scenario(*SIGNED, claim="While keys are rotated the old one is accepted beside the new one.")
async def old_key_is_accepted(stage: Stage) -> None:
    """A bet with each of the two."""
    if stage.target.old_key is None:
        raise NotPlayable("this run has only one inbound key")
    seat = await stage.seat(10_000)
    first, second = steps.bet(seat, 1_000), steps.bet(seat, 500)
    stage.require_approved(await stage.say(first, key=stage.target.old_key), 9_000)
    stage.require_approved(await stage.say(second), 8_500)
    stage.require_approved(await stage.say(second, key=stage.target.old_key))
    await stage.wallet_is(seat, 8_500)


def _signs_bodies(manifest: Manifest, _: Traits) -> str:
    covered = COVERAGES[manifest.signing].covered
    return "" if "body" in covered else f"its signature ({manifest.signing}) does not cover the body"


@scenario(*SIGNED, claim="The signature of one request does not fit another.", fit=_signs_bodies)
async def signature_of_another_request(stage: Stage) -> None:
    """A bet with the signature of a smaller one."""
    seat = await stage.seat(10_000)
    part = stage.speaker.signature
    small, large = steps.bet(seat, 1), steps.bet(seat, 10_000)
    await _is_refused(stage, large, part.put(stage.build(large), part.of(stage.build(small))))
    await stage.wallet_is(seat, 10_000)


class _Flips(Struct, frozen=True):
    """Requests that differ from one signed request in one bit each, how many there would be, and what is left out."""

    requests: tuple[tuple[str, Request], ...]
    possible: int
    equals: tuple[str, ...]


@scenario(
    *SIGNED,
    claim="With any single bit changed in what the signature covers, a bet is refused and moves nothing.",
)
async def every_bit_counts(stage: Stage) -> None:
    """One signed bet, sent with each bit flipped in turn, and in the end as it was signed."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    request = stage.build(bet)
    flips = _flip(stage, request)
    for start in range(0, len(flips.requests), AT_ONCE):
        part = flips.requests[start : start + AT_ONCE]
        await asyncio.gather(*(_refuse_flip(stage, bet, where, forged) for where, forged in part))
    await stage.wallet_is(seat, 10_000)
    reading = await stage.send(bet, stage.build(bet))
    stage.require_approved(reading, 9_000)
    sent, covered = len(flips.requests), ", ".join(part.name for part in stage.speaker.covered)
    share = "every one" if sent + len(flips.equals) == flips.possible else "evenly chosen"
    stage.note(f"{sent} of {flips.possible} bits flipped ({share}) in {covered}")
    for reason in sorted(set(flips.equals)):
        stage.note(f"{flips.equals.count(reason)} flips not sent, they say the same: {reason}")


async def _refuse_flip(stage: Stage, bet: Step, where: str, forged: Request) -> None:
    reading = await stage.send_as_it_is(bet, forged)
    if reading.response.status == 0 and where.startswith("method"):
        return
    if reading.verdict is Verdict.APPROVED:
        raise ScenarioFailed(f"{where} may be flipped", reading)
    if reading.response.status == 0 or reading.response.status >= 500:
        raise ScenarioFailed(f"with {where} flipped the answer is {reading.response.status}", reading)


def _flip(stage: Stage, request: Request) -> _Flips:
    """Every bit of every covered part, or as many as the target allows.

    The stride is odd, so that all eight places of a byte are met, and a run begins anywhere below it, so that runs
    differ.
    """
    places = [(part, place) for part in stage.speaker.covered for place in range(len(part.of(request)) * 8)]
    stride = -(-len(places) // stage.target.most_flips) | 1
    found: list[tuple[str, Request]] = []
    equals: list[str] = []
    for part, place in places[secrets.randbelow(stride) :: stride]:
        changed = _flipped(part.of(request), place)
        reason = stage.speaker.is_equal(part, part.of(request), changed)
        if reason:
            equals.append(reason)
        else:
            found.append((f"{part.name} bit {place}", part.put(request, changed)))
    return _Flips(tuple(found), len(places), tuple(equals))


def _flipped(value: bytes, place: int) -> bytes:
    changed = bytearray(value)
    changed[place // 8] ^= 1 << (place % 8)
    return bytes(changed)


@scenario(*SIGNED, claim="A signature that is given twice is refused: two readers could take two of them.")
async def signature_given_twice(stage: Stage) -> None:
    """A bet with its signature once more, and with a wrong one beside it."""
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    request = stage.build(bet)
    for other in (
        stage.speaker.signature.of(request),
        stage.speaker.signature.of(stage.build(steps.bet(seat, 5))),
    ):
        await _is_refused(stage, bet, _double(stage.speaker.signature, request, other))
    await stage.wallet_is(seat, 10_000)


def _double(part: Part, request: Request, other: bytes) -> Request:
    if part.name == "query":
        return part.put(request, part.of(request) + b"&" + other)
    name = part.name.removeprefix("header:").encode()
    return Request(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=(*request.headers, (name, other)),
        body=request.body,
    )
