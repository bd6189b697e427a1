"""Sessions as metrics, and the rules that wake their owners."""

import re
from pathlib import Path

from prometheus_client import generate_latest

from croupier.play.timeouts import LEGAL_ACTS
from croupier.telemetry.metrics import Metrics
from croupier.telemetry.session_metrics import STATES, StateRecord

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "src/croupier/telemetry/alerts/sessions.yml").read_text()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"croupier_{name}", {"environment": "test", **labels})


def filled() -> Metrics:
    metrics = Metrics("test")
    metrics.sessions.note_states(
        [
            StateRecord("active", "product", 2, 60.0, 1),
            StateRecord("active", "ops", 3, 90.0, 0),
            StateRecord("pending_settlement", "finance", 1, 5.0, 1),
        ]
    )
    metrics.sessions.note_lateness(2.5)
    metrics.sessions.note_unknown(4)
    metrics.sessions.note_turn("done")
    metrics.sessions.note_timeout(state="active", action="close", result="done")
    return metrics


def test_the_states_told_are_those_that_are_not_final() -> None:
    assert set(STATES) == {state.value for state in LEGAL_ACTS}


def test_a_state_is_told_over_all_teams_and_what_is_overdue_by_team() -> None:
    metrics = filled()
    assert value(metrics, "sessions", state="active") == 5
    assert value(metrics, "session_state_age_seconds", state="active") == 90
    assert value(metrics, "sessions_overdue", state="active", owner="product") == 1
    assert value(metrics, "sessions", state="created") == 0
    assert value(metrics, "unknown_outcomes") == 4
    assert value(metrics, "timers_late_seconds") == 2.5


def test_what_is_over_is_told_as_none() -> None:
    metrics = filled()
    metrics.sessions.note_states([])
    for state in STATES:
        assert value(metrics, "sessions", state=state) == 0
        assert value(metrics, "session_state_age_seconds", state=state) == 0
    assert value(metrics, "sessions_overdue", state="active", owner="product") == 0


def test_every_alert_has_its_page_and_the_page_its_parts() -> None:
    alerts = re.findall(r"alert: (\w+)", RULES)
    assert alerts == ["SessionsOverdue", "TimersLate", "UnknownOutcomes", "ClockNotTrusted"]
    for alert in alerts:
        assert f"runbook: docs/runbooks/{alert}.md" in RULES
        page = (ROOT / "docs/runbooks" / f"{alert}.md").read_text()
        assert page.startswith(f"# {alert}\n")
        for part in ("Meaning", "Impact", "Check", "Act", "Escalate", "Replay"):
            assert f"**{part}.**" in page, (alert, part)


def test_every_metric_of_the_rules_is_exposed() -> None:
    text = generate_latest(filled().registry).decode()
    for name in set(re.findall(r"croupier_\w+", RULES)):
        assert f"\n{name}" in text, name
