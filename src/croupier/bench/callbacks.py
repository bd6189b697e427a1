"""`croupier bench callbacks`: the whole product under signed calls, against the gateway most teams write."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

from msgspec import Struct

from croupier.bench.children import measure_together
from croupier.bench.load import LoadOrders
from croupier.bench.naive.serve import prepare_naive, serving_naive
from croupier.bench.product import serving
from croupier.bench.report import (
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
from croupier.bench.seats import PROVIDER, Seat, open_seats
from croupier.bench.site import Site
from croupier.bench.speech import NATIVE
from croupier.bench.stage import Stage, describe_machine, open_stage

OURS: Final = "croupier"
NAIVE: Final = "naive (FastAPI, asyncpg, FOR UPDATE, one clearing row)"
RATE: Final = (4.0, 10.0)
P99: Final = (0.25, 0.1)
CALLS_PER_SECOND: Final = 10_000.0
TIMEOUT_S: Final = 180.0


class CallbacksPlan(Struct, frozen=True, kw_only=True):
    """How long and how wide: seconds per turn, turns, connections, processes of each gateway, players."""

    seconds: float = 10.0
    rounds: int = 3
    connections: int = 64
    workers: int = 1
    wallets: int = 2000
    warmup_s: float = 2.0
    protocol: str = NATIVE


class _Design(Struct, frozen=True):
    name: str
    site: Site
    seats: list[Seat]
    protocol: str = NATIVE


async def bench_callbacks(plan: CallbacksPlan, tell: Callable[[str], None]) -> Document:
    """Load both gateways in turns; `tell` gets progress lines."""
    turns: dict[str, list[Samples]] = {OURS: [], NAIVE: []}
    async with open_stage() as stage, contextlib.AsyncExitStack() as stack:
        tell("preparing databases, players and both gateways")
        designs = [design async for design in _open_designs(stage, plan, stack)]
        machine = await describe_machine(stage, stage.server.url("naive"))
        for number in range(plan.rounds):
            for design in designs:
                tell(f"round {number + 1}: {design.name}")
                turns[design.name].append(
                    await measure(design.site, design.seats, plan, protocol=design.protocol)
                )
    return _report(plan, machine, turns)


async def _open_designs(
    stage: Stage, plan: CallbacksPlan, stack: contextlib.AsyncExitStack
) -> AsyncIterator[_Design]:
    url = await stage.make_database("croupier")
    seats = await open_seats(url, plan.wallets)
    site = await stack.enter_async_context(
        serving(stage.folder / "product", url, workers=plan.workers, protocol=plan.protocol)
    )
    yield _Design(OURS, site, seats, plan.protocol)
    url = await stage.make_database("naive")
    seats = await open_seats(url, plan.wallets)
    await prepare_naive(url)
    gateway = serving_naive(url, key_id=site.key_id, secret=site.secret, workers=plan.workers)
    yield _Design(NAIVE, await stack.enter_async_context(gateway), seats)


def orders_for(
    site: Site, seats: list[Seat], plan: CallbacksPlan, *, calls: int | None = None, protocol: str = NATIVE
) -> LoadOrders:
    """The load generator's orders for one turn."""
    return LoadOrders(
        host=site.host,
        port=site.port,
        provider=PROVIDER,
        key_id=site.key_id,
        secret=site.secret,
        connections=plan.connections,
        seconds=plan.seconds,
        warmup_s=plan.warmup_s,
        seats=seats,
        calls=calls,
        protocol=protocol,
    )


async def measure(site: Site, seats: list[Seat], plan: CallbacksPlan, *, protocol: str = NATIVE) -> Samples:
    """One turn of load on one gateway; the CPU time is the gateway's own, database and load left out."""
    before = site.cpu_s()
    orders = [orders_for(site, seats, plan, protocol=protocol)]
    (measured,) = await measure_together("croupier.bench.load", orders, plan.seconds + TIMEOUT_S)
    share = plan.seconds / (plan.seconds + plan.warmup_s)
    measured.cpu_s = (site.cpu_s() - before) * share
    return measured


def _report(plan: CallbacksPlan, machine: dict[str, object], turns: dict[str, list[Samples]]) -> Document:
    runs = tuple(run_of(design, measured) for design, measured in turns.items())
    rate = median_ratio(turns[OURS], turns[NAIVE], rate_of)
    p99 = median_ratio(turns[OURS], turns[NAIVE], p99_of)
    checks = (
        check_at_least("croupier / naive, rate", rate, floor=RATE[0], goal=RATE[1]),
        check_at_most("croupier / naive, p99", p99, floor=P99[0], goal=P99[1]),
        check_at_least("money calls per second", runs[0].per_second, floor=0.0, goal=CALLS_PER_SECOND),
    )
    return Document(
        bench="callbacks",
        machine=machine,
        runs=runs,
        ratio={"per_second": rate, "p99": p99},
        floor={"per_second": RATE[0], "p99": P99[0]},
        goal={"per_second": RATE[1], "p99": P99[1], "calls_per_second": CALLS_PER_SECOND},
        verdict=worst_verdict(checks),
        checks=checks,
        rounds=plan.rounds,
        notes=_notes(plan, turns),
    )


def _notes(plan: CallbacksPlan, turns: dict[str, list[Samples]]) -> tuple[str, ...]:
    shape = (
        f"croupier speaks {plan.protocol}; {plan.connections} connections, {plan.wallets} players, "
        f"{plan.workers} process(es) each; load generator and database on the same cores"
    )
    failures = [
        f"{design}: first wrong answer: {turn.error_text}"
        for design, measured in turns.items()
        for turn in measured[:1]
        if turn.error_text
    ]
    return (shape, *failures)
