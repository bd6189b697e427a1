"""`croupier bench ledger`: the money path without HTTP, against pgbench writing the same rows singly."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Final
from uuid import uuid4

from msgspec import Struct

from croupier.bench import pgbench
from croupier.bench.children import measure_together
from croupier.bench.drive import DriveOrders, plan_round
from croupier.bench.report import (
    Check,
    Document,
    Samples,
    check_at_least,
    check_at_most,
    median_ratio,
    merge,
    p99_of,
    percentile_us,
    rate_of,
    run_of,
    worst_verdict,
)
from croupier.bench.seats import Seat, call_of, open_lanes, open_seats, utc_now
from croupier.bench.stage import Stage, commit_once_us, describe_machine, open_stage
from croupier.runtime.database import connect_owner

RATIO: Final = (1.5, 3.0)
HOT: Final = (0.8, 1.0)
IDLE_COMMITS: Final = 2.0
"""Floor of the idle latency, in bare commits; the goal is one commit and one millisecond."""
IDLE_GOAL_MS: Final = 1.0
TIMEOUT_S: Final = 120.0
SPREAD: Final = (
    "lanes (1 process, 1 lane)",
    "lanes (1 process, 2 lanes)",
    "lanes (2 processes, 1 lane each)",
)
HOT_DESIGN: Final = "lanes-hot (1 wallet, 1 lane)"
PGBENCH: Final = f"pgbench ({pgbench.CLIENTS} clients, one call per transaction)"
IDLE: Final = "idle (one connection, one command at a time)"
COMMIT: Final = "idle: bare commit"


class LedgerPlan(Struct, frozen=True, kw_only=True):
    """How long and how wide: seconds per turn, turns, players, concurrent callers."""

    seconds: float = 5.0
    rounds: int = 3
    wallets: int = 2000
    callers: int = 128
    warmup_s: float = 1.0


class _Ground(Struct, frozen=True):
    url: str
    seats: list[Seat]
    hot: list[Seat]
    yardstick: pgbench.Yardstick


async def bench_ledger(plan: LedgerPlan, tell: Callable[[str], None]) -> Document:
    """Run every design in turns; `tell` gets progress lines."""
    async with open_stage() as stage:
        tell("preparing databases and players")
        ground = await _prepare(stage, plan)
        machine = await describe_machine(stage, ground.url)
        turns: dict[str, list[Samples]] = {}
        for number in range(plan.rounds):
            for design, measured in (await _one_turn(ground, plan, tell, number)).items():
                turns.setdefault(design, []).append(measured)
    return _report(plan, machine, turns)


async def _prepare(stage: Stage, plan: LedgerPlan) -> _Ground:
    url = await stage.make_database("lanes")
    seats = await open_seats(url, plan.wallets)
    hot = await open_seats(url, 1, prefix="hot")
    other = await stage.make_database("pgbench")
    yardstick = await pgbench.prepare(other, await open_seats(other, plan.wallets), stage.folder / "pgbench")
    return _Ground(url, seats, hot, yardstick)


async def _one_turn(
    ground: _Ground, plan: LedgerPlan, tell: Callable[[str], None], number: int
) -> dict[str, Samples]:
    measured: dict[str, Samples] = {}
    shapes = ((1, 1), (1, 2), (2, 1))
    for design, (processes, lanes) in zip(SPREAD, shapes, strict=True):
        tell(f"round {number + 1}: {design}")
        measured[design] = await _drive(ground.url, ground.seats, plan, processes=processes, lanes=lanes)
    tell(f"round {number + 1}: {HOT_DESIGN}")
    measured[HOT_DESIGN] = await _drive(ground.url, ground.hot, plan, processes=1, lanes=1)
    tell(f"round {number + 1}: {PGBENCH}")
    measured[PGBENCH] = await pgbench.measure(ground.yardstick, seconds=plan.seconds, warmup_s=plan.warmup_s)
    tell(f"round {number + 1}: idle")
    measured[IDLE], measured[COMMIT] = await measure_idle(ground.url, ground.seats[0], plan.seconds / 2)
    return measured


async def _drive(url: str, seats: Sequence[Seat], plan: LedgerPlan, *, processes: int, lanes: int) -> Samples:
    orders = [
        DriveOrders(
            url=url,
            lanes=lanes,
            callers=max(1, plan.callers // processes),
            seconds=plan.seconds,
            warmup_s=plan.warmup_s,
            run=uuid4().hex,
            seats=list(seats[part::processes]),
        )
        for part in range(processes)
    ]
    return merge(await measure_together("croupier.bench.drive", orders, plan.seconds + TIMEOUT_S))


async def measure_idle(url: str, seat: Seat, seconds: float) -> tuple[Samples, Samples]:
    """Commands one at a time on an idle lane, each beside a bare commit of the same server."""
    commands: list[int] = []
    commits: list[int] = []
    connection = await connect_owner(url)
    begun = time.perf_counter()
    try:
        async with open_lanes(url, 1) as (lanes, ids):
            while time.perf_counter() - begun < seconds or len(commands) < 3:
                for action in plan_round(seat, uuid4().hex, utc_now()):
                    at = time.perf_counter_ns()
                    await lanes.submit(call_of(ids, seat, action))
                    commands.append((time.perf_counter_ns() - at) // 1000)
                    commits.append(await commit_once_us(connection))
    finally:
        await connection.close()
    return _idle_samples(commands), _idle_samples(commits)


def _idle_samples(latencies_us: list[int]) -> Samples:
    return Samples(
        calls=len(latencies_us), errors=0, seconds=sum(latencies_us) / 1e6, latencies_us=latencies_us
    )


def _report(plan: LedgerPlan, machine: dict[str, object], turns: dict[str, list[Samples]]) -> Document:
    best = max(SPREAD, key=lambda design: run_of(design, turns[design]).per_second)
    checks = _checks(turns, best)
    return Document(
        bench="ledger",
        machine=machine,
        runs=tuple(run_of(design, measured) for design, measured in turns.items()),
        ratio={
            "per_second": checks[0].value,
            "p99": median_ratio(turns[best], turns[PGBENCH], p99_of),
            "hot_per_spread": checks[1].value,
            "idle_per_commit": checks[2].value,
        },
        floor={"per_second": RATIO[0], "hot_per_spread": HOT[0], "idle_per_commit": IDLE_COMMITS},
        goal={"per_second": RATIO[1], "hot_per_spread": HOT[1], "idle_per_commit": round(checks[2].goal, 3)},
        verdict=worst_verdict(checks),
        checks=checks,
        rounds=plan.rounds,
        notes=_notes(plan, best),
    )


def _checks(turns: dict[str, list[Samples]], best: str) -> tuple[Check, ...]:
    commit_ms = run_of(COMMIT, turns[COMMIT]).p50_ms
    idle = median_ratio(turns[IDLE], turns[COMMIT], lambda turn: percentile_us(turn.latencies_us, 0.5))
    rate = median_ratio(turns[best], turns[PGBENCH], rate_of)
    hot = median_ratio(turns[HOT_DESIGN], turns[SPREAD[0]], rate_of)
    goal = round((commit_ms + IDLE_GOAL_MS) / max(commit_ms, 0.001), 3)
    return (
        check_at_least("best lanes / pgbench, rate", rate, floor=RATIO[0], goal=RATIO[1]),
        check_at_least("hot wallet / spread, one lane, rate", hot, floor=HOT[0], goal=HOT[1]),
        check_at_most("idle command / bare commit, median latency", idle, floor=IDLE_COMMITS, goal=goal),
    )


def _notes(plan: LedgerPlan, best: str) -> tuple[str, ...]:
    notes = [
        f"best: {best}; {plan.callers} callers, {plan.wallets} wallets, bet + win + close in turn",
        "pgbench runs bets, wins and closes in equal shares: the same rows, one call and commit each",
    ]
    if "TIGERBEETLE_BIN" in os.environ:
        notes.append("TIGERBEETLE_BIN is set: not measured here, its client is not a dependency")
    return tuple(notes)
