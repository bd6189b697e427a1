"""The wallet's clock, which can be told to be wrong."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

_TICK: Final = timedelta(microseconds=1)
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


class Clock:
    """Tells the time, so many seconds off; no two records have one time, nor an earlier one, unless it is set."""

    def __init__(self) -> None:
        self._skew_s = 0
        self._latest = _NEVER

    @property
    def skew_s(self) -> int:
        return self._skew_s

    def set_skew(self, skew_s: int) -> None:
        """Be so many seconds ahead from now on; negative is behind."""
        if skew_s != self._skew_s:
            self._skew_s = skew_s
            self._latest = _NEVER

    def now_s(self) -> int:
        """Unix time in whole seconds."""
        return int(time.time()) + self._skew_s

    def stamp(self) -> datetime:
        """The time of a record that is made now, later than that of every earlier one."""
        now = datetime.now(UTC) + timedelta(seconds=self._skew_s)
        self._latest = max(self._latest + _TICK, now)
        return self._latest
