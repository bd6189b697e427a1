"""`python -m croupier.bench.intake`: concurrent callers that keep webhooks, acknowledged after the commit; no HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
import uvloop
from msgspec import Struct

from croupier.bench.children import read_orders, tell, wait_for_go
from croupier.bench.notices import Notices
from croupier.bench.report import Samples
from croupier.bench.seats import Seat
from croupier.inbox.accept import Acceptor, AcceptSettings
from croupier.inbox.deliveries import Delivery
from croupier.runtime.database import app_settings, connect_app
from croupier.runtime.statements import load_statements

SQL: Final = load_statements("croupier/bench/intake.sql")


class IntakeOrders(Struct, frozen=True, kw_only=True):
    """What one process does: `callers` concurrent callers for `seconds` after `warmup_s`; batched, or one by one."""

    url: str
    callers: int
    seconds: float
    warmup_s: float
    is_batched: bool
    seats: list[Seat]


async def keep(orders: IntakeOrders) -> Samples:
    """Keep webhooks for the ordered time and return what was measured."""
    if not orders.is_batched:
        pool = await asyncpg.create_pool(
            orders.url,
            min_size=orders.callers,
            max_size=orders.callers,
            server_settings=app_settings(lane=True, application_name="croupier-bench"),
        )
        try:
            return await _measure(orders, lambda delivery: _insert(pool, delivery))
        finally:
            await pool.close()
    acceptor = Acceptor(lambda: connect_app(orders.url, lane=True), AcceptSettings(accepting=orders.callers))
    acceptor.start()
    try:
        return await _measure(orders, acceptor.submit)
    finally:
        await acceptor.drain()


async def _insert(pool: asyncpg.Pool, delivery: Delivery) -> None:
    """What most teams write: one insert and one commit for each webhook, with the same rows."""
    await pool.execute(SQL["insert_delivery"].sql, *delivery)


async def _measure(orders: IntakeOrders, keep_one: Callable[[Delivery], Awaitable[object]]) -> Samples:
    notices = Notices(orders.seats)
    await wait_for_go()
    begin = time.perf_counter() + orders.warmup_s
    end = begin + orders.seconds
    latencies_us: list[int] = []

    async def call() -> None:
        while (begun := time.perf_counter()) < end:
            await keep_one(notices.delivery())
            ended = time.perf_counter()
            if begin <= ended < end:
                latencies_us.append(int((ended - begun) * 1e6))

    before = time.process_time()
    await asyncio.gather(*(call() for _ in range(orders.callers)))
    share = orders.seconds / (orders.seconds + orders.warmup_s)
    return Samples(
        calls=len(latencies_us),
        errors=0,
        seconds=orders.seconds,
        latencies_us=latencies_us,
        cpu_s=(time.process_time() - before) * share,
    )


def main() -> None:
    """Run in a process of its own, told by standard input."""
    tell(uvloop.run(keep(read_orders(IntakeOrders))))


if __name__ == "__main__":
    main()
