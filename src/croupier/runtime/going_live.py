"""What must be so before players go to an account that takes over: every check there is, in one list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import asyncpg

from croupier.governance.flags.halt import load_turn
from croupier.runtime.config import Config, ContractBook

UNGUARDED_AFTER: Final = timedelta(minutes=1)
"""A turn of the guards that is overdue for longer means that nobody judges rollouts."""

GoLiveCheck: TypeAlias = Callable[[Config, asyncpg.Connection, str, datetime], Awaitable[list[str]]]
"""What an account lacks, in words; empty when it lacks nothing. It reads and changes nothing."""


async def find_missing(
    config: Config, connection: asyncpg.Connection, successor: str, now: datetime
) -> list[str]:
    """Everything that an account lacks before a share of players may go to it; empty when it may go live."""
    return [what for check in CHECKS for what in await check(config, connection, successor, now)]


async def find_contract_gaps(
    config: Config, connection: asyncpg.Connection, successor: str, now: datetime
) -> list[str]:
    """What contracts in force cover at the account that is replaced, and none at its successor."""
    replaced = {one.id: one.replaces for one in config.providers}[successor]
    book = ContractBook(config.contracts)
    scopes = sorted({
        (one.game_group, one.asset)
        for one in config.contracts
        if one.provider == replaced and one.starts_at <= now
    })  # fmt: skip
    return [
        f"no contract with {successor} covers game group {group} in {asset} now"
        for group, asset in scopes
        if book.select(successor, group, asset, now) is None
    ]


async def find_lost_guards(
    config: Config, connection: asyncpg.Connection, successor: str, now: datetime
) -> list[str]:
    """Whether any background process judges rollouts."""
    due_at = await load_turn(connection)
    if due_at is not None and now - due_at < UNGUARDED_AFTER:
        return []
    return ["no background process guards rollouts: start `croupier serve` or `croupier work`"]


CHECKS: Final[tuple[GoLiveCheck, ...]] = (find_contract_gaps, find_lost_guards)
"""Asked in this order. A checklist for cut-overs is one more of them."""
