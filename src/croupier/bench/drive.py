"""`python -m croupier.bench.drive`: concurrent callers on the lanes of this process, without HTTP."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from datetime import datetime

import uvloop
from msgspec import Struct

from croupier.bench.children import read_orders, tell, wait_for_go
from croupier.bench.report import Samples
from croupier.bench.seats import ASSET, GAME, PRIZE, STAKE, Seat, call_of, open_lanes, utc_now
from croupier.ids import IdSource
from croupier.moneypath.commands import Action, Bet, CloseRound, Win, WinKind
from croupier.moneypath.lanes import Lanes


class DriveOrders(Struct, frozen=True, kw_only=True):
    """What one process does: `callers` concurrent callers over `seats`, for `seconds` after `warmup_s`."""

    url: str
    lanes: int
    callers: int
    seconds: float
    warmup_s: float
    run: str
    seats: list[Seat]


def plan_round(seat: Seat, round_id: str, now: datetime) -> tuple[Action, Action, Action]:
    """A bet, its win and the close of the round: what every design of every bench plays."""
    bet = Bet(
        reference=f"b-{round_id}",
        player_id=seat.player_id,
        asset=ASSET,
        amount=STAKE,
        occurred_at=now,
        session_id=seat.session_id,
        round_id=round_id,
        game_id=GAME,
    )
    win = Win(
        reference=f"w-{round_id}",
        player_id=seat.player_id,
        asset=ASSET,
        amount=PRIZE,
        occurred_at=now,
        session_id=seat.session_id,
        round_id=round_id,
        game_id=GAME,
        kind=WinKind.WIN,
    )
    close = CloseRound(
        reference=f"c-{round_id}",
        player_id=seat.player_id,
        occurred_at=now,
        session_id=seat.session_id,
        round_id=round_id,
        outcome='{"face":4}',
    )
    return bet, win, close


class _Callers:
    """Closed-loop callers that share one queue of seats."""

    def __init__(self, orders: DriveOrders, lanes: Lanes, ids: IdSource) -> None:
        self._lanes = lanes
        self._ids = ids
        self._rounds: Iterator[tuple[Seat, str]] = (
            (seat, f"{orders.run}-{number}")
            for seat, number in zip(itertools.cycle(orders.seats), itertools.count(), strict=False)
        )
        self._begin = time.perf_counter() + orders.warmup_s
        self._end = self._begin + orders.seconds
        self.latencies_us: list[int] = []
        self.errors = 0

    async def play(self) -> None:
        """Play rounds until the time is over."""
        while time.perf_counter() < self._end:
            seat, round_id = next(self._rounds)
            for action in plan_round(seat, round_id, utc_now()):
                begun = time.perf_counter()
                outcomes = await self._lanes.submit(call_of(self._ids, seat, action))
                ended = time.perf_counter()
                if self._begin <= ended < self._end:
                    self.latencies_us.append(int((ended - begun) * 1e6))
                    self.errors += outcomes[0].status != "approved"


async def drive(orders: DriveOrders) -> Samples:
    """Play for the ordered time and return what was measured; the CPU time is this process's share of it."""
    async with open_lanes(orders.url, orders.lanes) as (lanes, ids):
        await wait_for_go()
        callers = _Callers(orders, lanes, ids)
        before = time.process_time()
        await asyncio.gather(*(callers.play() for _ in range(orders.callers)))
        cpu_s = time.process_time() - before
    share = orders.seconds / (orders.seconds + orders.warmup_s)
    return Samples(
        calls=len(callers.latencies_us),
        errors=callers.errors,
        seconds=orders.seconds,
        latencies_us=callers.latencies_us,
        cpu_s=cpu_s * share,
    )


def main() -> None:
    """Run in a process of its own, told by standard input."""
    tell(uvloop.run(drive(read_orders(DriveOrders))))


if __name__ == "__main__":
    main()
