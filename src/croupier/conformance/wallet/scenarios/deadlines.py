"""How long answers take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from croupier.conformance.wallet import rules
from croupier.conformance.wallet.orders import debit
from croupier.conformance.wallet.scenario import scenario
from croupier.conformance.wallet.stage import Stage

LIMIT_S: Final = 1.0
LEAST: Final = 50


@scenario(
    "99 of 100 answers come within a second",
    why="Croupier stops waiting after two seconds, and the provider is told that nobody knows. A finding is a remark:"
    " it depends on the machine and on the way to it.",
    fix="Look for locks that are held while something else is waited for, and for queries without an index.",
    rule=rules.IN_TIME,
)
async def p99(stage: Stage) -> None:
    """Of all calls of this run so far, fifty at least."""
    player = await stage.player()
    for _ in range(max(0, LEAST - len(stage.caller.times_s))):
        await stage.approve(debit(player, 1))
    found_s = percentile_s(stage.caller.times_s, 99)
    if found_s > LIMIT_S:
        stage.remark(f"the 99th percentile of {len(stage.caller.times_s)} answers is {found_s:.2f} s")


def percentile_s(times_s: Sequence[float], percent: int) -> float:
    """What this share of the times does not exceed."""
    ordered = sorted(times_s)
    return ordered[(len(ordered) * percent - 1) // 100]
