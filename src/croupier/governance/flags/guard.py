"""When a rollout is halted: what was seen at the account that takes over, against limits; pure."""

from __future__ import annotations

from msgspec import Struct


class GuardLimits(Struct, frozen=True, kw_only=True):
    """What a rollout may do wrong before it is halted; times in seconds."""

    window_s: int = 900
    """Launches of so long are looked at, and never those before the share last changed."""
    min_launches: int = 20
    """Fewest launches before their errors mean anything."""
    error_percent: int = 10
    launch_grace_s: int = 60
    """A session that is still not launched after so long counts as an error."""
    settlement_lag_s: int = 3600
    """A session that waits for its settlement for longer is late."""
    late_settlements: int = 0
    """Most sessions that may be late."""
    mismatches: int = 0
    """Most breaks that may be open."""


class Observed(Struct, frozen=True, kw_only=True):
    """What was seen at an account since its share last changed."""

    launches: int
    """Those that ended, or should have by now."""
    failed: int
    late: int
    mismatches: int
    is_held_back: bool
    """Whether its breaker holds launches back: then nothing fails, because nothing is tried."""


class Halt(Struct, frozen=True):
    """The rollout goes no further; the reason has the numbers."""

    reason: str


def judge(observed: Observed, limits: GuardLimits) -> Halt | None:
    """Whether a rollout is halted; None lets it go on. Every limit is the most that is still let through."""
    reasons = []
    if observed.is_held_back:
        reasons.append("its breaker holds launches back")
    percent = limits.error_percent * observed.launches
    if observed.launches >= limits.min_launches and observed.failed * 100 > percent:
        reasons.append(
            f"{observed.failed} of {observed.launches} launches failed, more than {limits.error_percent}%"
        )
    if observed.late > limits.late_settlements:
        reasons.append(
            f"sessions that wait for settlement for more than {limits.settlement_lag_s} s: {observed.late}, "
            f"allowed {limits.late_settlements}"
        )
    if observed.mismatches > limits.mismatches:
        reasons.append(f"open breaks: {observed.mismatches}, allowed {limits.mismatches}")
    return Halt("; ".join(reasons)) if reasons else None
