"""What providers send that their protocol's text does not know: counted, told once, and otherwise without effect."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter

MAX_PLACES: Final = 200
"""How many places of how many providers one process tells apart; the rest is counted as `other`."""
OTHER: Final = "other"


class OddityMetrics:
    """Undocumented members and values, by provider and place. The texts are a stranger's: their number is bounded."""

    def __init__(self, environment: str, registry: CollectorRegistry) -> None:
        self._environment = environment
        self._known: set[tuple[str, str]] = set()
        self._seen = Counter(
            "croupier_undocumented_values",
            "Members and values that a protocol's text does not know",
            ("environment", "provider", "place"),
            registry=registry,
        )

    def note(self, provider: str, places: Iterable[str]) -> tuple[str, ...]:
        """Count; returns the places met for the first time by this process, to be logged."""
        new: list[str] = []
        for place in places:
            key = (provider, place)
            if key not in self._known and len(self._known) < MAX_PLACES:
                self._known.add(key)
                new.append(place)
            shown = place if key in self._known else OTHER
            self._seen.labels(self._environment, provider, shown).inc()
        return tuple(new)
