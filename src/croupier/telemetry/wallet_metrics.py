"""What is measured of calls to the operator's wallet, and of the calls that are still open with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, Gauge, Histogram

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)
STATES: Final = ("asked", "queued", "unknown")
"""The states of calls that are open: each has a value, if only zero."""


class WalletLevel(Struct, frozen=True):
    """The open calls of one state: how many, and the age of the oldest in seconds."""

    state: str
    calls: int
    oldest_s: float


class WalletMetrics:
    """The metrics of the operator's wallet, in the registry of one process. Label values are few words."""

    def __init__(self, environment: str, registry: CollectorRegistry) -> None:
        self._environment = environment
        self._requests = Histogram(
            "croupier_wallet_request_duration_seconds",
            "Time that requests to the operator's wallet took, by how they ended",
            ("environment", "operation", "outcome"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "croupier_wallet_requests_in_flight",
            "Requests to the operator's wallet that wait for their answer",
            ("environment",),
            registry=registry,
            multiprocess_mode="livesum",
        ).labels(environment)
        self._sizes = Histogram(
            "croupier_wallet_batch_size",
            "Movements that travelled in one request",
            ("environment",),
            buckets=_SIZES,
            registry=registry,
        ).labels(environment)
        self._calls = _level(
            "croupier_wallet_calls", "Calls that are open with the operator's wallet, by state", registry
        )
        self._oldest = _level(
            "croupier_wallet_oldest_call_seconds", "How long the oldest open call has been open", registry
        )
        self._children: dict[tuple[str, str], Histogram] = {}

    def note_begun(self) -> None:
        """A request is sent."""
        self._in_flight.inc()

    def note_ended(self, *, operation: str, outcome: str, duration_s: float, movements: int) -> None:
        """It came back, or will not. What only asks carries no movement."""
        self._in_flight.dec()
        # Looking a child up by its labels costs as much as counting it.
        child = self._children.get((operation, outcome))
        if child is None:
            child = self._requests.labels(self._environment, operation, outcome)
            self._children[operation, outcome] = child
        child.observe(duration_s)
        if movements:
            self._sizes.observe(movements)

    def note_levels(self, levels: Iterable[WalletLevel]) -> None:
        """Say how many calls are open; a state that is not named has none."""
        known = {level.state: level for level in levels}
        for state in dict.fromkeys((*STATES, *known)):
            level = known.get(state) or WalletLevel(state, 0, 0.0)
            self._calls.labels(self._environment, state).set(level.calls)
            self._oldest.labels(self._environment, state).set(level.oldest_s)


def _level(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    # Every background process measures the same database, and the one that looked last knows best.
    return Gauge(name, text, ("environment", "state"), registry=registry, multiprocess_mode="mostrecent")
