"""Notices by webhook: taken once and durably when they are signed, refused in every other case."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from croupier.conformance import steps
from croupier.conformance.reading import Cause, Reading, Request
from croupier.conformance.scenario import scenario
from croupier.conformance.speaker import Part, Stamp
from croupier.conformance.stage import NotPlayable, ScenarioFailed, Stage
from croupier.conformance.steps import Step
from croupier.providers.manifest import Capability
from croupier_signing import Key

SIGNED = (Capability.WEBHOOKS, Capability.BET)
MARGIN_S = 30
MOST_FLIPS = 64
"""How many bits of each signed part are flipped, evenly chosen."""


async def _close_of_a_bet(stage: Stage) -> Step:
    seat = await stage.seat(10_000)
    bet = steps.bet(seat, 1_000)
    await stage.approved(bet, 9_000)
    return steps.close(bet)


def _write(stage: Stage, step: Step, stamp: Stamp, key: Key | None = None) -> Request:
    return _needed(stage.speaker.write_webhook(step, stamp, key))


def _sign(stage: Stage, body: bytes, stamp: Stamp, key: Key | None = None) -> Request:
    return _needed(stage.speaker.sign_webhook(body, stamp, key))


def _needed(request: Request | None) -> Request:
    if request is None:
        raise ScenarioFailed("the kit's speaker has no webhooks")
    return request


async def _takes(stage: Stage, request: Request, word: str = "accepted") -> Reading:
    reading = await stage.notify(request)
    stage.require_approved(reading)
    stage.require(reading.code == word, f"it is {reading.code} instead of {word}")
    return reading


async def _refuses(stage: Stage, request: Request, *causes: Cause) -> None:
    stage.require_refused(await stage.notify(request), *causes)


@scenario(*SIGNED, claim="A signed notice of a fact is taken, and taken once: again it is a duplicate.")
async def webhooks(stage: Stage) -> None:
    """A bet by callback, the end of its round by webhook; the same again, byte by byte and signed anew."""
    close = await _close_of_a_bet(stage)
    stamp = stage.stamp()
    request = _write(stage, close, stamp)
    first = await _takes(stage, request)
    anew = _sign(stage, request.body, Stamp(stamp.timestamp_s + 1, stamp.nonce))
    for again in (request, anew):
        reading = await _takes(stage, again, "duplicate")
        stage.require(reading.operator_ids == first.operator_ids, "the duplicate has another id")
    await stage.wallet_is(close.seat, 9_000)


@scenario(*SIGNED, claim="The id of one webhook with the body of another is refused.")
async def webhook_id_with_another_body(stage: Stage) -> None:
    """Two ends of two rounds under one id."""
    first, second = await _close_of_a_bet(stage), await _close_of_a_bet(stage)
    stamp = stage.stamp()
    await _takes(stage, _write(stage, first, stamp))
    await _refuses(stage, _write(stage, second, stamp), Cause.CONFLICT)
    await _takes(stage, _write(stage, second, stage.stamp()))


@scenario(
    *SIGNED, claim="With any bit of id, time, signature or body changed after signing, a webhook is refused."
)
async def webhook_altered(stage: Stage) -> None:
    """One signed webhook with bits flipped in each of its parts, and in the end as it was signed."""
    request = _write(stage, await _close_of_a_bet(stage), stage.stamp())
    for part in stage.speaker.webhook_signed:
        forged = [_flip(part, request, place) for place in _places(part, request)]
        await asyncio.gather(*(_refuse_altered(stage, part, one) for one in forged))
    await _takes(stage, request)


def _places(part: Part, request: Request) -> list[int]:
    """Bits of a part, evenly chosen; in headers those that leave a printable letter behind."""
    bits = range(len(part.of(request)) * 8)
    chosen = bits if part.name == "body" else [place for place in bits if place % 8 in (0, 1)]
    return list(chosen[:: -(-len(chosen) // MOST_FLIPS) | 1])


def _flip(part: Part, request: Request, place: int) -> Request:
    changed = bytearray(part.of(request))
    changed[place // 8] ^= 1 << (place % 8)
    return part.put(request, bytes(changed))


async def _refuse_altered(stage: Stage, part: Part, request: Request) -> None:
    reading = await stage.notify(request)
    if not stage.speaker.tells(Cause.SIGNATURE, reading.code):
        raise ScenarioFailed(f"with {part.name} altered it is {reading.verdict} ({reading.code})", reading)


@scenario(*SIGNED, claim="A webhook without one of its signed headers is refused, and so is one given twice.")
async def webhook_headers_missing_or_doubled(stage: Stage) -> None:
    """One signed webhook without each header in turn, and with each once more."""
    request = _write(stage, await _close_of_a_bet(stage), stage.stamp())
    names = [part.name.removeprefix("header:").encode() for part in stage.speaker.webhook_signed]
    for name, value in request.headers:
        if name in names:
            others = tuple(one for one in request.headers if one[0] != name)
            for headers in (others, (*others, (name, b"")), (*request.headers, (name, value))):
                await _refuses(stage, replace(request, headers=headers), Cause.SIGNATURE)
    await _takes(stage, request)


@scenario(*SIGNED, claim="A stale webhook is refused, known or not; each attempt is judged by its own time.")
async def stale_webhook(stage: Stage) -> None:
    """A webhook signed too long ago and too far ahead; taken in time; then too late, and in time again."""
    close = await _close_of_a_bet(stage)
    away_s = stage.speaker.webhook_window_s + MARGIN_S
    now = stage.stamp()
    body = _write(stage, close, now).body
    early, late = (Stamp(now.timestamp_s + offset_s, now.nonce) for offset_s in (-away_s, away_s))
    for stamp in (early, late):
        await _refuses(stage, _sign(stage, body, stamp), Cause.SIGNATURE)
    await _takes(stage, _sign(stage, body, now))
    await _refuses(stage, _sign(stage, body, early), Cause.SIGNATURE)
    fresh = Stamp(now.timestamp_s + MARGIN_S, now.nonce)
    await _takes(stage, _sign(stage, body, fresh), "duplicate")


@scenario(*SIGNED, claim="A webhook signed with a key that is not the account's is refused.")
async def webhook_of_another_key(stage: Stage) -> None:
    """A stranger's key, a revoked one, another account's."""
    request = _write(stage, await _close_of_a_bet(stage), stage.stamp())
    target = stage.target
    for key in (target.strange_key, target.revoked_key, target.foreign_key):
        if key is not None:
            forged = _sign(stage, request.body, stage.stamp(), key)
            await _refuses(stage, forged, Cause.SIGNATURE)
    await _takes(stage, request)


@scenario(*SIGNED, claim="A webhook may be signed with the provider's own key pair, and with an old key too.")
async def webhook_of_a_key_pair(stage: Stage) -> None:
    """The same webhook by each key that is valid."""
    keys = [key for key in (stage.target.pair_key, stage.target.old_key) if key is not None]
    if not keys:
        raise NotPlayable("this run has only one inbound key")
    close = await _close_of_a_bet(stage)
    for key in keys:
        stamp = stage.stamp()
        request = _write(stage, close, stamp, key)
        await _takes(stage, request)
        await _takes(stage, _sign(stage, request.body, stamp), "duplicate")


@scenario(*SIGNED, claim="A signed webhook that cannot be read is refused for good.")
async def unreadable_webhook(stage: Stage) -> None:
    """Bodies that are none of the protocol's, each signed; and one that is."""
    request = _write(stage, await _close_of_a_bet(stage), stage.stamp())
    for body in (*stage.speaker.unreadable_bodies(), request.body[:-1], request.body + b"}"):
        signed = _sign(stage, body, stage.stamp())
        await _refuses(stage, signed, Cause.MALFORMED)
    await _takes(stage, request)
