"""Undocumented values: counted by place, told once, bounded, and an alert that names a runbook."""

import re
from pathlib import Path

from prometheus_client import generate_latest

from croupier.telemetry.metrics import CommandRecord, Metrics
from croupier.telemetry.oddities import MAX_PLACES, OTHER

ROOT = Path(__file__).parents[2]


def count(metrics: Metrics, place: str) -> int:
    text = generate_latest(metrics.registry).decode()
    found = re.search(
        rf'^croupier_undocumented_values_total{{.*place="{place}".*}} (\d+)', text, re.MULTILINE
    )
    return 0 if found is None else int(found[1])


def test_a_place_is_told_once_and_counted_each_time() -> None:
    metrics = Metrics("test")
    assert metrics.oddities.note("acme", ("bet.colour", "bet.size")) == ("bet.colour", "bet.size")
    assert metrics.oddities.note("acme", ("bet.colour",)) == ()
    assert metrics.oddities.note("rival", ("bet.colour",)) == ("bet.colour",)
    assert count(metrics, "bet.size") == 1


def test_a_stranger_cannot_make_labels_without_end() -> None:
    metrics = Metrics("test")
    told = metrics.oddities.note("acme", [f"bet.{number}" for number in range(MAX_PLACES + 50)])
    assert len(told) == MAX_PLACES
    assert count(metrics, OTHER) == 50


def test_the_alert_reads_what_is_exposed_and_names_its_runbook() -> None:
    rules = (ROOT / "src/croupier/telemetry/alerts/providers.yml").read_text()
    metrics = Metrics("test")
    metrics.oddities.note("acme", ("bet.colour",))
    (name,) = set(re.findall(r"\bcroupier_\w+(?=\[)", rules))
    assert f"{name}{{" in generate_latest(metrics.registry).decode()
    for alert in re.findall(r"alert: (\w+)", rules):
        assert (ROOT / f"docs/runbooks/{alert}.md").read_text().startswith(f"# {alert}\n")


def test_only_failed_authentication_counts_as_a_failed_signature() -> None:
    metrics = Metrics("test")
    for outcome, reason in (("reference_conflict", "declined"), ("unauthenticated", "stale")):
        metrics.note_command(CommandRecord("acme", "bet", outcome, 0, False, reason))
    text = generate_latest(metrics.registry).decode()
    assert 'reason="stale"' in text
    assert 'reason="declined"' not in text
