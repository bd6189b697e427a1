"""Breakers in the database: one row an endpoint, changed under its lock, with history, event and audit beside it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, assert_never

import asyncpg
import msgspec
from msgspec import Struct

from croupier.events import BREAKER_OPENED, BreakerOpened, render_event
from croupier.governance.audit import Entry, insert_record
from croupier.ids import IdSource, bucket_of
from croupier.providers.breakers.machine import Breaker, BreakerState, Cause, Counts, Slot, Step
from croupier.runtime.statements import load_statements

OURS: Final = "croupier"
"""Who changes a breaker when no person does."""

_SQL: Final = {
    name: one.sql for name, one in load_statements("croupier/providers/breakers/store.sql").items()
}
_READ_SLOTS: Final = msgspec.json.Decoder(list[tuple[int, int, int, int]])


LAUNCH: Final = "launch"
"""The operation that launches go by, to breakers and metrics."""


class Endpoint(Struct, frozen=True, order=True):
    """What a breaker is about: an operation at a provider account."""

    provider: str
    operation: str

    @property
    def bucket(self) -> int:
        return bucket_of(self.provider)

    def __str__(self) -> str:
        return f"{self.provider}:{self.operation}"


class Act(Struct, frozen=True, kw_only=True):
    """Who changes a breaker, when, and in words why, if a person does."""

    ids: IdSource
    now: datetime
    actor: str = OURS
    reason: str = ""


class Change(Struct, frozen=True, kw_only=True):
    """One line of a breaker's history, with the calls of its window at that time."""

    provider: str
    operation: str
    at: datetime
    from_state: str
    to_state: str
    cause: str
    actor: str
    reason: str
    ok: int
    failed: int
    slow: int
    retry_at: datetime | None


async def load_breakers(connection: Any) -> dict[Endpoint, Breaker]:
    """Every breaker as it stands."""
    rows = await connection.fetch(_SQL["load_breakers"])
    return {Endpoint(row["provider"], row["operation"]): _read(row) for row in rows}


async def load_changes(connection: Any, provider: str | None, limit: int) -> list[Change]:
    """The newest changes, of all breakers or of one provider's."""
    return [Change(**row) for row in await connection.fetch(_SQL["load_changes"], provider, limit)]


async def change_breaker(
    connection: asyncpg.Connection, endpoint: Endpoint, step: Callable[[Breaker], Step | None], act: Act
) -> Breaker:
    """Change a breaker in a transaction of its own; what it is afterwards, also when there was nothing to change.

    With a change of state go its line of history, its record of audit and, when it opens, its event.
    """
    async with connection.transaction():
        row = await connection.fetchrow(_SQL["lock_breaker"], *_key(endpoint))
        if row is None:
            await connection.execute(_SQL["insert_breaker"], *_key(endpoint), act.now)
            row = await connection.fetchrow(_SQL["lock_breaker"], *_key(endpoint))
        before = _read(row)
        taken = step(before)
        if taken is None or taken.breaker == before:
            return before
        await connection.execute(_SQL["write_breaker"], *_key(endpoint), *_values(taken.breaker))
        if taken.cause is not None:
            await _tell(connection, endpoint, before, taken, act)
        return taken.breaker


async def _tell(
    connection: asyncpg.Connection, endpoint: Endpoint, before: Breaker, step: Step, act: Act
) -> None:
    after, cause = step.breaker, step.cause
    assert cause is not None, "only changes are told"  # noqa: S101 (narrowing)
    # What was counted until now is what it changed for; closing has emptied the window already.
    counts = after.counts if after.slots else before.counts
    reason = act.reason or _reason(cause, counts)
    line = (act.now, before.state, after.state, cause, act.actor, reason)
    values = (counts.ok, counts.failed, counts.slow, after.retry_at)
    bucket = endpoint.bucket
    await connection.execute(
        _SQL["insert_change"],
        bucket,
        act.ids.new(bucket),
        endpoint.provider,
        endpoint.operation,
        *line,
        *values,
    )
    if cause is not Cause.PROBES_BEGAN:
        record = Entry(
            actor=act.actor,
            action=f"breaker.{after.state}",
            subject=f"breaker:{endpoint}",
            reason=reason,
            details={"cause": cause.value, "was": before.state.value},
        )
        await insert_record(connection, record, act.now)
    if after.state is BreakerState.OPEN:
        told = BreakerOpened(
            provider=endpoint.provider,
            operation=endpoint.operation,
            cause=reason,
            failures=counts.failed + counts.slow,
            opened_at=act.now,
            retry_at=after.retry_at,
        )
        payload = render_event(BREAKER_OPENED, act.now, told)
        await connection.execute(
            _SQL["insert_event"], bucket, act.ids.new(bucket), BREAKER_OPENED, payload, act.now
        )


def _reason(cause: Cause, counts: Counts) -> str:
    match cause:
        case Cause.FAILURES:
            return f"{counts.failed} of {counts.calls} calls failed"
        case Cause.SLOW_CALLS:
            return f"{counts.failed} of {counts.calls} calls failed and {counts.slow} were slow"
        case Cause.PROBE_FAILED:
            return "a probe failed"
        case Cause.PROBES_BEGAN:
            return "its time was over"
        case Cause.PROBES_PASSED:
            return "all probes succeeded"
        case Cause.BY_HAND:
            return "by hand"
        case _:
            assert_never(cause)


def _key(endpoint: Endpoint) -> tuple[int, str, str]:
    return endpoint.bucket, endpoint.provider, endpoint.operation


def _values(breaker: Breaker) -> tuple[Any, ...]:
    slots = [(slot.number, slot.counts.ok, slot.counts.failed, slot.counts.slow) for slot in breaker.slots]
    return (
        breaker.state.value,
        breaker.since,
        breaker.retry_at,
        breaker.openings,
        breaker.is_held,
        breaker.passed,
        list(breaker.probing_until),
        msgspec.json.encode(slots).decode(),
    )


def _read(row: Any) -> Breaker:
    return Breaker(
        state=BreakerState(row["state"]),
        since=row["since"],
        retry_at=row["retry_at"],
        openings=row["openings"],
        is_held=row["is_held"],
        passed=row["passed"],
        probing_until=tuple(row["probing_until"]),
        slots=tuple(
            Slot(number, Counts(ok, failed, slow))
            for number, ok, failed, slow in _READ_SLOTS.decode(row["slots"])
        ),
    )
