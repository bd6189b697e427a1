"""What is measured of the agreement with the operator's wallet: how far it was compared, and what is open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

WALLET: Final = "operator"
"""Who the operator's own wallet is among the providers."""


class AgreementMetrics:
    """The metrics of comparisons, in the registry of one process. Kinds are few words."""

    def __init__(self, environment: str, registry: CollectorRegistry) -> None:
        self._environment = environment
        # Every background process measures the same database, and the one that looked last knows best.
        self._age = Gauge(
            "croupier_wallet_agreement_age_seconds",
            "How long ago the period ended that was compared with the operator's wallet last",
            ("environment",),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._breaks = Gauge(
            "croupier_reconciliation_breaks",
            "Differences that nobody has resolved, by whom they are with",
            ("environment", "provider", "kind"),
            registry=registry,
            multiprocess_mode="mostrecent",
        )

    def note_age(self, age_s: float) -> None:
        """Say how long ago the last period ended that was compared."""
        self._age.labels(self._environment).set(age_s)

    def note_breaks(self, kinds: Iterable[str], counts: Mapping[str, int]) -> None:
        """Say how many differences with the wallet are open; a kind that is not counted has none."""
        for kind in kinds:
            self._breaks.labels(self._environment, WALLET, kind).set(counts.get(kind, 0))
