"""Whether this process's clock may be trusted with what is due. Pure: every clock is an argument."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Reading(Struct, frozen=True):
    """Three clocks read together: ours, the seconds since the machine started, and the database's.

    `trip_s` is how long the question to the database took, in seconds; ours is that of its middle.
    """

    ours: datetime
    boot_s: float
    database: datetime
    trip_s: float = 0.0


class ClockGuard:
    """Holds back while the clocks disagree, and for a while after ours has jumped.

    `skew_s` is how far they may be apart; `settle_s` how long our clock must run evenly again after a jump: both in
    seconds. A machine that slept did not jump, because the time since it started counts sleep.
    """

    def __init__(self, *, skew_s: int, settle_s: int) -> None:
        self._skew_s = skew_s
        self._settle_s = settle_s
        self._last: Reading | None = None
        self._jumped_at_s: float | None = None

    def judge(self, reading: Reading) -> str | None:
        """Why nothing may be done now, in words; None when the clock may be trusted."""
        last, self._last = self._last, reading
        if last is not None:
            passed_s = (reading.ours - last.ours).total_seconds()
            jump_s = passed_s - (reading.boot_s - last.boot_s)
            if abs(jump_s) > self._skew_s:
                self._jumped_at_s = reading.boot_s
                return f"our clock jumped by {jump_s:+.3f} s"
        offset_s = (reading.database - reading.ours).total_seconds()
        if abs(offset_s) - reading.trip_s / 2 > self._skew_s:
            return f"the database's clock is {offset_s:+.3f} s off ours"
        if self._jumped_at_s is None:
            return None
        if reading.boot_s - self._jumped_at_s < self._settle_s:
            return "our clock jumped a moment ago"
        self._jumped_at_s = None
        return None
