"""What is told of rollouts, the rule that wakes somebody, and its page (J1)."""

from pathlib import Path

from prometheus_client import generate_latest

from croupier.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
LABELS = {"environment": "test", "provider": "acme_v2"}


def test_a_share_is_a_ratio_and_halts_begin_at_none() -> None:
    metrics = Metrics("test")
    metrics.rollouts.begin(["acme_v2"])
    metrics.rollouts.note_share(provider="acme_v2", share_bps=1250)
    assert metrics.registry.get_sample_value("croupier_rollout_share_ratio", LABELS) == 0.125
    assert metrics.registry.get_sample_value("croupier_rollout_halts_total", LABELS) == 0
    metrics.rollouts.note_halt(provider="acme_v2")
    assert metrics.registry.get_sample_value("croupier_rollout_halts_total", LABELS) == 1


def test_the_alert_reads_what_is_exposed_and_has_its_page() -> None:
    rules = (ROOT / "src/croupier/telemetry/alerts/rollouts.yml").read_text()
    metrics = Metrics("test")
    metrics.rollouts.begin(["acme_v2"])
    assert "croupier_rollout_halts_total" in rules
    assert "\ncroupier_rollout_halts_total{" in generate_latest(metrics.registry).decode()
    assert "runbook: docs/runbooks/RolloutHalted.md" in rules
    page = (ROOT / "docs/runbooks/RolloutHalted.md").read_text()
    assert page.startswith("# RolloutHalted\n")
    for part in ("Meaning", "Impact", "Check", "Act", "Escalate", "Replay"):
        assert f"**{part}.**" in page, part
