"""One process of many: `python hammer.py` opens lanes of its own and submits what its orders say, all at once on `go`.

Orders come as one line of JSON; the answer is one line of JSON, an outcome for each bet in the order of the orders.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from uuid import UUID

import msgspec
from msgspec import Struct


class Orders(Struct, frozen=True):
    """Bets of one minor unit each, by reference, of one player in one session."""

    url: str
    player_id: str
    session_id: UUID
    references: list[str]
    batch: int = 32


class Answered(Struct, frozen=True):
    """What one bet got."""

    reference: str
    code: str
    journal_id: UUID | None
    balance: int | None
    is_repeat: bool


async def submit_all(orders: Orders) -> list[Answered]:
    """Connect, say ready, wait for `go`, then submit every bet in one moment."""
    from lane_desk import Seat, open_desk

    from croupier.moneypath.outcomes import Outcome

    seat = Seat(orders.player_id, orders.session_id)
    async with open_desk(orders.url, batch=orders.batch) as desk:
        # The connection is open before the race begins.
        await desk.ask_all([seat.bet(f"absent-{os.getpid()}", 10**12)])
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.readline)
        answers = await desk.ask_all([seat.bet(reference) for reference in orders.references])
    answered = []
    for reference, answer in zip(orders.references, answers, strict=True):
        if isinstance(answer, Outcome):
            answered.append(
                Answered(reference, answer.code, answer.journal_id, answer.balance, answer.is_repeat)
            )
        else:
            answered.append(Answered(reference, f"error:{answer.kind.code}", None, None, is_repeat=False))
    return answered


def main() -> None:
    """Do one run and end."""
    orders = msgspec.json.decode(sys.stdin.readline(), type=Orders)
    answered = asyncio.run(submit_all(orders))
    sys.stdout.write(msgspec.json.encode(answered).decode() + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
