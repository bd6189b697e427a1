"""Webhooks are counted by how they were answered; what waits is one figure for the whole deployment."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from croupier.ids import IdSource
from croupier.inbox.records import DeliveryRecord
from croupier.runtime.config import load_config
from croupier.runtime.config.starter import write_starter
from croupier.runtime.key_uses import KeyUses
from croupier.runtime.live_keys import LiveAccounts
from croupier.runtime.webhook_intake import IntakeParts, WebhookIntake
from croupier.telemetry.inbox_metrics import InboxLevel
from croupier.telemetry.metrics import Metrics, render_all


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"environment": "test", **labels})


def record(result: str, *, code: str | None = None, reason: str | None = None) -> DeliveryRecord:
    return DeliveryRecord(
        provider="sandbox",
        result=result,
        status=202,
        code=code or result,
        reason=reason,
        duration_s=0.002,
        correlation_id="c-1",
        trace_id=None,
    )


async def nothing(*_: Any) -> Any:
    """Nobody asks."""


@pytest.fixture
def intake(tmp_path: Path) -> tuple[WebhookIntake, Metrics]:
    config, metrics = load_config(write_starter(tmp_path).config_path, {}), Metrics("test")
    now = lambda: datetime(2026, 3, 1, tzinfo=UTC)  # noqa: E731 (a clock)
    parts = IntakeParts(
        accounts=LiveAccounts(KeyUses(), now),
        pool=None,
        connect=nothing,
        submit=nothing,
        ids=IdSource(),
        now=now,
        metrics=metrics,
        on_death=lambda: None,
    )
    return WebhookIntake(config, parts), metrics


def test_every_webhook_is_counted_by_provider_and_result(intake: tuple[WebhookIntake, Metrics]) -> None:
    made, metrics = intake
    observe = made._observe
    for result, count in (("accepted", 3), ("duplicate", 2), ("shed", 1)):
        for _ in range(count):
            observe(record(result))
    observe(record("refused", code="unauthenticated", reason="stale"))
    name = "croupier_webhook_deliveries_total"
    assert [
        sample(metrics, name, provider="sandbox", result=result)
        for result in ("accepted", "duplicate", "shed", "refused", "failed")
    ] == [3, 2, 1, 1, None]
    assert sample(metrics, "croupier_signature_failures_total", provider="sandbox", reason="stale") == 1
    assert (
        sample(
            metrics,
            "croupier_http_request_duration_seconds_count",
            route="/webhooks/{provider}",
            method="POST",
            status_class="2xx",
        )
        == 7
    )


def test_what_waits_is_the_last_measure() -> None:
    metrics = Metrics("test")
    for depth in (10, 4):
        metrics.inbox.note_level(InboxLevel(depth, 1.5 * depth, dead=2))
    assert sample(metrics, "croupier_inbox_depth") == 4
    assert sample(metrics, "croupier_inbox_lag_seconds") == 6
    assert sample(metrics, "croupier_dead_letters") == 2


def test_the_names_are_those_that_dashboards_rely_on() -> None:
    metrics = Metrics("test")
    metrics.inbox.note_delivery(provider="sandbox", result="accepted")
    metrics.inbox.note_unkept("sandbox")
    metrics.inbox.note_batch(3)
    metrics.inbox.note_level(InboxLevel(0, 0.0, 0))
    text = render_all(metrics).decode()
    for line in (
        'croupier_webhook_deliveries_total{environment="test",provider="sandbox",result="accepted"} 1.0',
        'croupier_webhook_refusals_not_kept_total{environment="test",provider="sandbox"} 1.0',
        'croupier_intake_batch_size_count{environment="test"} 1.0',
        'croupier_inbox_depth{environment="test"} 0.0',
    ):
        assert line in text
