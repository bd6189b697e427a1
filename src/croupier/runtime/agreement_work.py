"""Agreement at work: every hour is compared with the operator's wallet, and every difference becomes somebody's.

Any number of processes may do it, on any number of hosts; one at a time has a window. Whatever is found is opened as a
break at once and once only, so that a window which is begun again finds its breaks open. What was resolved before it
was found is opened again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import asyncpg
import msgspec
import structlog
from msgspec import Struct, structs

from croupier.errors import CroupierError
from croupier.ids import REQUEST, IdSource, bucket_of, render_id
from croupier.moneypath.commands import OPERATOR, Call, Report
from croupier.moneypath.outcomes import Outcome
from croupier.operator.wallet.replies import Movement
from croupier.operator.wallet.sender import StatementUnreadable
from croupier.runtime.breaks import Found, reopen_breaks
from croupier.runtime.statements import load_statements
from croupier.settlement.agreement import KINDS, SKEW, Agreement, Difference, Listed, Window, compare_window
from croupier.settlement.agreement.sides import DatabaseSides
from croupier.settlement.agreement.windows import SLICE_CALLS, LoadStatement
from croupier.telemetry.agreement_metrics import AgreementMetrics

_log = structlog.get_logger("croupier.agreement")
_SQL: Final = load_statements("croupier/runtime/agreement_work.sql")

Submit = Callable[[Call], Awaitable[tuple[Outcome, ...]]]

HOUR: Final = timedelta(hours=1)
"""How long a window is."""
MARGIN: Final = 2 * SKEW
"""How long a window rests before it is compared, so that all of it is written down on both sides."""
LOOK_S: Final = 30.0
"""How often a process looks whether a window is to be compared."""
LEASE: Final = timedelta(minutes=10)
"""How long a process that compares is waited for; it goes on holding its window with every slice."""
BREAK_BATCH: Final = 200
"""Most breaks opened at once."""
OURS: Final = "croupier"

AWAY: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
    CroupierError,
    StatementUnreadable,
)


class StatementPort(Protocol):
    """The operator's wallet as it is compared."""

    async def load_statement(
        self, *, starts_at: datetime, ends_at: datetime
    ) -> AsyncIterator[tuple[Movement, ...]]:
        """What was moved in a period, a page at a time, in the order of time."""
        yield ()  # By its body it is a generator, and no coroutine that makes one.


class AgreementParts(Struct, frozen=True, kw_only=True):
    """What a comparison needs: connections, the wallet, who opens breaks, ids, the clock, and whose the breaks are.

    `deadline` is how old an open call is when it is a person's: what is younger is left alone.
    """

    pool: asyncpg.Pool
    wallet: StatementPort
    submit: Submit
    ids: IdSource
    now: Callable[[], datetime]
    owner: str
    deadline: timedelta
    slice_calls: int = SLICE_CALLS


async def keep_agreement(
    parts: AgreementParts, metrics: AgreementMetrics, stop: asyncio.Event, *, look_s: float = LOOK_S
) -> None:
    """Compare every window once it is over, until told to stop. What is away is tried again next time."""
    while not stop.is_set():
        try:
            while not stop.is_set() and await compare_next(parts) is not None:
                await tell_levels(parts, metrics)
            await tell_levels(parts, metrics)
        except AWAY as error:
            _log.warning("agreement_not_checked", error=repr(error))
        try:
            await asyncio.wait_for(stop.wait(), look_s)
        except TimeoutError:
            continue


async def compare_next(parts: AgreementParts) -> Agreement | None:
    """Compare the next window if it is over and nobody else does; what was found, without its differences.

    The window is given back when the wallet's side cannot be had (StatementUnreadable) or a break cannot be opened
    (CroupierError), and when whoever compares is told to end.
    """
    now = parts.now()
    start: datetime | None = await parts.pool.fetchval(_SQL["next_start"].sql)
    if start is None or start + HOUR > now - parts.deadline - MARGIN:
        return None
    taken = _Taken(parts, start, now + LEASE)
    ends_at = await parts.pool.fetchval(_SQL["take_window"].sql, start, start + HOUR, taken.lease, now)
    if ends_at is None:
        return None
    try:
        return await taken.compare(Window(start, ends_at))
    except (StatementUnreadable, CroupierError, asyncio.CancelledError):
        await taken.hold_until(parts.now())
        raise


class _Taken:
    """A window that is ours until its lease ends; the lease itself says whose it is."""

    def __init__(self, parts: AgreementParts, start: datetime, lease: datetime) -> None:
        self._parts = parts
        self._start = start
        self.lease = lease

    async def hold_until(self, lease: datetime) -> bool:
        """Hold it for so long; false when somebody else has taken it."""
        sql = _SQL["hold_window"].sql
        is_ours = await self._parts.pool.fetchval(sql, self._start, self.lease, lease)
        self.lease = lease
        return bool(is_ours)

    async def compare(self, window: Window) -> Agreement | None:
        """Open what is found and write down how it went; None when somebody else has taken the window."""
        parts, total, reopened = self._parts, Agreement(), 0
        async for found in compare_period(parts, window):
            reopened += await open_breaks(parts, found.differences)
            total.take_in(found)
            is_short = self.lease - parts.now() < LEASE / 2
            if is_short and not await self.hold_until(parts.now() + LEASE):
                return None
        if not await self._finish(total):
            return None
        _log.info(
            "wallet_compared",
            starts_at=window.starts_at.isoformat(),
            calls=total.calls,
            movements=total.movements,
            differences=total.found,
            breaks_reopened=reopened,
        )
        return total

    async def _finish(self, total: Agreement) -> bool:
        finished = await self._parts.pool.fetchval(
            _SQL["finish_window"].sql,
            self._start,
            self.lease,
            total.calls,
            total.movements,
            total.agreed,
            total.found,
            msgspec.json.encode(total.kinds).decode(),
            msgspec.json.encode(render_sums(total)).decode(),
            self._parts.now(),
        )
        return bool(finished)


def compare_period(parts: AgreementParts, window: Window) -> AsyncIterator[Agreement]:
    """What is found in a period, part by part; it must be over since `MARGIN`."""
    sides = DatabaseSides(parts.pool)
    return compare_window(sides, statement_of(parts.wallet), window, parts.now, slice_calls=parts.slice_calls)


def hours_of(window: Window) -> list[Window]:
    """A period in pieces of at most an hour."""
    hours, start = [], window.starts_at
    while start < window.ends_at:
        end = min(start + HOUR, window.ends_at)
        hours.append(Window(start, end))
        start = end
    return hours


def statement_of(wallet: StatementPort) -> LoadStatement:
    """The wallet's statement as a comparison reads it."""

    async def load(window: Window) -> AsyncIterator[Sequence[Listed]]:
        async for page in wallet.load_statement(starts_at=window.starts_at, ends_at=window.ends_at):
            yield [_listed(one) for one in page]

    return load


def _listed(one: Movement) -> Listed:
    return Listed(
        reference=one.reference,
        operation=one.operation.value,
        player_id=one.player_id,
        asset=one.asset,
        amount=one.amount,
        change=one.change,
        recorded_at=one.recorded_at,
        wallet_reference=one.wallet_reference,
    )


async def open_breaks(parts: AgreementParts, differences: Sequence[Difference]) -> int:
    """Have a break opened for every difference, by the money path; one that is open already stays as it is.

    One that a person has resolved is opened again: the difference stands, or has come back. Returns how many were.
    """
    reopened = 0
    for place in range(0, len(differences), BREAK_BATCH):
        batch, found_at = differences[place : place + BREAK_BATCH], parts.now()
        found = [_found(one) for one in batch]
        reopened += await reopen_breaks(parts.pool, found, ids=parts.ids, found_at=found_at)
        await asyncio.gather(*(parts.submit(_report(one, parts)) for one in batch))
    return reopened


def _found(one: Difference) -> Found:
    """A difference as `_report` opens it."""
    return Found(
        bucket=bucket_of(one.player_id),
        provider=one.provider or OPERATOR,
        kind=one.kind,
        subject=one.subject,
        asset=one.asset,
        amount=str(one.amount),
        explanation=one.explanation,
    )


def _report(found: Difference, parts: AgreementParts) -> Call:
    bucket = bucket_of(found.player_id)
    request_id = parts.ids.new(bucket)
    report = Report(
        player_id=found.player_id,
        kind=found.kind,
        subject=found.subject,
        explanation=found.explanation,
        owner=parts.owner,
        session_id=found.session_id,
        round_id=found.round_id,
        asset=found.asset,
        amount=found.amount,
    )
    return Call(
        provider=found.provider or OPERATOR,
        player_id=found.player_id,
        bucket=bucket,
        request_id=request_id,
        correlation_id=render_id(REQUEST, request_id),
        actions=(report,),
        time_source=OURS,
    )


def render_sums(found: Agreement) -> dict[str, dict[str, str]]:
    """Sums by asset, minor units as text."""
    return {
        asset: {name: str(value) for name, value in structs.asdict(sums).items()}
        | {"difference": str(sums.difference)}
        for asset, sums in sorted(found.sums.items())
    }


async def tell_levels(parts: AgreementParts, metrics: AgreementMetrics) -> None:
    """Measure how far the wallet was compared, and what is open."""
    compared_until: datetime | None = await parts.pool.fetchval(_SQL["next_start"].sql)
    age_s = 0.0 if compared_until is None else (parts.now() - compared_until).total_seconds()
    metrics.note_age(max(0.0, age_s))
    rows: Sequence[Mapping[str, Any]] = await parts.pool.fetch(_SQL["count_breaks"].sql, list(KINDS))
    metrics.note_breaks(KINDS, {row["kind"]: row["breaks"] for row in rows})
