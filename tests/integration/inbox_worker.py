"""One process of many: `python inbox_worker.py` works on the inbox of a database until its input ends, or it is killed.

Its orders come as one line of JSON. It says `ready` when it has begun.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import Outcome


class Orders(Struct, frozen=True):
    """Where the database is, and how this worker works.

    `skew_s` is how far its clock is ahead; every decision takes `pause_s` longer than it must.
    """

    url: str
    lease_s: int = 1
    claim: int = 20
    skew_s: int = 0
    pause_s: float = 0.2


async def work(orders: Orders) -> None:
    """Lanes and the inbox on them, as a background process has them."""
    from datetime import UTC, datetime, timedelta

    from stored_webhooks import ACCOUNTS

    from croupier.ids import IdSource
    from croupier.inbox.drain import DrainEdge, DrainSettings
    from croupier.inbox.process import Patience
    from croupier.inbox.worker import Keeping, run_inbox
    from croupier.moneypath.facts import Stamp
    from croupier.moneypath.lane import LaneSettings
    from croupier.moneypath.lanes import Lanes
    from croupier.runtime.database import connect_app

    ids, stop = IdSource(), asyncio.Event()

    def now() -> datetime:
        return datetime.now(UTC)

    lanes = Lanes(
        2,
        lambda: connect_app(orders.url, lane=True),
        lambda: Stamp(now(), ids, now() + timedelta(hours=1)),
        LaneSettings(),
    )
    lanes.start()

    async def submit(call: Call) -> tuple[Outcome, ...]:
        await asyncio.sleep(orders.pause_s)
        return await lanes.submit(call)

    edge = DrainEdge(
        connect=lambda: connect_app(orders.url, lane=True),
        submit=submit,
        accounts=ACCOUNTS,
        now=lambda: now() + timedelta(seconds=orders.skew_s),
        settings=DrainSettings(
            claim=orders.claim, lease_s=orders.lease_s, idle_s=0.05, patience=Patience(retry_cap_s=1.0)
        ),
    )
    task = asyncio.create_task(run_inbox(edge, Keeping(), stop))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    stop.set()
    await task
    await lanes.drain()


def main() -> None:
    """Do one run and end."""
    orders = msgspec.json.decode(sys.stdin.readline(), type=Orders)
    asyncio.run(work(orders))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
