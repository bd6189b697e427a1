"""What becomes of breaks: a person resolves one, and a comparison that finds it again opens it again.

Neither moves money. Both are audited in their own transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.events import BREAK_OPENED, BreakOpened, render_event
from croupier.governance.audit import Entry, insert_record
from croupier.ids import BREAK, SESSION, WALLET_CALL, IdSource, bucket_of_id, parse_id, render_id
from croupier.moneypath.decide.wallet import UNSETTLED
from croupier.runtime.statements import load_statements
from croupier.settlement.agreement.records import UNSETTLED as MOVED_UNSETTLED
from croupier.wallet.calls import OPEN

_SQL: Final = load_statements("croupier/runtime/breaks.sql")

OURS: Final = "croupier"
UNTIL_SETTLED: Final = frozenset({UNSETTLED, MOVED_UNSETTLED})
"""Kinds that say that a wallet call is open: nobody would be told of it a second time."""


class BreakStays(Exception):
    """The break cannot be resolved; the text says why and what would help."""


class Resolved(Struct, frozen=True, kw_only=True):
    """A break that a person has just resolved, and how long it had been open since."""

    id: UUID
    kind: str
    subject: str
    owner: str
    opened_at: datetime
    resolved_at: datetime


class Found(Struct, frozen=True, kw_only=True):
    """A finding as its break would be opened; `amount` in minor units, as text."""

    bucket: int
    provider: str
    kind: str
    subject: str
    asset: str
    amount: str
    explanation: str


async def resolve_break(
    connection: asyncpg.Connection, break_id: UUID, *, actor: str, reason: str, now: datetime
) -> Resolved:
    """Resolve an open break and remember who did and why, in one transaction of its own.

    Raises BreakStays for one that is not there, is resolved already, or is about a wallet call that is still open.
    """
    name, bucket = render_id(BREAK, break_id), bucket_of_id(break_id)
    async with connection.transaction():
        row = await connection.fetchrow(_SQL["lock_break"].sql, bucket, break_id)
        if row is None:
            raise BreakStays(
                f"no break is called {name}; `croupier reconcile breaks` lists those that are open"
            )
        if row["resolved_at"] is not None:
            raise BreakStays(
                f"{name} was resolved at {row['resolved_at']:%Y-%m-%dT%H:%M:%SZ} already: {row['resolution']}"
            )
        await _require_settled(connection, name, row)
        await connection.execute(_SQL["resolve_break"].sql, bucket, break_id, now, reason)
        details = {name: row[name] for name in ("kind", "subject", "owner", "provider", "asset", "amount")}
        entry = Entry(
            actor=actor, action="break.resolved", subject=f"break:{name}", reason=reason, details=details
        )
        await insert_record(connection, entry, now)
    return Resolved(
        id=break_id,
        kind=row["kind"],
        subject=row["subject"],
        owner=row["owner"],
        opened_at=row["opened_at"],
        resolved_at=now,
    )


async def _require_settled(connection: asyncpg.Connection, name: str, row: Mapping[str, Any]) -> None:
    if row["kind"] not in UNTIL_SETTLED:
        return
    call_id = parse_id(WALLET_CALL, row["subject"])
    state = await connection.fetchval(_SQL["load_call_state"].sql, bucket_of_id(call_id), call_id)
    if state in OPEN:
        raise BreakStays(
            f"{name} says that {row['subject']} is not settled, and it is {state} still: say what became of it with "
            f"`croupier wallet settle {row['subject']}` first"
        )


async def reopen_breaks(
    pool: asyncpg.Pool, found: Sequence[Found], *, ids: IdSource, found_at: datetime
) -> int:
    """Open those of the findings again that a person had resolved before they were found; how many.

    Each is what is found now, and says what had been said of it; it is audited and told like one that is new.
    """
    async with pool.acquire() as connection, connection.transaction():
        columns = [
            [getattr(one, name) for one in found] for name in ("bucket", "provider", "kind", "subject")
        ]
        rows = await connection.fetch(_SQL["lock_resolved"].sql, *columns, found_at)
        for row in rows:
            await _reopen(connection, found[row["place"] - 1], row, ids=ids, now=found_at)
    return len(rows)


async def _reopen(
    connection: asyncpg.Connection, found: Found, row: Mapping[str, Any], *, ids: IdSource, now: datetime
) -> None:
    name = render_id(BREAK, row["id"])
    explanation = (
        f"{found.explanation}; found again at {now:%Y-%m-%dT%H:%M:%SZ}, after it had been resolved at "
        f"{row['resolved_at']:%Y-%m-%dT%H:%M:%SZ}: {row['resolution']}"
    )
    await connection.execute(
        _SQL["reopen_break"].sql, row["bucket"], row["id"], found.asset, found.amount, explanation
    )
    told = BreakOpened(
        break_id=name,
        kind=found.kind,
        subject=found.subject,
        owner=row["owner"],
        provider=found.provider,
        player_id=row["player_id"] or None,
        session_id=None if row["session_id"] is None else render_id(SESSION, row["session_id"]),
        round_id=row["provider_round_id"],
        asset=found.asset,
        amount=found.amount,
        explanation=explanation,
        opened_at=row["opened_at"],
        correlation_id=None,
    )
    await connection.execute(
        _SQL["insert_event"].sql,
        row["bucket"],
        ids.new(row["bucket"]),
        BREAK_OPENED,
        row["session_id"],
        row["player_id"] or None,
        render_event(BREAK_OPENED, now, told),
        now,
    )
    entry = Entry(
        actor=OURS,
        action="break.reopened",
        subject=f"break:{name}",
        reason="a later comparison found it again",
        details={"kind": found.kind, "subject": found.subject, "resolution": row["resolution"]},
    )
    await insert_record(connection, entry, now)
