"""Ages and due dates as metrics, and the alert rules that read them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import generate_latest

from croupier.governance.keyring import Keyring
from croupier.governance.keys import Direction, KeyFacts, KeyState
from croupier.runtime.config import Config, Provider
from croupier.runtime.worker_keys import render_ages
from croupier.telemetry.key_metrics import KeyAge, KeyRequests
from croupier.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "src/croupier/telemetry/alerts/keys.yml"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def key(key_id: str, direction: str, state: str, *, age_days: int, due_in_days: int) -> KeyFacts:
    published_at = NOW - timedelta(days=age_days)
    return KeyFacts(
        key_id=key_id,
        provider="studio",
        direction=Direction(direction),
        secret="env:KEY",
        state=KeyState(state),
        published_at=published_at,
        promoted_at=published_at,
        revoked_at=NOW if state == "revoked" else None,
        due_at=NOW + timedelta(days=due_in_days),
    )


def test_the_age_is_the_current_keys_and_every_living_key_may_be_overdue() -> None:
    facts = (
        key("gone", "inbound", "revoked", age_days=200, due_in_days=-110),
        key("old", "inbound", "retiring", age_days=91, due_in_days=-1),
        key("new", "inbound", "current", age_days=2, due_in_days=88),
        key("shared", "both", "current", age_days=100, due_in_days=-10),
    )
    config = Config(providers=(Provider(id="studio"), Provider(id="idle")))
    day_s = 86_400.0
    assert render_ages(config, Keyring(facts), NOW) == [
        KeyAge("studio", "inbound", 2 * day_s, 2),
        KeyAge("studio", "outbound", 100 * day_s, 1),
        KeyAge("idle", "inbound", 0.0, 0),
        KeyAge("idle", "outbound", 0.0, 0),
    ]


def test_the_alert_rules_name_metrics_that_exist_and_runbooks_that_are_there() -> None:
    metrics = Metrics("test")
    metrics.keys.note_age(KeyAge("studio", "inbound", 1.0, 0))
    metrics.keys.note_requests(KeyRequests("studio", "new", "verified", 3))
    exposed = set(re.findall(r"^(croupier_\w+)\{", generate_latest(metrics.registry).decode(), re.MULTILINE))
    rules = RULES.read_text()
    expressions = re.sub(r"^\s*(summary|description):.*$", "", rules, flags=re.MULTILINE)
    assert set(re.findall(r"\bcroupier_\w+", expressions)) <= exposed
    alerts = re.findall(r"alert: (\w+)", rules)
    assert alerts
    for alert in alerts:
        assert f"runbook: docs/runbooks/{alert}.md" in rules
        assert (ROOT / f"docs/runbooks/{alert}.md").read_text().startswith(f"# {alert}\n")
