"""Halting a rollout: its account is looked at and judged, and its shares are set to nothing in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
from msgspec import Struct

from croupier.events import ROLLOUT_HALTED, RolloutHalted, render_event
from croupier.governance.flags.guard import GuardLimits, Halt, Observed, judge
from croupier.governance.flags.history import Cause
from croupier.governance.flags.known import ROLLOUT
from croupier.governance.flags.rules import Rule
from croupier.governance.flags.store import Act, in_order, insert_event, load_rules, lock_rule, write_rule
from croupier.ids import IdSource, bucket_of, first_id
from croupier.runtime.statements import load_statements

GUARD: Final = "guard"
"""Who halts a rollout when no person does."""
CLOCK_TURNS: Final = 6
"""How many turns a process's clock may be ahead before its turn is not waited for."""
MOST_LAUNCHES: Final = 10_000
"""Most launches of an account that one look counts, the newest."""
MOST_WAITING: Final = 1000
"""Most sessions of an account waiting for their settlement that one look counts, the oldest."""

_SQL: Final = {name: one.sql for name, one in load_statements("croupier/governance/flags/watch.sql").items()}


class Halted(Struct, frozen=True):
    """A rollout that was halted: the account whose shares were set to nothing, and why."""

    provider: str
    reason: str


async def take_turn(connection: Any, now: datetime, period_s: float) -> bool:
    """Whether it is for us to judge rollouts now; then it is nobody's again until the period is over."""
    due_at, absurd_at = (now + timedelta(seconds=period_s * turns) for turns in (1, CLOCK_TURNS))
    row = await connection.fetchrow(
        _SQL["take_turn"], bucket_of(ROLLOUT.name), ROLLOUT.name, now, due_at, absurd_at
    )
    return row is not None


async def load_turn(connection: Any) -> datetime | None:
    """When rollouts are judged next: long past where nobody judges them, None where nobody ever did."""
    due_at: datetime | None = await connection.fetchval(
        _SQL["load_turn"], bucket_of(ROLLOUT.name), ROLLOUT.name
    )
    return due_at


async def judge_rollouts(
    connection: asyncpg.Connection, limits: GuardLimits, ids: IdSource, now: datetime
) -> list[Halted]:
    """Look at every account that a share of players goes to, and halt what its guards do not let go on."""
    halted = []
    for provider, rules in _running(await load_rules(connection)).items():
        observed = await observe(connection, provider, min(rule.since for rule in rules), limits, now)
        verdict = judge(observed, limits)
        if verdict is not None and await _halt(connection, rules, verdict, observed, ids, now):
            halted.append(Halted(provider, verdict.reason))
    return halted


def _running(rules: Iterable[Rule]) -> Mapping[str, list[Rule]]:
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        if rule.target.flag == ROLLOUT.name and rule.share_bps:
            found.setdefault(rule.target.provider, []).append(rule)
    return found


async def observe(
    connection: Any, provider: str, since: datetime, limits: GuardLimits, now: datetime
) -> Observed:
    """What happened at an account since its share last changed, as the books have it."""
    begin = max(since, now - timedelta(seconds=limits.window_s))
    settled = now - timedelta(seconds=limits.launch_grace_s)
    launches = await connection.fetchrow(
        _SQL["count_launches"], provider, first_id(begin), settled, MOST_LAUNCHES
    )
    overdue = now - timedelta(seconds=limits.settlement_lag_s)
    # What waited before is given the whole time again, once the share has changed.
    late = 0
    if since < overdue:
        late = await connection.fetchval(_SQL["count_late"], provider, overdue, MOST_WAITING)
    mismatches = await connection.fetchval(_SQL["count_mismatches"], provider, first_id(since), since)
    held = await connection.fetchval(_SQL["is_held_back"], bucket_of(provider), provider)
    return Observed(
        launches=launches["launches"],
        failed=launches["failed"],
        late=late,
        mismatches=mismatches,
        is_held_back=held,
    )


async def _halt(
    connection: asyncpg.Connection,
    rules: Iterable[Rule],
    verdict: Halt,
    observed: Observed,
    ids: IdSource,
    now: datetime,
) -> bool:
    """Set the shares to nothing, except those that somebody has changed since they were looked at."""
    act = Act(ids=ids, now=now, actor=GUARD, reason=verdict.reason, cause=Cause.GUARD)
    stopped = []
    async with connection.transaction():
        for rule in in_order(rules):
            if (await lock_rule(connection, rule.target, now)).version == rule.version:
                await write_rule(connection, rule, 0, act)
                stopped.append(rule)
        if stopped:
            told = RolloutHalted(
                provider=stopped[0].target.provider,
                cause=verdict.reason,
                share_bps=max(rule.share_bps or 0 for rule in stopped),
                launches=observed.launches,
                failed=observed.failed,
                late_settlements=observed.late,
                mismatches=observed.mismatches,
                halted_at=now,
            )
            payload = render_event(ROLLOUT_HALTED, now, told)
            await insert_event(connection, bucket_of(told.provider), ROLLOUT_HALTED, payload, act)
    return bool(stopped)
