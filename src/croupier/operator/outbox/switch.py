"""Switching an endpoint off, by a person or because it has failed for too long, and on again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

import asyncpg
import structlog

from croupier.errors import CroupierError
from croupier.events import ENDPOINT_DISABLED, EndpointDisabled, render_event
from croupier.governance.audit import Entry, insert_record
from croupier.ids import REQUEST, IdSource, bucket_of, render_id
from croupier.moneypath.commands import Call, Report
from croupier.runtime.statements import load_statements

_log = structlog.get_logger("croupier.outbox")
_SQL: Final = load_statements("croupier/operator/outbox/switch.sql")

Submit = Callable[[Call], Awaitable[Any]]

BREAK_KIND: Final = "endpoint_disabled"
OWNER: Final = "platform"
OURS: Final = "croupier"


async def switch_off(
    connection: asyncpg.Connection, endpoint: str, *, because: str, ids: IdSource, now: datetime
) -> bool:
    """Within the caller's transaction: no more attempts from now on, and the event that tells it.

    False when the endpoint was switched off before.
    """
    bucket = bucket_of(endpoint)
    row = await connection.fetchrow(_SQL["switch_off"].sql, bucket, endpoint, now, because)
    if row is None:
        return False
    told = EndpointDisabled(
        endpoint=endpoint,
        because=because,
        failing_since=row["failing_since"],
        last_error=row["last_error"],
        disabled_at=now,
    )
    payload = render_event(ENDPOINT_DISABLED, now, told)
    await connection.execute(
        _SQL["insert_event"].sql, bucket, ids.new(bucket), ENDPOINT_DISABLED, payload, now
    )
    return True


async def switch_on(connection: asyncpg.Connection, endpoint: str, *, reason: str, now: datetime) -> bool:
    """Within the caller's transaction: what waits is due again, and the break that was opened is resolved.

    False when the endpoint was not switched off.
    """
    bucket = bucket_of(endpoint)
    if not await connection.fetchval(_SQL["switch_on"].sql, bucket, endpoint):
        return False
    await connection.execute(
        _SQL["resolve_breaks"].sql, bucket, BREAK_KIND, now, reason, f"{_escaped(endpoint)}:%"
    )
    return True


def _escaped(text: str) -> str:
    return text.replace("_", r"\_")


async def load_waiting_count(connection: asyncpg.Connection, endpoint: str) -> int:
    """How many events wait for an endpoint."""
    return int(await connection.fetchval(_SQL["count_waiting"].sql, endpoint))


async def switch_off_failing(
    pool: asyncpg.Pool,
    submit: Submit,
    endpoint: str,
    *,
    because: str,
    failing_since: datetime,
    ids: IdSource,
    now: datetime,
) -> bool:
    """Switch an endpoint off by rule; False when it is off already, or when nobody could be told that.

    The break is opened first, under a name that is the same when this is done again: no endpoint is ever off
    without somebody knowing.
    """
    try:
        await submit(render_report(endpoint, because=because, failing_since=failing_since, ids=ids))
    except CroupierError as error:
        _log.warning("endpoint_not_disabled", endpoint=endpoint, error=str(error))
        return False
    async with pool.acquire() as connection, connection.transaction():
        if not await switch_off(connection, endpoint, because=because, ids=ids, now=now):
            return False
        record = Entry(actor=OURS, action="endpoint.disabled", subject=f"endpoint:{endpoint}", reason=because)
        await insert_record(connection, record, now)
    _log.error("endpoint_disabled", endpoint=endpoint, because=because)
    return True


def render_report(endpoint: str, *, because: str, failing_since: datetime, ids: IdSource) -> Call:
    """The call that opens the break about an endpoint that gets no more events."""
    bucket = bucket_of(endpoint)
    request_id = ids.new(bucket)
    report = Report(
        player_id="",
        kind=BREAK_KIND,
        subject=f"{endpoint}:{failing_since:%Y-%m-%dT%H:%M:%SZ}",
        explanation=f"events are not sent to endpoint {endpoint} any more: {because}; they wait for "
        f"`croupier events enable {endpoint}`",
        owner=OWNER,
    )
    return Call(
        provider=OURS,
        player_id="",
        bucket=bucket,
        request_id=request_id,
        correlation_id=render_id(REQUEST, request_id),
        actions=(report,),
        time_source=OURS,
    )
