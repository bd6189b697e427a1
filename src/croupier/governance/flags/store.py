"""Flags in the database: one row a target, changed under its lock, with history and audit beside it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.governance.audit import Entry, insert_record
from croupier.governance.flags.history import Cause, Change, find_last
from croupier.governance.flags.known import FLAGS
from croupier.governance.flags.rules import Rule, Target
from croupier.governance.flags.shares import render_share
from croupier.ids import IdSource
from croupier.runtime.statements import load_statements

MOST_UNDONE: Final = 1000
"""How many changes of a target a rollback looks through."""

_SQL: Final = {name: one.sql for name, one in load_statements("croupier/governance/flags/store.sql").items()}


class Act(Struct, frozen=True, kw_only=True):
    """Who changes a flag, when, and why."""

    ids: IdSource
    now: datetime
    actor: str
    reason: str
    cause: Cause = Cause.MANUAL


class Changed(Struct, frozen=True):
    """A rule before and after; the same twice when there was nothing to change."""

    before: Rule
    after: Rule

    @property
    def is_new(self) -> bool:
        return self.before != self.after


class FlagConflict(Exception):
    """The rule is not the one that the change was decided on; `rule` is what it is now."""

    def __init__(self, rule: Rule, expected: int) -> None:
        what = f"{rule.target} is {render_share(rule.share_bps)} (version {rule.version})"
        super().__init__(f"{what}, not what it was at version {expected}: somebody was faster, look again")
        self.rule = rule


class RollbackRefused(Exception):
    """There is nothing to take back, or taking it back would do what only a deliberate change may."""


async def load_rules(connection: Any) -> list[Rule]:
    """What is said of every target."""
    return [_read_rule(row) for row in await connection.fetch(_SQL["load_rules"])]


async def load_changes(connection: Any, flag: str | None, provider: str | None, limit: int) -> list[Change]:
    """The newest changes: of all flags, of one flag, or of what names a provider."""
    return [_read_change(row) for row in await connection.fetch(_SQL["load_changes"], flag, provider, limit)]


async def change_rule(
    connection: asyncpg.Connection,
    target: Target,
    share_bps: int | None,
    act: Act,
    *,
    expected: int | None = None,
) -> Changed:
    """Say something else of a target, in a transaction of its own.

    Raises FlagConflict when the rule is not at the version that is expected, ValueError for a flag nobody knows.
    """
    async with connection.transaction():
        before = await lock_rule(connection, target, act.now)
        if expected is not None and before.version != expected:
            raise FlagConflict(before, expected)
        return await write_rule(connection, before, share_bps, act)


async def roll_back(connection: asyncpg.Connection, target: Target, act: Act) -> Changed:
    """Take the last change of a target back that is still in effect, in a transaction of its own.

    Raises RollbackRefused, and ValueError for a flag nobody knows.
    """
    async with connection.transaction():
        before = await lock_rule(connection, target, act.now)
        rows = await connection.fetch(_SQL["load_changes_of"], *_key(target), MOST_UNDONE)
        last = find_last(map(_read_change, rows))
        if last is None:
            raise RollbackRefused(f"{target}: no change of it is in effect")
        flag = FLAGS[target.flag]
        is_upwards = (last.from_bps or 0) > (before.share_bps or 0)
        if is_upwards and not flag.may_undo_upwards:
            was = f"{render_share(last.from_bps)} to {render_share(last.to_bps)}"
            raise RollbackRefused(
                f"{target} went from {was} ({last.actor}: {last.reason}); a rollback never sends more players there: "
                f"use `croupier flags set`"
            )
        return await write_rule(connection, before, last.from_bps, act, undoes=last.version)


async def lock_rule(connection: asyncpg.Connection, target: Target, now: datetime) -> Rule:
    """A target, held until the transaction ends; it is made if it is not there."""
    if target.flag not in FLAGS:
        raise ValueError(f"no flag is called {target.flag}")
    row = await connection.fetchrow(_SQL["lock_rule"], *_key(target))
    if row is None:
        await connection.execute(_SQL["insert_rule"], *_key(target), now)
        row = await connection.fetchrow(_SQL["lock_rule"], *_key(target))
    return _read_rule(row)


async def write_rule(
    connection: asyncpg.Connection,
    before: Rule,
    share_bps: int | None,
    act: Act,
    *,
    undoes: int | None = None,
) -> Changed:
    """Say something else of a target that is held, with history and audit; nothing happens if it is so already."""
    if before.share_bps == share_bps:
        return Changed(before, before)
    target = before.target
    after = Rule(target=target, share_bps=share_bps, version=before.version + 1, since=act.now)
    await connection.execute(_SQL["write_rule"], *_key(target), share_bps, after.version, act.now)
    line = (after.version, act.now, before.share_bps, share_bps, act.cause.value, undoes)
    await connection.execute(
        _SQL["insert_change"], *_key(target), _new_id(act, target), *line, act.actor, act.reason
    )
    record = Entry(
        actor=act.actor,
        action=f"flag.{act.cause.value}",
        subject=f"flag:{target}",
        reason=act.reason,
        details={
            "from_bps": before.share_bps,
            "to_bps": share_bps,
            "version": after.version,
            "undoes": undoes,
        },
    )
    await insert_record(connection, record, act.now)
    return Changed(before, after)


async def insert_event(
    connection: asyncpg.Connection, bucket: int, type_: str, payload: str, act: Act
) -> None:
    """Tell the operator, within the transaction of what is told."""
    await connection.execute(_SQL["insert_event"], bucket, act.ids.new(bucket), type_, payload, act.now)


def in_order(rules: Iterable[Rule]) -> list[Rule]:
    """The order in which several rules are locked, so that nobody waits in a circle."""
    return sorted(rules, key=lambda rule: rule.target)


def _new_id(act: Act, target: Target) -> UUID:
    return act.ids.new(target.bucket)


def _key(target: Target) -> tuple[int, str, str, str, str, str]:
    return target.bucket, target.flag, target.jurisdiction, target.game, target.game_group, target.provider


def _read_target(row: Any) -> Target:
    names = ("flag", "jurisdiction", "game", "game_group", "provider")
    return Target(**{name: row[name] for name in names})


def _read_rule(row: Any) -> Rule:
    return Rule(
        target=_read_target(row), share_bps=row["share_bps"], version=row["version"], since=row["since"]
    )


def _read_change(row: Any) -> Change:
    names = ("version", "at", "from_bps", "to_bps", "undoes", "actor", "reason")
    fields = {name: row[name] for name in names}
    return Change(target=_read_target(row), cause=Cause(row["cause"]), **fields)
