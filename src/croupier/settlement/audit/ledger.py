"""The ledger proven as a whole: one snapshot, every check of I1, I2, webhooks (I4), the history's shape (I5) and the
due times of sessions (I10).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal

import asyncpg
from msgspec import Struct

from croupier.runtime.statements import Statement, load_statements
from croupier.settlement.audit.snapshot import one_snapshot
from croupier.settlement.audit.totals import LedgerTotals, load_ledger_totals

MOST_OFFENDERS: Final = 20

_STATEMENTS: Final = load_statements("croupier/settlement/audit/ledger.sql")

CHECKS: Final[dict[str, str]] = {
    "entries_sum_to_zero": "I1",
    "entries_have_postings": "I1",
    "ledger_sums_to_zero": "I1",
    "balances_equal_postings": "I1",
    "wallets_are_never_negative": "I1",
    "balance_chains_are_unbroken": "I1",
    "finished_sessions_hold_no_clearing": "I1",
    "session_books_equal_postings": "I1",
    "provider_shares_follow_the_contract": "I1",
    "references_move_money_once": "I2",
    "references_and_entries_agree": "I2",
    "effects_equal_references": "I2",
    "rollbacks_mirror_once": "I2",
    "rounds_equal_references": "I2",
    "open_rounds_are_counted": "I5",
    "histories_have_no_gaps": "I5",
    "histories_name_their_entries": "I5",
    "deliveries_are_accounted_for": "I4",
    "mirrors_follow_wallet_calls": "I6",
    "open_wallet_calls_have_somebody": "I10",
    "unfinished_sessions_have_a_timer": "I10",
}
"""Every check by name, which is also its statement's, and the invariant it belongs to."""

Status = Literal["held", "broken"]


class CheckResult(Struct, frozen=True):
    """One check: what it claims, how many break it, and the first of them in words."""

    name: str
    invariant: str
    claim: str
    status: Status
    count: int
    offenders: tuple[str, ...]


class LedgerReport(Struct, frozen=True):
    """Every check as of one moment, with the totals of that moment."""

    checked_at: datetime
    checks: tuple[CheckResult, ...]
    totals: LedgerTotals

    @property
    def is_held(self) -> bool:
        """Whether no check is broken."""
        return all(check.status == "held" for check in self.checks)

    def invariants(self) -> dict[str, str]:
        """`held` or `broken: why` by invariant."""
        verdicts: dict[str, str] = {}
        for check in self.checks:
            verdict = verdicts.setdefault(check.invariant, "held")
            if verdict == "held" and check.status == "broken":
                verdicts[check.invariant] = f"broken: {check.name}: {check.offenders[0]}"
        return verdicts


async def check_ledger(
    connection: asyncpg.Connection, *, on_check: Callable[[str], None] = lambda _: None
) -> LedgerReport:
    """Run every check in one read-only snapshot; `on_check` hears the name of each before it runs.

    Raises asyncpg.PostgresError, such as UndefinedTableError when the schema is not there.
    """
    async with one_snapshot(connection):
        checked_at = await connection.fetchval("SELECT now()")
        checks = []
        for name, invariant in CHECKS.items():
            on_check(name)
            checks.append(await _check(connection, _STATEMENTS[name], invariant))
        return LedgerReport(checked_at, tuple(checks), await load_ledger_totals(connection))


async def _check(connection: asyncpg.Connection, statement: Statement, invariant: str) -> CheckResult:
    rows = await connection.fetch(statement.sql, MOST_OFFENDERS)
    return CheckResult(
        name=statement.name,
        invariant=invariant,
        claim=statement.purpose.partition(". ")[0].rstrip("."),
        status="broken" if rows else "held",
        count=rows[0]["found"] if rows else 0,
        offenders=tuple(row["explanation"] for row in rows),
    )
