"""Metrics of one process, merged over processes by the Prometheus client's shared files.

Set `PROMETHEUS_MULTIPROC_DIR` before this module is imported when several processes serve together.
Label values never name a player, round or transaction.
"""

from __future__ import annotations

import os
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from croupier.telemetry.agreement_metrics import AgreementMetrics
from croupier.telemetry.inbox_metrics import InboxMetrics
from croupier.telemetry.key_metrics import KeyMetrics
from croupier.telemetry.oddities import OddityMetrics
from croupier.telemetry.outbound_metrics import OutboundMetrics
from croupier.telemetry.outbox_metrics import OutboxMetrics
from croupier.telemetry.rollout_metrics import RolloutMetrics
from croupier.telemetry.session_metrics import SessionMetrics
from croupier.telemetry.shadow_metrics import ShadowMetrics
from croupier.telemetry.wallet_metrics import WalletMetrics

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class RequestRecord(Struct, frozen=True):
    """One HTTP request: route template, method, status, seconds."""

    route: str
    method: str
    status: int
    duration_s: float


class CommandRecord(Struct, frozen=True):
    """One provider call: operation, how it ended (an outcome's code, or an error's), seconds."""

    provider: str
    operation: str
    outcome: str
    duration_s: float
    is_repeat: bool = False
    reason: str | None = None


class Metrics:
    """The counters of this process. `registry` is this process's own; `render_all` merges all processes."""

    def __init__(self, environment: str) -> None:
        self.registry = CollectorRegistry()
        self._environment = environment
        self._requests = Histogram(
            "croupier_http_request_duration_seconds",
            "Time to answer a request",
            ("environment", "route", "method", "status_class"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._commands = Counter(
            "croupier_wallet_commands",
            "Commands decided, by outcome",
            ("environment", "provider", "action", "outcome"),
            registry=self.registry,
        )
        self._command_time = Histogram(
            "croupier_wallet_command_duration_seconds",
            "Time from the verified request to its answer",
            ("environment",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._repeats = Counter(
            "croupier_repeats_absorbed",
            "Repeats answered with the original outcome",
            ("environment", "provider"),
            registry=self.registry,
        )
        self._collisions = Counter(
            "croupier_idempotency_collisions",
            "References used again with other content",
            ("environment", "provider"),
            registry=self.registry,
        )
        self._signatures = Counter(
            "croupier_signature_failures",
            "Requests that could not be authenticated",
            ("environment", "provider", "reason"),
            registry=self.registry,
        )
        self._batches = Histogram(
            "croupier_lane_batch_size",
            "Commands that shared one commit",
            ("environment",),
            buckets=_SIZES,
            registry=self.registry,
        )
        self._lane_results = Counter(
            "croupier_lane_turns",
            "Turns of the lanes, by how they ended",
            ("environment", "result"),
            registry=self.registry,
        )
        self._launches = _launch_counter(self.registry)
        self._build = _build_gauge(self.registry)
        self.outbound = OutboundMetrics(environment, self.registry)
        self.inbox = InboxMetrics(environment, self.registry)
        self.keys = KeyMetrics(environment, self.registry)
        self.oddities = OddityMetrics(environment, self.registry)
        self.outbox = OutboxMetrics(environment, self.registry)
        self.shadow = ShadowMetrics(environment, self.registry)
        self.rollouts = RolloutMetrics(environment, self.registry)
        self.sessions = SessionMetrics(environment, self.registry)
        self.agreement = AgreementMetrics(environment, self.registry)
        self.wallet = WalletMetrics(environment, self.registry)
        self._counters: dict[tuple[str, ...], Counter] = {}
        self._histograms: dict[tuple[str, ...], Histogram] = {}

    def note_build(self, version: str) -> None:
        """Say which version runs."""
        self._build.labels(self._environment, version).set(1)

    def note_request(self, record: RequestRecord) -> None:
        """Count an HTTP request."""
        labels = (record.route, record.method, f"{record.status // 100}xx")
        self._histogram(self._requests, "request", *labels).observe(record.duration_s)

    def note_command(self, record: CommandRecord) -> None:
        """Count a provider call."""
        self._counter(self._commands, "command", record.provider, record.operation, record.outcome).inc()
        self._histogram(self._command_time, "command_time").observe(record.duration_s)
        if record.is_repeat:
            self._counter(self._repeats, "repeat", record.provider).inc()
        if record.outcome == "reference_conflict":
            self._counter(self._collisions, "collision", record.provider).inc()
        if record.reason is not None and record.outcome == "unauthenticated":
            self.note_signature_failure(provider=record.provider, reason=record.reason)

    def note_signature_failure(self, *, provider: str, reason: str) -> None:
        """Count a request that could not be authenticated."""
        self._counter(self._signatures, "signature", provider, reason).inc()

    def note_launch(self, *, provider: str, game: str, asset: str, result: str) -> None:
        """Count a launch; the games are those of the configuration, so their number is bounded."""
        self._counter(self._launches, "launch", provider, game, asset, result).inc()

    def note_batch(self, *, size: int, result: str) -> None:
        """Count a lane's turn."""
        self._histogram(self._batches, "batch").observe(size)
        self._counter(self._lane_results, "turn", result).inc()

    # Looking a child up by its labels costs as much as counting it; the set of labels is small and bounded.

    def _counter(self, metric: Counter, name: str, *labels: str) -> Counter:
        child = self._counters.get((name, *labels))
        if child is None:
            child = self._counters[name, *labels] = metric.labels(self._environment, *labels)
        return child

    def _histogram(self, metric: Histogram, name: str, *labels: str) -> Histogram:
        child = self._histograms.get((name, *labels))
        if child is None:
            child = self._histograms[name, *labels] = metric.labels(self._environment, *labels)
        return child


def _launch_counter(registry: CollectorRegistry) -> Counter:
    return Counter(
        "croupier_session_launches",
        "Launches at providers, by how they ended",
        ("environment", "provider", "game", "asset", "result"),
        registry=registry,
    )


def _build_gauge(registry: CollectorRegistry) -> Gauge:
    return Gauge(
        "croupier_build_info",
        "The running version",
        ("environment", "version"),
        registry=registry,
        multiprocess_mode="max",
    )


def render_all(own: Metrics) -> bytes:
    """The exposition text of every process of this deployment on this host, or of this one alone."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(own.registry)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
