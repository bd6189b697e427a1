"""What this process sees of each key, counted in memory on the hot path and told about once a second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Literal

from msgspec import Struct

from croupier.governance.keyring import KeyUse

Result = Literal["verified", "refused", "signed"]


class KeyCount(Struct, frozen=True):
    """How often a key was used with one result since the last telling; for telemetry."""

    provider: str
    key_id: str
    result: Result
    count: int


class KeyUses:
    """Counts uses until they are taken; what could not be told is put back."""

    def __init__(self, observe: Callable[[KeyCount], None] = lambda _: None) -> None:
        self._observe = observe
        self._counts: Counter[tuple[str, str, Result]] = Counter()
        self._last: dict[tuple[str, bool], datetime] = {}

    def note(self, provider: str, key_id: str, result: Result, now: datetime) -> None:
        """One use: two entries of a table in memory."""
        self._counts[provider, key_id, result] += 1
        self._last[key_id, result == "refused"] = now

    def take(self) -> list[KeyUse]:
        """Everything since the last taking; telemetry is told on the way."""
        counts, last = self._counts, self._last
        self._counts, self._last = Counter(), {}
        totals: dict[str, list[int]] = {}
        for (provider, key_id, result), count in counts.items():
            self._observe(KeyCount(provider, key_id, result, count))
            totals.setdefault(key_id, [0, 0])[result == "refused"] += count
        return [
            KeyUse(key_id, last.get((key_id, False)), last.get((key_id, True)), ok, refused)
            for key_id, (ok, refused) in totals.items()
        ]
