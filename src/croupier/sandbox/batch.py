"""A batch: so many rounds of one session, one after the other, and the report about them."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from croupier.sandbox.book import Book
from croupier.sandbox.calls import BALANCE_PATH, Seat, render_balance_body
from croupier.sandbox.client import GatewayClient
from croupier.sandbox.crash_table import CrashTable
from croupier.sandbox.plan import PRESETS, Rates, plan_round
from croupier.sandbox.replies import Meaning
from croupier.sandbox.rounds import Stage, play_round, settle_call
from croupier.sandbox.tally import Tally

MOST_ROUNDS: Final = 10_000
LONGEST_PAUSE_MS: Final = 10_000
RETRIES_AT_ONCE: Final = 32

Minor = Annotated[str, Meta(pattern=r"^(?:0|[1-9][0-9]{0,37})\Z")]


class PlayOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /play/{token}`: the stake is text in minor units, the pause
    between rounds milliseconds.

    `misbehaviour` is rates, the name of a preset, or absent for what the control API has set.
    """

    rounds: Annotated[int, Meta(ge=1, le=MOST_ROUNDS)]
    stake: Minor
    misbehaviour: Rates | str | None = None
    seed: int | str = "croupier"
    pause_ms: Annotated[int, Meta(ge=0, le=LONGEST_PAUSE_MS)] = 0


class UnknownPreset(ValueError):
    """No rates have this name."""


@dataclass(frozen=True, slots=True)
class House:
    """What all sessions share."""

    client: GatewayClient
    book: Book
    table: CrashTable
    run_tag: str


def rates_of(misbehaviour: Rates | str) -> Rates:
    """Rates, or those of a preset; raises UnknownPreset."""
    if isinstance(misbehaviour, Rates):
        return misbehaviour
    if misbehaviour not in PRESETS:
        raise UnknownPreset(f"no rates are named {misbehaviour!r}: there are {', '.join(PRESETS)}")
    return PRESETS[misbehaviour]


async def play_batch(
    house: House, seat: Seat, order: PlayOrder, rates: Rates, *, first_number: int
) -> tuple[Tally, dict[str, Any]]:
    """Play the rounds; the counts, and the report as JSON members.

    It ends early when the session cannot be played any more, when a bet stays undecided (`stopped_by` says
    why), or when the process stops (`stopping`).
    """
    tally = Tally()
    # Players of one run play different games, and still the same ones when the run is repeated.
    seed = f"{order.seed}/{seat.game}/{seat.player_id}"
    stage = Stage(house.client, house.book, house.table, tally, seat, seed, stake_minor=int(order.stake))
    await _read_balance(stage)
    stopped_by = await _play_rounds(stage, house, order, rates, first_number)
    report = {
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
    return tally, report


async def ask_again(house: House) -> tuple[int, Tally]:
    """Repeat every call that stayed undecided, signed anew: how many were asked, and what came of them."""
    tally = Tally()
    kept = house.book.unresolved
    for start in range(0, len(kept), RETRIES_AT_ONCE):
        group = kept[start : start + RETRIES_AT_ONCE]
        answers = await asyncio.gather(*(house.client.call(call.path, call.body) for call in group))
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
        plan = plan_round(stage.seed, rates, stage.seat.game, number)
        stopped_by = await play_round(stage, plan, tag=f"{stage.seat.session_id}-{house.run_tag}-{number}")
        if stopped_by is not None:
            return stopped_by
        if order.pause_ms:
            await asyncio.sleep(order.pause_ms / 1000)
    return None


async def _read_balance(stage: Stage) -> None:
    """Ask once, before the first bet, so that a bet which cannot be paid is not overtaken by its win."""
    answer = await stage.client.call(BALANCE_PATH, render_balance_body(stage.seat))
    stage.tally.add_answers([answer], is_money=False)
    if answer.meaning is not Meaning.DECIDED or answer.reply is None:
        return
    balance = answer.reply.decisions[0].balance
    stage.balance_minor = None if balance is None else int(balance.amount)
