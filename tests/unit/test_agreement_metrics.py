"""What is told of the agreement with the operator's wallet, the rules that wake somebody, and their pages."""

import re
from pathlib import Path

from prometheus_client import generate_latest

from croupier.settlement.agreement import KINDS
from croupier.telemetry.agreement_metrics import WALLET
from croupier.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "src/croupier/telemetry/alerts/agreement.yml").read_text()


def told() -> Metrics:
    metrics = Metrics("test")
    metrics.agreement.note_age(90)
    metrics.agreement.note_breaks(KINDS, {KINDS[0]: 2})
    return metrics


def test_open_differences_are_told_by_kind_and_none_are_zero() -> None:
    registry = told().registry
    for kind, expected in ((KINDS[0], 2), (KINDS[1], 0)):
        labels = {"environment": "test", "provider": WALLET, "kind": kind}
        assert registry.get_sample_value("croupier_reconciliation_breaks", labels) == expected
    assert registry.get_sample_value("croupier_wallet_agreement_age_seconds", {"environment": "test"}) == 90


def test_the_alerts_read_what_is_exposed_and_have_their_pages() -> None:
    exposed = generate_latest(told().registry).decode()
    for name in re.findall(r"croupier_\w+", RULES):
        assert f"\n{name}{{" in exposed, name
    assert re.findall(r"alert: (\w+)", RULES) == ["WalletAgreementLate", "WalletDisagrees"]
    for alert in re.findall(r"alert: (\w+)", RULES):
        assert f"runbook: docs/runbooks/{alert}.md" in RULES
        page = (ROOT / f"docs/runbooks/{alert}.md").read_text()
        assert page.startswith(f"# {alert}\n")
        for part in ("Meaning", "Impact", "Check", "Act", "Escalate", "Replay"):
            assert f"**{part}.**" in page, (alert, part)


def test_every_kind_is_explained_in_the_runbook() -> None:
    page = (ROOT / "docs/runbooks/WalletDisagrees.md").read_text()
    for kind in KINDS:
        assert f"`{kind}`" in page, kind
