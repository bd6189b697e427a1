"""`croupier bench inbox`: keeping webhooks, draining a backlog of them, and what a flood costs the callbacks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import asyncpg
import msgspec
from msgspec import Struct

from croupier.bench.callbacks import CallbacksPlan, orders_for
from croupier.bench.children import measure_together, measuring
from croupier.bench.flood import FloodOrders
from croupier.bench.intake import IntakeOrders
from croupier.bench.notices import Notices
from croupier.bench.pgbench import measure_customary, prepare_customary
from croupier.bench.product import serving
from croupier.bench.report import (
    Check,
    Document,
    Samples,
    check_at_least,
    check_at_most,
    median_ratio,
    p99_of,
    rate_of,
    run_of,
    worst_verdict,
)
from croupier.bench.seats import Seat, open_seats
from croupier.bench.site import Site
from croupier.bench.stage import Stage, describe_machine, open_stage
from croupier.runtime.database import connect_app
from croupier.runtime.statements import load_statements

INTAKE: Final = (3.0, 4.5)
DRAIN: Final = (3_000.0, 8_000.0)
YARDSTICK_PER_S: Final = 4_800.0
"""What `pgbench`'s own script did per second where the targets of the drain were set (4,100 to 5,500)."""
FLOOD: Final = (1.2, 1.0)
BATCHED: Final = "intake (batched, acknowledged after the commit)"
SINGLE: Final = "intake (one insert and commit each)"
DRAINED: Final = "drain (one background process)"
YARDSTICK: Final = "pgbench (TPC-B-like, 32 clients)"
CALM: Final = "callbacks (calm)"
FLOODED: Final = "callbacks (flooded)"
WEBHOOKS: Final = "webhooks (the flood, accepted)"
TIMEOUT_S: Final = 120.0
LONGEST_DRAIN_S: Final = 900.0
SEATED: Final = ("batched", "single", "flood")
FILL: Final = 2_000
POLL_S: Final = 0.05
FLOOD_CONNECTIONS: Final = 64
CALL_CONNECTIONS: Final = 16
SQL: Final = load_statements("croupier/bench/inbox.sql")


class InboxPlan(Struct, frozen=True, kw_only=True):
    """How long and how wide: seconds per turn, turns, callers of the intake, backlog, calls and webhooks a second."""

    seconds: float = 5.0
    rounds: int = 3
    callers: int = 64
    wallets: int = 2000
    backlog: int = 200_000
    calls_per_second: int = 300
    webhooks_per_second: int = 2000
    warmup_s: float = 1.0


async def bench_inbox(plan: InboxPlan, tell: Callable[[str], None]) -> Document:
    """Measure all three in turns, and what the machine can do; `tell` gets progress lines."""
    turns: dict[str, list[Samples]] = {}
    async with open_stage() as stage:
        tell("preparing databases and players")
        urls = {name: await stage.make_database(name) for name in (*SEATED, "customary")}
        seats = {name: await open_seats(urls[name], plan.wallets) for name in SEATED}
        machine = await describe_machine(stage, urls["single"])
        for number in range(plan.rounds):
            for design, name in ((BATCHED, "batched"), (SINGLE, "single")):
                tell(f"round {number + 1}: {design}")
                turns.setdefault(design, []).append(await _keep(urls[name], seats[name], plan, design))
        await _flood_turns(stage, urls["flood"], seats["flood"], plan, turns, tell)
        await prepare_customary(urls["customary"])
        for number in range(plan.rounds):
            tell(f"round {number + 1}: {YARDSTICK}")
            customary = await measure_customary(urls["customary"], seconds=plan.seconds)
            turns.setdefault(YARDSTICK, []).append(customary)
            tell(f"round {number + 1}: {DRAINED}, {plan.backlog} webhooks")
            turns.setdefault(DRAINED, []).append(await _drain(stage, plan, number))
    return _report(plan, machine, turns)


async def _keep(url: str, seats: list[Seat], plan: InboxPlan, design: str) -> Samples:
    orders = IntakeOrders(
        url=url,
        callers=plan.callers,
        seconds=plan.seconds,
        warmup_s=plan.warmup_s,
        is_batched=design == BATCHED,
        seats=seats,
    )
    (measured,) = await measure_together("croupier.bench.intake", [orders], plan.seconds + TIMEOUT_S)
    return measured


async def _flood_turns(
    stage: Stage,
    url: str,
    seats: list[Seat],
    plan: InboxPlan,
    turns: dict[str, list[Samples]],
    tell: Callable[[str], None],
) -> None:
    """Calls at an even pace, without and with a flood of webhooks, at one running product."""
    async with serving(stage.folder / "flooded", url, workers=1) as site:
        # A short turn's p99 is a handful of calls: more turns than elsewhere, so that one hiccup is not the median.
        for number in range(2 * plan.rounds + 1):
            tell(f"round {number + 1}: {CALM}")
            turns.setdefault(CALM, []).append(await _call(site, seats, plan))
            tell(f"round {number + 1}: {FLOODED}")
            flood, called = await _call_in_a_flood(site, seats, plan)
            turns.setdefault(FLOODED, []).append(called)
            turns.setdefault(WEBHOOKS, []).append(flood)
            await _wait_until_empty(url)


def _paced(site: Site, seats: list[Seat], plan: InboxPlan) -> Struct:
    orders = orders_for(
        site,
        seats,
        CallbacksPlan(seconds=plan.seconds, warmup_s=plan.warmup_s, connections=CALL_CONNECTIONS),
    )
    return msgspec.structs.replace(orders, per_second=plan.calls_per_second)


async def _call(site: Site, seats: list[Seat], plan: InboxPlan) -> Samples:
    orders = [_paced(site, seats, plan)]
    (measured,) = await measure_together("croupier.bench.load", orders, plan.seconds + TIMEOUT_S)
    return measured


async def _call_in_a_flood(site: Site, seats: list[Seat], plan: InboxPlan) -> tuple[Samples, Samples]:
    flood = FloodOrders(
        host=site.host,
        port=site.port,
        key_id=site.key_id,
        secret=site.secret,
        connections=FLOOD_CONNECTIONS,
        per_second=plan.webhooks_per_second,
        seconds=plan.seconds + plan.warmup_s,
        seats=seats,
    )
    async with (
        measuring("croupier.bench.flood", flood) as sender,
        measuring("croupier.bench.load", _paced(site, seats, plan)) as caller,
    ):
        for child in (sender, caller):
            await child.wait_ready()
        for child in (sender, caller):
            child.go()
        timeout_s = plan.seconds + TIMEOUT_S
        lines = [await child.read_line(timeout_s) for child in (sender, caller)]
    sent, called = (msgspec.json.decode(line, type=Samples) for line in lines)
    return sent, called


async def _drain(stage: Stage, plan: InboxPlan, number: int) -> Samples:
    """Fill a new database's inbox, start the product, and see how long its background process needs."""
    url = await stage.make_database(f"drain{number}")
    await _fill(url, await open_seats(url, plan.wallets), plan.backlog)
    async with serving(stage.folder / f"drain{number}", url, workers=1) as site:
        before, begun = site.cpu_s(), time.perf_counter()
        await _wait_until_empty(url)
        seconds = time.perf_counter() - begun
        cpu_s = site.cpu_s() - before
    connection = await connect_app(url)
    try:
        done = await connection.fetchval(SQL["count_applied"].sql)
    finally:
        await connection.close()
    return Samples(calls=done, errors=plan.backlog - done, seconds=seconds, latencies_us=[], cpu_s=cpu_s)


async def _fill(url: str, seats: list[Seat], backlog: int) -> None:
    notices = Notices(seats)
    connection: asyncpg.Connection = await connect_app(url, lane=True)
    try:
        for begin in range(0, backlog, FILL):
            deliveries = sorted(notices.delivery() for _ in range(min(FILL, backlog - begin)))
            await connection.fetchval(SQL["fill"].sql, [one[0] for one in deliveries], deliveries)
    finally:
        await connection.close()


async def _wait_until_empty(url: str) -> None:
    connection = await connect_app(url)
    try:
        async with asyncio.timeout(LONGEST_DRAIN_S):
            while await connection.fetchval(SQL["is_waiting"].sql):  # noqa: ASYNC110 (another process empties it)
                await asyncio.sleep(POLL_S)
    finally:
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            await connection.close()


def _report(plan: InboxPlan, machine: dict[str, object], turns: dict[str, list[Samples]]) -> Document:
    checks = _checks(turns)
    shed = [turn.error_text for turn in turns[WEBHOOKS]]
    return Document(
        bench="inbox",
        machine=machine,
        runs=tuple(run_of(design, measured) for design, measured in turns.items()),
        ratio={
            "per_second": checks[0].value,
            "p99": median_ratio(turns[BATCHED], turns[SINGLE], p99_of),
            "drained_to_pgbench": checks[2].value,
            "flooded_p99": checks[3].value,
        },
        floor={"per_second": INTAKE[0], "drained_per_second": DRAIN[0], "flooded_p99": FLOOD[0]},
        goal={"per_second": INTAKE[1], "drained_per_second": DRAIN[1], "flooded_p99": FLOOD[1]},
        verdict=worst_verdict(checks),
        checks=checks,
        rounds=plan.rounds,
        notes=(
            f"intake: {plan.callers} callers; drain: {plan.backlog} jackpots by webhook, each with its money effect",
            f"flood: {plan.webhooks_per_second} webhooks a second offered on {FLOOD_CONNECTIONS} connections beside "
            f"{plan.calls_per_second} calls a second; generators, database and drain on the same cores",
            f"answers to the flood: {'; '.join(shed)}",
        ),
    )


def _checks(turns: dict[str, list[Samples]]) -> tuple[Check, ...]:
    intake = median_ratio(turns[BATCHED], turns[SINGLE], rate_of)
    drained = run_of(DRAINED, turns[DRAINED]).per_second
    to_pgbench = median_ratio(turns[DRAINED], turns[YARDSTICK], rate_of)
    floor, goal = (round(target / YARDSTICK_PER_S, 2) for target in DRAIN)
    flooded = median_ratio(turns[FLOODED], turns[CALM], p99_of)
    return (
        check_at_least("batched / single intake, rate", intake, floor=INTAKE[0], goal=INTAKE[1]),
        check_at_least("drained per second, money effects included", drained, floor=DRAIN[0], goal=DRAIN[1]),
        check_at_least("drained / pgbench in the same run", to_pgbench, floor=floor, goal=goal),
        check_at_most("callbacks' p99 flooded / calm", flooded, floor=FLOOD[0], goal=FLOOD[1]),
    )
