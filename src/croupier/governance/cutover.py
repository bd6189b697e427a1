"""Cut-over records: what was found of an adapter, and who signed that an account on it may take players.

A record counts for one state of the adapter's code. Whoever changes a line of it asks everybody anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import asyncpg
from msgspec import Struct

from croupier.governance.audit import Entry, insert_record
from croupier.ids import IdSource, bucket_of
from croupier.runtime.statements import load_statements

_SQL: Final = {name: one.sql for name, one in load_statements("croupier/governance/cutover.sql").items()}


class Step(StrEnum):
    """What is recorded: how the contract suite ended, of an adapter; who signed, of an account."""

    CONTRACT_SUITE = "contract_suite"
    FINANCE = "finance"
    SUPPORT = "support"


SIGNERS: Final = (Step.FINANCE, Step.SUPPORT)
"""The roles whose word is needed. A key has one role, so these are two keys."""


class CutoverRecord(Struct, frozen=True, kw_only=True):
    """One record. `subject` is an adapter or a provider account, `digest` the state of the adapter's code."""

    subject: str
    step: Step
    digest: str
    is_good: bool
    detail: str
    actor: str
    reason: str
    at: datetime


async def keep_record(connection: asyncpg.Connection, record: CutoverRecord, ids: IdSource) -> None:
    """Write a record and its line of the audit log, in a transaction of their own."""
    bucket = bucket_of(record.subject)
    async with connection.transaction():
        await connection.execute(
            _SQL["insert_record"],
            bucket,
            ids.new(bucket),
            record.subject,
            record.step.value,
            record.digest,
            record.is_good,
            record.detail,
            record.actor,
            record.reason,
            record.at,
        )
        entry = Entry(
            actor=record.actor,
            action=f"cutover.{record.step.value}",
            subject=f"cutover:{record.subject}",
            reason=record.reason,
            details={"digest": record.digest, "is_good": record.is_good, "detail": record.detail},
        )
        await insert_record(connection, entry, record.at)


async def load_latest(connection: Any, subject: str, digest: str) -> Mapping[Step, CutoverRecord]:
    """The newest record of each step of an adapter or account, in one state of the code."""
    rows = await connection.fetch(_SQL["load_latest"], bucket_of(subject), subject, digest)
    found = [CutoverRecord(subject=subject, **{**dict(row), "step": Step(row["step"])}) for row in rows]
    return {record.step: record for record in found}
