"""What is told of rollouts: which share of players goes to an account that takes over, and what guards halted."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

_WHOLE = 10_000


class RolloutMetrics:
    """How far rollouts are. Accounts are configured names: they are few."""

    def __init__(self, environment: str, registry: CollectorRegistry) -> None:
        self._environment = environment
        self._share = Gauge(
            "croupier_rollout_share_ratio",
            "The largest share of players that a rule sends to an account that takes over, from 0 to 1",
            ("environment", "provider"),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._halts = Counter(
            "croupier_rollout_halts",
            "Rollouts that their guards halted",
            ("environment", "provider"),
            registry=registry,
        )

    def begin(self, providers: Iterable[str]) -> None:
        """Expose the halts of these accounts as none: what appears with its first count is no increase to a rule."""
        for provider in providers:
            self._halts.labels(self._environment, provider)

    def note_share(self, *, provider: str, share_bps: int) -> None:
        """How far an account's rollout is, in basis points."""
        self._share.labels(self._environment, provider).set(share_bps / _WHOLE)

    def note_halt(self, *, provider: str) -> None:
        """A guard halted an account's rollout."""
        self._halts.labels(self._environment, provider).inc()
