"""Changing flags in tests, on a database that has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from croupier.governance.cutover import SIGNERS, CutoverRecord, Step, keep_record
from croupier.governance.flags.history import Cause
from croupier.governance.flags.rules import Target
from croupier.governance.flags.store import Act, Changed, change_rule, roll_back
from croupier.ids import IdSource
from croupier.runtime.database import connect_app
from croupier.runtime.going_live import adapter_digest

NEW = "studio_v2"
"""The account that takes over from the studio's."""
ROLLOUT = Target(flag="rollout", provider=NEW)

_IDS = IdSource()


def act(reason: str = "ticket 1", **fields: Any) -> Act:
    """A person's act, now."""
    return Act(**({"ids": _IDS, "now": datetime.now(UTC), "actor": "cli:ann", "reason": reason} | fields))


async def set_flag(url: str, target: Target, share_bps: int | None, **fields: Any) -> Changed:
    """Say something else of a target."""
    connection = await connect_app(url)
    try:
        return await set_on(connection, target, share_bps, **fields)
    finally:
        await connection.close()


async def set_on(
    connection: asyncpg.Connection, target: Target, share_bps: int | None, **fields: Any
) -> Changed:
    """The same on a connection that is there."""
    expected = fields.pop("expected", None)
    return await change_rule(connection, target, share_bps, act(**fields), expected=expected)


async def keep(url: str, subject: str, step: Step, *, digest: str, is_good: bool = True) -> None:
    """A record of a cut-over."""
    record = CutoverRecord(
        subject=subject,
        step=step,
        digest=digest,
        is_good=is_good,
        detail="",
        actor="key:somebody",
        reason="ticket 1",
        at=datetime.now(UTC),
    )
    connection = await connect_app(url)
    try:
        await keep_record(connection, record, _IDS)
    finally:
        await connection.close()


async def let_go_live(url: str, account: str, adapter: str = "croupier_v1") -> None:
    """Everything that people and the contract suite say before an account takes over."""
    digest = adapter_digest(adapter)
    await keep(url, adapter, Step.CONTRACT_SUITE, digest=digest)
    for step in SIGNERS:
        await keep(url, account, step, digest=digest)


async def take_back(connection: asyncpg.Connection, target: Target) -> Changed:
    """Roll a target back."""
    return await roll_back(connection, target, act("it was wrong", cause=Cause.ROLLBACK))
