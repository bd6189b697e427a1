"""Alerts about the inbox read what is exposed, and each has its page."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import generate_latest

from croupier.telemetry.inbox_metrics import InboxLevel
from croupier.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[3]
RULES = (ROOT / "src/croupier/telemetry/alerts/inbox.yml").read_text()


def exposed() -> str:
    metrics = Metrics("test")
    metrics.inbox.note_delivery(provider="acme", result="refused")
    metrics.inbox.note_processed(provider="acme", result="applied", code="ok", lag_s=0.25)
    metrics.inbox.note_level(InboxLevel(depth=3, lag_s=1.5, dead=2))
    return generate_latest(metrics.registry).decode()


def test_every_alert_has_its_page_and_the_page_its_parts() -> None:
    alerts = re.findall(r"alert: (\w+)", RULES)
    assert alerts == ["DeadLetters", "InboxLag", "WebhooksRefused"]
    for alert in alerts:
        assert f"runbook: docs/runbooks/{alert}.md" in RULES
        page = (ROOT / "docs/runbooks" / f"{alert}.md").read_text()
        for part in ("Meaning", "Impact", "Check", "Act", "Escalate", "Replay"):
            assert f"**{part}.**" in page, (alert, part)


def test_every_metric_of_the_rules_is_exposed() -> None:
    names = set(re.findall(r"croupier_\w+", RULES))
    assert names
    text = exposed()
    for name in names:
        assert f"\n{name}" in text, name
    for label in ("provider", "result", "environment"):
        assert f'{label}="' in text


def test_attempts_and_levels_are_told() -> None:
    text = exposed()
    line = 'croupier_inbox_processed_total{code="ok",environment="test",provider="acme",result="applied"} 1.0'
    assert line in text
    assert 'croupier_inbox_depth{environment="test"} 3.0' in text
    assert 'croupier_dead_letters{environment="test"} 2.0' in text
