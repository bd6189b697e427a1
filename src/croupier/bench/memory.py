"""`croupier bench memory`: does one worker grow while it answers a million calls?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from croupier.bench.callbacks import OURS, CallbacksPlan, orders_for
from croupier.bench.children import Child, measuring
from croupier.bench.load import LoadOrders, Progress
from croupier.bench.product import serving
from croupier.bench.report import Check, Document, Samples, check_at_most, run_of, worst_verdict
from croupier.bench.seats import open_seats
from croupier.bench.site import Site, resident_bytes
from croupier.bench.stage import describe_machine, open_stage

MIB: Final = 2**20
RESIDENT_MIB: Final = (200.0, 120.0)
GROWTH_MIB: Final = (20.0, 10.0)
"""What "flat" means: how much may be added after the tenth of the run that warms everything up."""
LINES: Final = 10
SLOWEST_PER_SECOND: Final = 100


class MemoryPlan(Struct, frozen=True, kw_only=True):
    """How many calls, over how many players and connections."""

    calls: int = 1_000_000
    wallets: int = 2000
    connections: int = 64


class Reading(Struct, frozen=True):
    """Resident memory of the worker after so many calls."""

    calls: int
    resident_mib: float


async def bench_memory(plan: MemoryPlan, tell: Callable[[str], None]) -> Document:
    """Answer all calls with one worker, reading its memory after every tenth of them."""
    load = CallbacksPlan(connections=plan.connections, wallets=plan.wallets, warmup_s=0.0)
    async with open_stage() as stage:
        tell("preparing database, players and gateway")
        url = await stage.make_database("croupier")
        seats = await open_seats(url, plan.wallets)
        machine = await describe_machine(stage, url)
        async with serving(stage.folder / "product", url, workers=1) as site:
            orders = orders_for(site, seats, load, calls=plan.calls)
            orders = msgspec.structs.replace(orders, every=max(1, plan.calls // LINES))
            readings, measured = await _watch(site, orders, tell)
    return _report(machine, readings, measured)


async def _watch(
    site: Site, orders: LoadOrders, tell: Callable[[str], None]
) -> tuple[list[Reading], Samples]:
    (worker,) = site.worker_pids("croupier.runtime.worker")
    readings = [_read(worker, 0)]
    async with measuring("croupier.bench.load", orders) as child:
        await child.wait_ready()
        child.go()
        while (progress := await _next(child, orders.every)) is not None:
            if isinstance(progress, Samples):
                return [*readings, _read(worker, progress.calls)], progress
            readings.append(_read(worker, progress.done))
            tell(f"{progress.done:,} calls: {readings[-1].resident_mib:.1f} MiB")
    raise AssertionError("the load generator ends with its samples")


async def _next(child: Child, every: int) -> Progress | Samples:
    line = await child.read_line(60 + every / SLOWEST_PER_SECOND)
    is_progress = line.startswith(b'{"done"')
    decoded: Progress | Samples = await asyncio.to_thread(
        msgspec.json.decode, line, type=Progress if is_progress else Samples
    )
    return decoded


def _read(pid: int, calls: int) -> Reading:
    return Reading(calls, round(resident_bytes(pid) / MIB, 1))


def _report(machine: dict[str, object], readings: list[Reading], measured: Samples) -> Document:
    most = max(reading.resident_mib for reading in readings)
    grown = round(readings[-1].resident_mib - readings[min(1, len(readings) - 1)].resident_mib, 1)
    checks: tuple[Check, ...] = (
        check_at_most("resident memory, MiB", most, floor=RESIDENT_MIB[0], goal=RESIDENT_MIB[1]),
        check_at_most("growth after the first tenth, MiB", grown, floor=GROWTH_MIB[0], goal=GROWTH_MIB[1]),
    )
    return Document(
        bench="memory",
        machine={**machine, "readings": [msgspec.to_builtins(reading) for reading in readings]},
        runs=(run_of(OURS, [msgspec.structs.replace(measured, cpu_s=None)]),),
        ratio={"per_second": None, "p99": None},
        floor={"resident_mib": RESIDENT_MIB[0], "growth_mib": GROWTH_MIB[0]},
        goal={"resident_mib": RESIDENT_MIB[1], "growth_mib": GROWTH_MIB[1]},
        verdict=worst_verdict(checks),
        checks=checks,
        rounds=1,
        notes=tuple(f"{reading.calls:>12,} calls: {reading.resident_mib:7.1f} MiB" for reading in readings),
    )
