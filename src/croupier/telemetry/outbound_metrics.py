"""What is told of calls to providers: how their breakers stand, and what retries may still be spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

LEVELS: Final[Mapping[str, int]] = {"closed": 0, "half_open": 1, "open": 2}


class OutboundMetrics:
    """How the breakers stand. Providers and operations are configured names: they are few."""

    def __init__(self, environment: str, registry: CollectorRegistry) -> None:
        self._environment = environment
        self._state = Gauge(
            "croupier_breaker_state",
            "Breakers of providers' endpoints: 0 closed, 1 half open, 2 open",
            ("environment", "provider", "operation"),
            registry=registry,
            multiprocess_mode="mostrecent",
        )

        self._budget = Gauge(
            "croupier_retry_budget_remaining_ratio",
            "How full the emptiest process's budget of retries is, from 0 to 1",
            ("environment", "provider"),
            registry=registry,
            multiprocess_mode="min",
        )

    def note_budget(self, provider: str, percent: int) -> None:
        """How full a provider's budget of retries is in this process."""
        self._budget.labels(self._environment, provider).set(percent / 100)

    def note_state(self, *, provider: str, operation: str, state: str) -> None:
        """How a breaker stands now."""
        self._state.labels(self._environment, provider, operation).set(LEVELS[state])
