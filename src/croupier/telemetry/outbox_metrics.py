"""What is counted and measured of events on their way; consumers are configured names, so their number is bounded."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)


class OutboxMetrics:
    """The metrics of the outbox, in the registry of one process."""

    def __init__(self, environment: str, registry: CollectorRegistry) -> None:
        self._environment = environment
        labels = ("environment", "consumer")
        self._attempts = Counter(
            "croupier_outbox_attempts",
            "Attempts to hand an event to a consumer, by how they ended",
            (*labels, "type", "result"),
            registry=registry,
        )
        self._attempt_time = Histogram(
            "croupier_outbox_attempt_duration_seconds",
            "Time of one attempt",
            labels,
            buckets=_SECONDS,
            registry=registry,
        )
        # Every process measures the same database, and the one that looked last knows best.
        self._pending = _gauge("croupier_outbox_pending", "Events that wait for a consumer", labels, registry)
        self._oldest = _gauge(
            "croupier_outbox_oldest_seconds", "Age of the oldest event that waits for it", labels, registry
        )
        self._disabled = _gauge(
            "croupier_outbox_disabled", "1 while a consumer is switched off", labels, registry
        )
        self._lag = _gauge(
            "croupier_outbox_lag_seconds",
            "Age of the oldest event that was not given to the consumers yet",
            ("environment",),
            registry,
        )

    def note_attempt(self, *, consumer: str, type_: str, result: str, duration_s: float) -> None:
        """Count an attempt."""
        self._attempts.labels(self._environment, consumer, type_, result).inc()
        self._attempt_time.labels(self._environment, consumer).observe(duration_s)

    def note_level(self, *, consumer: str, pending: int, oldest_s: float, is_disabled: bool) -> None:
        """Say what waits for a consumer."""
        labels = (self._environment, consumer)
        self._pending.labels(*labels).set(pending)
        self._oldest.labels(*labels).set(oldest_s)
        self._disabled.labels(*labels).set(int(is_disabled))

    def note_lag(self, oldest_s: float) -> None:
        """Say how far behind giving events to the consumers is."""
        self._lag.labels(self._environment).set(oldest_s)


def _gauge(name: str, text: str, labels: tuple[str, ...], registry: CollectorRegistry) -> Gauge:
    return Gauge(name, text, labels, registry=registry, multiprocess_mode="mostrecent")
