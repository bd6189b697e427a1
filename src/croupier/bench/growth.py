"""`croupier bench growth`: the rate on a database with a long past, against an empty one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import uuid4

import asyncpg
from msgspec import Struct

from croupier.bench.children import measure_together
from croupier.bench.drive import DriveOrders
from croupier.bench.report import (
    Document,
    Samples,
    check_at_least,
    median_ratio,
    p99_of,
    rate_of,
    run_of,
    worst_verdict,
)
from croupier.bench.seats import Seat, open_seats
from croupier.bench.stage import describe_machine, open_stage
from croupier.runtime.database import connect_owner
from croupier.runtime.statements import load_statements

SQL: Final = load_statements("croupier/bench/growth.sql")
RATE: Final = (0.8, 0.95)
STEP: Final = 100_000
"""Entries of one loading transaction; whole sessions and rounds, so a multiple of fifty."""
EMPTY: Final = "empty"
TABLES: Final = ("sessions", "rounds", "references", "entries", "postings", "events")


class GrowthPlan(Struct, frozen=True, kw_only=True):
    """How long a past, and how long and wide the load."""

    entries: int = 1_000_000
    seconds: float = 5.0
    rounds: int = 3
    wallets: int = 2000
    callers: int = 128
    warmup_s: float = 2.0


async def bench_growth(plan: GrowthPlan, tell: Callable[[str], None]) -> Document:
    """Load the past into one of two databases, then drive the lanes on both in turns."""
    grown = f"after {plan.entries:,} entries"
    turns: dict[str, list[Samples]] = {EMPTY: [], grown: []}
    async with open_stage() as stage:
        grounds: dict[str, tuple[str, list[Seat]]] = {}
        for name, design in (("empty", EMPTY), ("grown", grown)):
            tell(f"preparing: {design}")
            url = await stage.make_database(name)
            grounds[design] = (url, await open_seats(url, plan.wallets))
        size = await load_past(grounds[grown][0], plan.entries, tell)
        machine = await describe_machine(stage, grounds[EMPTY][0])
        for number in range(plan.rounds):
            for design, (url, seats) in grounds.items():
                tell(f"round {number + 1}: {design}")
                turns[design].append(await _drive(url, seats, plan))
    return _report(plan, {**machine, "grown_database": size}, turns, grown)


async def load_past(url: str, entries: int, tell: Callable[[str], None]) -> str:
    """Fill every table of history with `entries` entries; returns the size as PostgreSQL says it."""
    connection = await connect_owner(url)
    try:
        for name in ("create_crowd", "create_past_id", "create_past"):
            await connection.execute(SQL[name].sql)
        for first in range(0, entries, STEP):
            await _load_step(connection, first, min(first + STEP, entries) - 1)
            tell(f"loaded {min(first + STEP, entries):,} of {entries:,} entries")
        await connection.execute(SQL["analyse"].sql)
        await connection.execute("CHECKPOINT")
        size: str = await connection.fetchval("SELECT pg_size_pretty(pg_database_size(current_database()))")
    finally:
        await connection.close()
    return size


async def _load_step(connection: asyncpg.Connection, first: int, last: int) -> None:
    async with connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = off")
        for table in TABLES:
            await connection.execute(SQL[f"insert_{table}"].sql, first, last)


async def _drive(url: str, seats: list[Seat], plan: GrowthPlan) -> Samples:
    orders = DriveOrders(
        url=url,
        lanes=1,
        callers=plan.callers,
        seconds=plan.seconds,
        warmup_s=plan.warmup_s,
        run=uuid4().hex,
        seats=seats,
    )
    (measured,) = await measure_together("croupier.bench.drive", [orders], plan.seconds + 120)
    return measured


def _report(
    plan: GrowthPlan, machine: dict[str, object], turns: dict[str, list[Samples]], grown: str
) -> Document:
    rate = median_ratio(turns[grown], turns[EMPTY], rate_of)
    checks = (check_at_least("grown / empty, rate", rate, floor=RATE[0], goal=RATE[1]),)
    return Document(
        bench="growth",
        machine=machine,
        runs=tuple(run_of(design, measured) for design, measured in turns.items()),
        ratio={"per_second": rate, "p99": median_ratio(turns[grown], turns[EMPTY], p99_of)},
        floor={"per_second": RATE[0]},
        goal={"per_second": RATE[1]},
        verdict=worst_verdict(checks),
        checks=checks,
        rounds=plan.rounds,
        notes=(
            f"{plan.wallets} players, {plan.callers} callers, one lane; the past is {plan.entries:,} entries",
        ),
    )
