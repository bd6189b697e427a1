"""Changing flags in tests, on a database that has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg

from croupier.governance.flags.history import Cause
from croupier.governance.flags.rules import Target
from croupier.governance.flags.store import Act, Changed, change_rule, roll_back
from croupier.ids import IdSource
from croupier.runtime.database import connect_app

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


async def take_back(connection: asyncpg.Connection, target: Target) -> Changed:
    """Roll a target back."""
    return await roll_back(connection, target, act("it was wrong", cause=Cause.ROLLBACK))
