"""Webhooks that were turned away, kept so that a partner's set-up can be debugged, at no cost to those that are not.

They are noted in memory, a few of each provider, and written by a task of their own; what is too much is counted and
forgotten. The newest of each provider stay in the database (`trim_refused`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg
import structlog
from msgspec import Struct

from croupier.errors import CroupierError
from croupier.ids import IdSource, bucket_of
from croupier.inbox.deliveries import text_of
from croupier.inbox.redaction import MAX_SHOWN, find_delivery_id, mask_body, render_kept_headers
from croupier.moneypath.faults import UNREACHABLE, Fault, classify
from croupier.providers.arrival import Head
from croupier.runtime.statements import load_statements
from croupier_signing import payload_digest

WRITE_S: Final = 1.0
ANSWER_S: Final = 5.0
DRAIN_S: Final = 2.0
MOST_WAITING: Final = 64
"""How many refusals of one provider wait to be written: about so many a second are kept."""

_log = structlog.get_logger("croupier.inbox")
_SQL: Final = load_statements("croupier/inbox/intake.sql")


class Refused(Struct, frozen=True, gc=False):
    """One row of `refused_delivery`, already redacted; `body_bytes` is None when the body was not read."""

    bucket: int
    id: UUID
    provider: str
    delivery_id: str | None
    code: str
    reason: str | None
    detail: str
    status: int
    path: str
    headers: str
    body_bytes: int | None
    body_digest: str | None
    body_excerpt: str | None
    received_at: datetime


class Executor(Protocol):
    """The part of a pool or connection that writes."""

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement without result."""


class Refusals:
    """Takes refusals in and writes them about once a second."""

    def __init__(
        self,
        pool: Executor,
        ids: IdSource,
        *,
        observe_dropped: Callable[[str], None] = lambda _: None,
        write_s: float = WRITE_S,
    ) -> None:
        self._pool = pool
        self._ids = ids
        self._observe_dropped = observe_dropped
        self._write_s = write_s
        self._waiting: dict[str, list[Refused]] = {}
        self._is_lost = False

    def note(
        self, provider: str, head: Head, body: bytes | None, error: CroupierError, received_at: datetime
    ) -> None:
        """Keep what may be kept of a webhook that a configured provider's address refused."""
        waiting = self._waiting.setdefault(provider, [])
        if len(waiting) >= MOST_WAITING:
            self._observe_dropped(provider)
            return
        bucket = bucket_of(provider)
        waiting.append(
            Refused(
                bucket=bucket,
                id=self._ids.new(bucket),
                provider=provider,
                delivery_id=find_delivery_id(head.headers),
                code=error.kind.code,
                reason=error.reason,
                detail=error.detail[:MAX_SHOWN].replace("\0", "\ufffd"),
                status=error.kind.status,
                path=text_of(head.path[:MAX_SHOWN]),
                headers=render_kept_headers(head.headers),
                body_bytes=None if body is None else len(body),
                body_digest=None if body is None else payload_digest(body),
                body_excerpt=None if body is None else mask_body(body),
                received_at=received_at,
            )
        )

    async def run(self) -> None:
        """Write until cancelled; while the database is away, what waits goes on waiting."""
        while True:
            await asyncio.sleep(self._write_s)
            await self.write()

    async def drain(self) -> None:
        """Write what waits, if the database takes it at once."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self.write()

    async def write(self) -> None:
        """Write what waits now; what the database will never take is forgotten."""
        batch = [refused for waiting in self._waiting.values() for refused in waiting]
        if not batch:
            return
        try:
            async with asyncio.timeout(ANSWER_S):
                await insert_refused(self._pool, batch)
        except (asyncpg.PostgresError, *UNREACHABLE) as error:
            if not self._is_lost:
                _log.warning("refusals_not_written", size=len(batch), error=repr(error))
            self._is_lost = classify(error) is Fault.LOST
            if self._is_lost:
                return
        else:
            self._is_lost = False
        done = Counter(refused.provider for refused in batch)
        for provider, count in done.items():
            del self._waiting[provider][:count]


async def insert_refused(pool: Executor, batch: list[Refused]) -> None:
    """Write refusals in one statement; those that are there already stay."""
    columns = [[getattr(refused, field) for refused in batch] for field in Refused.__struct_fields__]
    await pool.execute(_SQL["insert_refused"].sql, *columns)


class Connection(Protocol):
    """The part of a database connection that trimming uses."""

    async def fetch(self, query: str, *args: Any) -> Any:
        """Run a statement and return its rows."""

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement without result."""


async def trim_refused(connection: Connection, keep: int) -> int:
    """Forget the refused webhooks of every provider beyond the newest `keep`; how many were forgotten."""
    forgotten = 0
    for row in await connection.fetch(_SQL["load_refused_providers"].sql):
        status = await connection.execute(_SQL["trim_refused"].sql, row["provider"], keep)
        forgotten += int(status.rpartition(" ")[2])
    return forgotten
