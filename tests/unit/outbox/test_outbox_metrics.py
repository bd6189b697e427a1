"""What is counted and measured of events on their way, and the alert rules that read it."""

import re
from pathlib import Path

from prometheus_client import generate_latest

from croupier.operator.outbox.records import AttemptRecord, LagRecord, LevelRecord
from croupier.runtime.outbox_metrics import observe_with
from croupier.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[3]
RULES = ROOT / "src/croupier/telemetry/alerts/outbox.yml"


def test_every_record_is_told() -> None:
    metrics = Metrics("test")
    observe = observe_with(metrics.outbox)
    observe(AttemptRecord("platform", "money.moved", "failed", 0.2))
    observe(LevelRecord("platform", 7, 90.0, True))
    observe(LagRecord(3.0))
    text = generate_latest(metrics.registry).decode()
    consumer = 'consumer="platform",environment="test"'
    assert f'croupier_outbox_attempts_total{{{consumer},result="failed",type="money.moved"}} 1.0' in text
    assert f"croupier_outbox_attempt_duration_seconds_count{{{consumer}}} 1.0" in text
    assert f"croupier_outbox_pending{{{consumer}}} 7.0" in text
    assert f"croupier_outbox_oldest_seconds{{{consumer}}} 90.0" in text
    assert f"croupier_outbox_disabled{{{consumer}}} 1.0" in text
    assert 'croupier_outbox_lag_seconds{environment="test"} 3.0' in text


def test_the_alert_rules_name_metrics_that_exist_and_runbooks_that_are_there() -> None:
    metrics = Metrics("test")
    observe_with(metrics.outbox)(LevelRecord("platform", 0, 0.0, False))
    exposed = set(re.findall(r"^(croupier_\w+)\{", generate_latest(metrics.registry).decode(), re.MULTILINE))
    rules = RULES.read_text()
    expressions = re.sub(r"^\s*(summary|description):.*$", "", rules, flags=re.MULTILINE)
    assert set(re.findall(r"\bcroupier_\w+", expressions)) <= exposed
    alerts = re.findall(r"alert: (\w+)", rules)
    assert alerts
    for alert in alerts:
        assert f"runbook: docs/runbooks/{alert}.md" in rules
        assert (ROOT / f"docs/runbooks/{alert}.md").read_text().startswith(f"# {alert}\n")
