"""Audit: proofs over the whole database that books, references and histories agree (I1, I2, I5)."""

from croupier.settlement.audit.ledger import CheckResult, LedgerReport, check_ledger
from croupier.settlement.audit.replay import ReplayReport, replay_sessions
from croupier.settlement.audit.totals import LedgerTotals, load_ledger_totals

__all__ = [
    "CheckResult",
    "LedgerReport",
    "LedgerTotals",
    "ReplayReport",
    "check_ledger",
    "load_ledger_totals",
    "replay_sessions",
]
