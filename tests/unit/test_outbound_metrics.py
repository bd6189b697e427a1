"""How breakers stand, as metrics, and the rule that wakes somebody."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from croupier.providers.breakers.machine import BreakerState
from croupier.telemetry.outbound_metrics import LEVELS, OutboundMetrics

ROOT = Path(__file__).parents[2]
NAME = "croupier_breaker_state"


def test_every_state_has_a_level() -> None:
    assert set(LEVELS) == {state.value for state in BreakerState}


@pytest.mark.parametrize(("state", "level"), [("closed", 0), ("half_open", 1), ("open", 2)])
def test_a_state_is_told_for_each_endpoint(state: str, level: int) -> None:
    registry = CollectorRegistry()
    OutboundMetrics("test", registry).note_state(provider="acme", operation="launch", state=state)
    labels = {"environment": "test", "provider": "acme", "operation": "launch"}
    assert registry.get_sample_value(NAME, labels) == level


def test_the_alert_names_the_metric_and_its_runbook() -> None:
    rules = (ROOT / "src/croupier/telemetry/alerts/breakers.yml").read_text()
    assert f"({NAME}) == {LEVELS['open']}" in rules
    assert "runbook: docs/runbooks/BreakerOpen.md" in rules
    assert (ROOT / "docs/runbooks/BreakerOpen.md").read_text().startswith("# BreakerOpen\n")
