"""What is told of shadows: how calls compared, and how many were lost. Accounts and candidates are configured."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter


class ShadowMetrics:
    """The counters of shadows, in the registry of one process."""

    def __init__(self, environment: str, registry: CollectorRegistry) -> None:
        self._environment = environment
        self._compared = Counter(
            "croupier_shadow_compared",
            "Calls that a candidate read along, by what came of them",
            ("environment", "provider", "candidate", "result"),
            registry=registry,
        )
        self._dropped = Counter(
            "croupier_shadow_dropped",
            "Calls that a candidate should have read along and never saw",
            ("environment", "provider", "candidate", "reason"),
            registry=registry,
        )

    def note_compared(self, *, provider: str, candidate: str, result: str) -> None:
        """Count a call that was tried."""
        self._compared.labels(self._environment, provider, candidate, result).inc()

    def note_dropped(self, *, provider: str, candidate: str, reason: str) -> None:
        """Count a call that was lost in the shadow process."""
        self._dropped.labels(self._environment, provider, candidate, reason).inc()

    def counters_of_lost(
        self, provider: str, candidate: str, reasons: Iterable[str]
    ) -> Callable[[str], None]:
        """What a tap counts with: every counter is made now, so that counting one cannot fail later."""
        counters = {
            reason: self._dropped.labels(self._environment, provider, candidate, reason) for reason in reasons
        }
        return lambda reason: counters[reason].inc()
