"""What is counted and measured of webhooks: how they were answered, and what waits to be processed."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_LAGS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 14_400)


class InboxLevel(Struct, frozen=True):
    """What waits in the inbox of the deployment: how many, the age of the oldest in seconds, how many are dead."""

    depth: int
    lag_s: float
    dead: int


class InboxMetrics:
    """The metrics of the inbox, in the registry of one process. Providers are configured names: they are few."""

    def __init__(self, environment: str, registry: CollectorRegistry) -> None:
        self._environment = environment
        self._deliveries = Counter(
            "croupier_webhook_deliveries",
            "Webhooks answered, by how",
            ("environment", "provider", "result"),
            registry=registry,
        )
        self._unkept = Counter(
            "croupier_webhook_refusals_not_kept",
            "Refused webhooks of which nothing was kept, because there were too many",
            ("environment", "provider"),
            registry=registry,
        )
        self._batches = Histogram(
            "croupier_intake_batch_size",
            "Webhooks that shared one commit",
            ("environment",),
            buckets=_SIZES,
            registry=registry,
        ).labels(environment)
        self._processed = Counter(
            "croupier_inbox_processed",
            "Attempts at stored webhooks, by what came of them",
            ("environment", "provider", "result", "code"),
            registry=registry,
        )
        self._processing_lag = Histogram(
            "croupier_inbox_processing_lag_seconds",
            "Time from the arrival of a webhook to its processing",
            ("environment", "provider"),
            buckets=_LAGS,
            registry=registry,
        )
        self._depth = _gauge("croupier_inbox_depth", "Webhooks that wait to be processed", registry)
        self._lag = _gauge("croupier_inbox_lag_seconds", "Age of the oldest webhook that waits", registry)
        self._dead = _gauge("croupier_dead_letters", "Webhooks that could not be processed", registry)
        self._children: dict[tuple[str, str], Counter] = {}
        self._work: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}

    def note_delivery(self, *, provider: str, result: str) -> None:
        """Count a webhook."""
        child = self._children.get((provider, result))
        if child is None:
            labels = (self._environment, provider, result)
            child = self._children[provider, result] = self._deliveries.labels(*labels)
        child.inc()

    def note_unkept(self, provider: str) -> None:
        """Count a refusal that leaves nothing behind."""
        self._unkept.labels(self._environment, provider).inc()

    def note_batch(self, size: int) -> None:
        """Count a turn of the acceptor."""
        self._batches.observe(size)

    def note_processed(self, *, provider: str, result: str, code: str, lag_s: float) -> None:
        """Count an attempt; codes are outcomes', errors' and causes', which are few."""
        key = (provider, result, code)
        children = self._work.get(key)
        if children is None:
            children = self._work[key] = (
                self._processed.labels(self._environment, *key),
                self._processing_lag.labels(self._environment, provider),
            )
        children[0].inc()
        children[1].observe(lag_s)

    def note_level(self, level: InboxLevel) -> None:
        """Say what waits."""
        self._depth.labels(self._environment).set(level.depth)
        self._lag.labels(self._environment).set(level.lag_s)
        self._dead.labels(self._environment).set(level.dead)


def _gauge(name: str, documentation: str, registry: CollectorRegistry) -> Gauge:
    # Whoever works measures the whole deployment, and who measured last knows best.
    return Gauge(name, documentation, ("environment",), registry=registry, multiprocess_mode="mostrecent")
