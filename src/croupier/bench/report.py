"""What a bench reports: designs measured in turns, ratios within a turn, and which target is reached."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any, Final

from msgspec import Struct
from rich.console import Console
from rich.table import Table

SCHEMA: Final = "bench"
"""Name of the document; what is in it: docs/explanation/performance.md."""

MIN_ROUNDS: Final = 3
"""Fewer turns than this are for trying a bench out, not for a claim."""


class Samples(Struct, kw_only=True):
    """One turn of one design: calls answered in `seconds`, latencies in µs, CPU seconds where known.

    `kinds_us` has the same latencies by kind of call, where the kinds were to be told apart.
    """

    calls: int
    errors: int
    seconds: float
    latencies_us: list[int]
    cpu_s: float | None = None
    error_text: str = ""
    kinds_us: dict[str, list[int]] = {}

    @property
    def per_second(self) -> float:
        """Answered calls per second."""
        return self.calls / self.seconds if self.seconds else 0.0


class Run(Struct, frozen=True, kw_only=True):
    """Medians of one design over its turns; `each_per_second` are the turns, in order."""

    design: str
    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int
    each_per_second: tuple[float, ...]
    cpu_us_per_call: float | None = None


class Check(Struct, frozen=True, kw_only=True):
    """One target: a value, its floor and goal, and which of them it reaches (`goal`, `floor`, `below`)."""

    name: str
    value: float
    floor: float
    goal: float
    verdict: str


class Document(Struct, frozen=True, kw_only=True):
    """The machine-readable report, as `--json` writes it."""

    bench: str
    machine: dict[str, Any]
    runs: tuple[Run, ...]
    ratio: dict[str, float | None]
    floor: dict[str, float]
    goal: dict[str, float]
    verdict: str
    checks: tuple[Check, ...]
    rounds: int
    notes: tuple[str, ...] = ()


def percentile_us(latencies_us: Sequence[int], share: float) -> float:
    """The latency that `share` of the calls do not exceed, in µs; 0 without calls."""
    if not latencies_us:
        return 0.0
    ordered = sorted(latencies_us)
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))])


def merge(parts: Iterable[Samples]) -> Samples:
    """The samples of processes that ran side by side, as one design's turn."""
    every = list(parts)
    cpu = [part.cpu_s for part in every if part.cpu_s is not None]
    return Samples(
        calls=sum(part.calls for part in every),
        errors=sum(part.errors for part in every),
        seconds=max(part.seconds for part in every),
        latencies_us=[latency for part in every for latency in part.latencies_us],
        cpu_s=sum(cpu) if cpu else None,
        error_text=next((part.error_text for part in every if part.error_text), ""),
    )


def run_of(design: str, turns: Sequence[Samples]) -> Run:
    """Medians over the turns of a design."""
    cpu = [turn.cpu_s / turn.calls * 1e6 for turn in turns if turn.cpu_s is not None and turn.calls]
    return Run(
        design=design,
        per_second=round(median(turn.per_second for turn in turns), 1),
        p50_ms=round(median(percentile_us(turn.latencies_us, 0.5) for turn in turns) / 1000, 3),
        p99_ms=round(median(percentile_us(turn.latencies_us, 0.99) for turn in turns) / 1000, 3),
        errors=sum(turn.errors for turn in turns),
        each_per_second=tuple(round(turn.per_second, 1) for turn in turns),
        cpu_us_per_call=round(median(cpu), 1) if cpu else None,
    )


def median_ratio(
    ours: Sequence[Samples], theirs: Sequence[Samples], measure: Callable[[Samples], float]
) -> float:
    """The median of the ratios within each turn; 0 when the other side measured nothing."""
    ratios = [
        measure(mine) / measure(other) if measure(other) else 0.0
        for mine, other in zip(ours, theirs, strict=True)
    ]
    return round(median(ratios), 3)


def p99_of(turn: Samples) -> float:
    """99th percentile of a turn, in µs."""
    return percentile_us(turn.latencies_us, 0.99)


def rate_of(turn: Samples) -> float:
    """Calls per second of a turn."""
    return turn.per_second


def check_at_least(name: str, value: float, *, floor: float, goal: float) -> Check:
    """Judge a value of which more is better."""
    return _check(name, value, floor, goal, is_floor_kept=value >= floor, is_goal_kept=value >= goal)


def check_at_most(name: str, value: float, *, floor: float, goal: float) -> Check:
    """Judge a value of which less is better."""
    return _check(name, value, floor, goal, is_floor_kept=value <= floor, is_goal_kept=value <= goal)


def _check(
    name: str, value: float, floor: float, goal: float, *, is_floor_kept: bool, is_goal_kept: bool
) -> Check:
    verdict = "below" if not is_floor_kept else "goal" if is_goal_kept else "floor"
    return Check(name=name, value=value, floor=floor, goal=goal, verdict=verdict)


def worst_verdict(checks: Iterable[Check]) -> str:
    """The verdict of the weakest target."""
    order = ("below", "floor", "goal")
    return min((one.verdict for one in checks), key=order.index, default="goal")


def show(document: Document, console: Console) -> None:
    """Print the report for people."""
    table = Table(title=f"bench {document.bench}: medians of {document.rounds} rounds")
    for heading in ("design", "per second", "p50 ms", "p99 ms", "errors", "CPU µs/call"):
        table.add_column(heading, justify="left" if heading == "design" else "right")
    for run in document.runs:
        cpu = "" if run.cpu_us_per_call is None else f"{run.cpu_us_per_call:,.0f}"
        row = (f"{run.per_second:,.0f}", f"{run.p50_ms:.2f}", f"{run.p99_ms:.2f}", str(run.errors), cpu)
        table.add_row(run.design, *row)
    console.print(table)
    targets = Table(title="targets")
    for heading in ("target", "value", "floor", "goal", "reached"):
        targets.add_column(heading, justify="left" if heading in ("target", "reached") else "right")
    for one in document.checks:
        targets.add_row(one.name, f"{one.value:,.2f}", f"{one.floor:,.2f}", f"{one.goal:,.2f}", one.verdict)
    console.print(targets)
    for note in document.notes:
        console.print(note, style="dim")


def render_markdown(document: Document) -> str:
    """The report as two Markdown tables, for docs/explanation/performance.md."""
    lines = ["| design | per second | p50 ms | p99 ms | errors |", "|---|---|---|---|---|"]
    for run in document.runs:
        figures = f"{run.per_second:,.0f} | {run.p50_ms:.2f} | {run.p99_ms:.2f} | {run.errors}"
        lines.append(f"| {run.design} | {figures} |")
    lines += ["", "| target | value | floor | goal | reached |", "|---|---|---|---|---|"]
    for one in document.checks:
        figures = f"{one.value:,.2f} | {one.floor:,.2f} | {one.goal:,.2f} | {one.verdict}"
        lines.append(f"| {one.name} | {figures} |")
    return "\n".join(lines)
