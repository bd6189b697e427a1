"""A batch: so many rounds of one session, one after the other, and the report about them."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from croupier.sandbox.book import Book
from croupier.sandbox.calls import Call, Seat
from croupier.sandbox.client import GatewayClient
from croupier.sandbox.crash_table import CrashTable
from croupier.sandbox.jackpots import Jackpots
from croupier.sandbox.notices import Notices
from croupier.sandbox.plan import PRESETS, Rates, plan_round
from croupier.sandbox.purse import Purses
from croupier.sandbox.replies import Meaning, Reply
from croupier.sandbox.rounds import play_round
from croupier.sandbox.settling import Stage, settle_call
from croupier.sandbox.tally import Tally

MOST_ROUNDS: Final = 10_000
LONGEST_PAUSE_MS: Final = 10_000
RETRIES_AT_ONCE: Final = 32

Minor = Annotated[str, Meta(pattern=r"^(?:0|[1-9][0-9]{0,37})\Z")]


class PlayOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /play/{token}`: the stake is text in minor units, the pause
    between rounds milliseconds.

    `misbehaviour` is rates, the name of a preset, or absent for what the control API has set. `is_last`: the player
    leaves afterwards, and the studio tells so by webhook.
    """

    rounds: Annotated[int, Meta(ge=1, le=MOST_ROUNDS)]
    stake: Minor
    misbehaviour: Rates | str | None = None
    seed: int | str = "croupier"
    pause_ms: Annotated[int, Meta(ge=0, le=LONGEST_PAUSE_MS)] = 0
    is_last: bool = False


class UnknownPreset(ValueError):
    """No rates have this name."""


@dataclass(frozen=True, slots=True)
class House:
    """What all sessions of an account share."""

    client: GatewayClient
    book: Book
    table: CrashTable
    run_tag: str
    purses: Purses = field(default_factory=Purses)
    notices: Notices = field(default_factory=Notices)
    jackpots: Jackpots = field(default_factory=Jackpots)


def rates_of(misbehaviour: Rates | str) -> Rates:
    """Rates, or those of a preset; raises UnknownPreset."""
    if isinstance(misbehaviour, Rates):
        return misbehaviour
    if misbehaviour not in PRESETS:
        raise UnknownPreset(f"no rates are named {misbehaviour!r}: there are {', '.join(PRESETS)}")
    return PRESETS[misbehaviour]


async def play_batch(
    house: House, seat: Seat, order: PlayOrder, rates: Rates, *, first_number: int, tally: Tally
) -> dict[str, Any]:
    """Play the rounds, adding to the counts; the report as JSON members.

    It ends early when the session cannot be played any more, when a bet stays undecided (`stopped_by` says
    why), or when the process stops (`stopping`).
    """
    # Players of one run play different games, and still the same ones when the run is repeated.
    seed = f"{order.seed}/{seat.game}/{seat.player_id}"
    purse = house.purses.of(seat.player_id, seat.asset)
    stage = Stage(
        house.client,
        house.book,
        house.table,
        tally,
        seat,
        seed,
        stake_minor=int(order.stake),
        purse=purse,
        notices=house.notices,
        jackpots=house.jackpots,
    )
    await _read_balance(stage)
    stopped_by = await _play_rounds(stage, house, order, rates, first_number)
    if order.is_last:
        house.notices.part(seat, f"{seat.session_id}-{house.run_tag}-left")
    return {
        "provider": house.client.wire.account.id,
        "protocol": house.client.wire.protocol,
        "session_id": seat.session_id,
        "player_id": seat.player_id,
        "game": seat.game,
        "asset": seat.asset,
        "seed": str(order.seed),
        "stopped_by": stopped_by,
        "balance": None if stage.balance_minor is None else str(stage.balance_minor),
        "money": house.book.money_of_session(seat.session_id),
        **tally.render(),
        "latencies_us": tally.latencies_us,
    }


async def ask_again(house: House) -> tuple[int, Tally]:
    """Repeat every call that stayed undecided, signed anew: how many were asked, and what came of them."""
    tally = Tally()
    kept = house.book.unresolved
    for start in range(0, len(kept), RETRIES_AT_ONCE):
        group = kept[start : start + RETRIES_AT_ONCE]
        answers = await asyncio.gather(*(house.client.call(call) for call in group))
        for call, answer in zip(group, answers, strict=True):
            stage = Stage(house.client, house.book, house.table, tally, call.seat, seed="", stake_minor=0)
            settle_call(stage, call, [answer])
    return len(kept), tally


async def _play_rounds(
    stage: Stage, house: House, order: PlayOrder, rates: Rates, first_number: int
) -> str | None:
    for number in range(first_number, first_number + order.rounds):
        if house.client.stopping.is_set():
            return "stopping"
        # Planned one by one: a plan depends on nothing that was played, and needs no memory then.
        plan = plan_round(
            stage.seed,
            rates,
            stage.seat.game,
            number,
            choreography=stage.wire.choreography,
            attacks=stage.wire.attacks,
        )
        stopped_by = await play_round(stage, plan, tag=f"{stage.seat.session_id}-{house.run_tag}-{number}")
        if stopped_by is not None:
            return stopped_by
        if order.pause_ms:
            await asyncio.sleep(order.pause_ms / 1000)
    return None


async def enter(house: House, seat: Seat, tally: Tally) -> Seat:
    """Ask what the protocol asks before the first round of a session; the seat as the operator wants it."""
    opening = house.client.wire.render_opening(seat)
    if opening is None:
        return seat
    reply = await _ask(house.client, opening, tally)
    return seat if reply is None else house.client.wire.admit_opening(seat, reply)


async def _read_balance(stage: Stage) -> None:
    """Ask once, before the first bet, so that a bet which cannot be paid is not overtaken by its win."""
    reply = await _ask(stage.client, stage.wire.render_balance(stage.seat), stage.tally)
    balance = None if reply is None else reply.balance
    stage.balance_minor = None if balance is None else int(balance.amount)
    stage.purse.learn(stage.balance_minor)


async def _ask(client: GatewayClient, question: Call, tally: Tally) -> Reply | None:
    answer = await client.call(question)
    tally.add_answers([answer], is_money=False)
    if answer.reply is None:
        return None
    for finding in answer.reply.findings:
        tally.add_unexpected(f"{question.name}: {finding}")
    return answer.reply if answer.meaning is Meaning.DECIDED else None
