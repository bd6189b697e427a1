"""The queue: taking deliveries under a lease, and telling what became of them, a set at a time.

Every step is one statement, so that a worker which stops in the middle holds nothing: no transaction waits for its
next word. What is told counts only while the lease that it was done under is the newest (`fence`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from msgspec import Struct

from croupier.ids import bucket_of
from croupier.inbox.process import Claimed, Finish, Park, PutBack, render_detail
from croupier.providers.verification import StoredDelivery
from croupier.runtime.statements import load_statements

_SQL: Final = load_statements("croupier/inbox/queue.sql")
_CLAIM: Final = _SQL["claim_deliveries"].sql
_FINISH: Final = _SQL["finish_deliveries"].sql

SUSPECT_AFTER: Final = 3
"""A delivery whose workers ended without a word so many times in a row is tried alone."""
LOOK_FURTHER: Final = 8
"""How many times the deliveries of a claim are looked at when the first ones are all held up."""


class Connection(Protocol):
    """The part of a database connection that the queue uses."""

    async def fetch(self, query: str, *args: Any) -> Any:
        """Run a statement and return its rows."""

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement without result."""


class Lease(Struct, frozen=True, kw_only=True):
    """How much is taken at once, and until when it is nobody else's.

    `is_thorough`: when the first deliveries are all held up by earlier ones, look at those behind them.
    """

    limit: int
    until: datetime
    is_thorough: bool = True


async def insert_turn(connection: Connection, provider: str) -> None:
    """Make sure that a provider's deliveries can be taken."""
    await connection.execute(_SQL["insert_turn"].sql, bucket_of(provider), provider)


async def load_due_providers(connection: Connection, now: datetime) -> list[str]:
    """Whose deliveries may be taken now."""
    return [row["provider"] for row in await connection.fetch(_SQL["load_due_providers"].sql, now)]


async def claim_deliveries(
    connection: Connection, provider: str, lease: Lease, now: datetime
) -> list[Claimed] | None:
    """Take deliveries of a provider, oldest first, and of each round only from its beginning.

    Empty when nothing is due, or all of it is held up by something earlier; None while another worker is taking.
    """
    rows = await connection.fetch(
        _CLAIM,
        bucket_of(provider),
        provider,
        now,
        lease.until,
        lease.limit,
        lease.limit * LOOK_FURTHER if lease.is_thorough else 0,
        SUSPECT_AFTER,
    )
    is_busy = len(rows) == 1 and rows[0]["id"] is None
    return None if is_busy else [_read_claimed(row) for row in rows]


def _read_claimed(row: Any) -> Claimed:
    (bucket, id_, fence, attempts, lost, order_key, received_at, first_failed_at, *rest) = row
    delivery_id, type_, path, body, body_digest, key_id, signed_at, correlation_id, trace_id = rest
    return Claimed(
        bucket=bucket,
        id=id_,
        fence=fence,
        attempts=attempts,
        lost=lost,
        order_key=order_key,
        received_at=received_at,
        first_failed_at=first_failed_at,
        type=type_,
        correlation_id=correlation_id,
        trace_id=trace_id,
        stored=StoredDelivery(
            delivery_id=delivery_id,
            path=path,
            body=body,
            body_digest=body_digest,
            key_id=key_id,
            signed_at_s=int(signed_at.timestamp()),
            received_at=received_at,
        ),
    )


async def finish_deliveries(
    connection: Connection, ends: Sequence[tuple[Claimed, Finish]], now: datetime
) -> int:
    """Keep results and take their deliveries off the queue; returns how many were still this worker's."""
    if not ends:
        return 0
    ordered = sorted(ends, key=_place)
    said = [end for _, end in ordered]
    status = await connection.execute(
        _FINISH,
        *_keys(ordered),
        [end.result for end in said],
        [end.code for end in said],
        [_detail(end.detail) for end in said],
        [end.journal_id for end in said],
        [end.asset for end in said],
        [_moved(claimed, end) for claimed, end in ordered],
        now,
    )
    return _count(status)


async def put_back_deliveries(
    connection: Connection, ends: Sequence[tuple[Claimed, PutBack]], now: datetime
) -> int:
    """Leave deliveries for later; returns how many were still this worker's."""
    if not ends:
        return 0
    ordered = sorted(ends, key=_place)
    said = [end for _, end in ordered]
    status = await connection.execute(
        _SQL["put_back_deliveries"].sql,
        *_keys(ordered),
        [end.at for end in said],
        [end.attempts for end in said],
        [end.is_waiting for end in said],
        [end.cause for end in said],
        now,
        [_detail(end.detail) for end in said],
    )
    return _count(status)


async def park_deliveries(connection: Connection, ends: Sequence[tuple[Claimed, Park]], now: datetime) -> int:
    """Make dead letters of deliveries; returns how many were still this worker's."""
    if not ends:
        return 0
    ordered = sorted(ends, key=_place)
    said = [end for _, end in ordered]
    status = await connection.execute(
        _SQL["park_deliveries"].sql,
        *_keys(ordered),
        [end.cause for end in said],
        [render_detail(end.detail) for end in said],
        [end.attempts for end in said],
        now,
    )
    return _count(status)


def _moved(claimed: Claimed, end: Finish) -> int | None:
    """What was moved; None where only the ledger knows.

    A decision may be the redo of another worker's, or of its own lane's whose commit was not answered: then it is read
    from its reference, which does not say.
    """
    is_redo = claimed.fence > 1 or end.moved == 0
    return None if is_redo and end.journal_id is not None else end.moved


def _place(pair: tuple[Claimed, Any]) -> Any:
    """The order in which claims lock rows too, so that nobody waits in a ring."""
    return pair[0].id


def _keys(pairs: Sequence[tuple[Claimed, Any]]) -> tuple[list[int], list[Any], list[int]]:
    return (
        [claimed.bucket for claimed, _ in pairs],
        [claimed.id for claimed, _ in pairs],
        [claimed.fence for claimed, _ in pairs],
    )


def _detail(text: str | None) -> str | None:
    return None if text is None else render_detail(text)


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


class ProviderLevel(Struct, frozen=True, kw_only=True):
    """What there is of one provider: queued (`waiting` of them for their cause), dead, and how fast it drains.

    `oldest_at` is when the oldest came that waits for nothing but its turn.
    """

    provider: str
    depth: int
    waiting: int
    dead: int
    oldest_at: datetime | None
    drained_per_min: int
    measured_at: datetime

    def lag_s(self, now: datetime) -> float:
        """For how long the oldest has been waiting for its turn, in seconds."""
        return 0.0 if self.oldest_at is None else max(0.0, (now - self.oldest_at).total_seconds())


RATE_SPAN: Final = timedelta(seconds=10)
EVERYBODY: Final = ""
"""The turn of whoever measures."""


async def measure_levels(connection: Connection, now: datetime, pause: timedelta) -> list[ProviderLevel]:
    """Measure every provider and keep it for all to read; nothing when that was done less than a pause ago."""
    rows = await connection.fetch(
        _SQL["measure_levels"].sql,
        bucket_of(EVERYBODY),
        now,
        now - pause,
        now + pause,
        now - RATE_SPAN,
        timedelta(minutes=1) // RATE_SPAN,
    )
    return [ProviderLevel(**row) for row in rows]


async def load_levels(connection: Connection) -> list[ProviderLevel]:
    """Every provider's level as it was measured last, by whomever."""
    return [ProviderLevel(**row) for row in await connection.fetch(_SQL["load_levels"].sql)]
