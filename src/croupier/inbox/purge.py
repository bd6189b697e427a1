"""Retention: deliveries and their results are forgotten after their time, refused ones beyond their number."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from croupier.inbox.connections import Connections
from croupier.inbox.refusals import trim_refused
from croupier.runtime.statements import load_statements

BATCH: Final = 2000
"""Most deliveries forgotten by one statement."""

_FORGET: Final = load_statements("croupier/inbox/purge.sql")["forget_deliveries"].sql
_START: Final = UUID(int=0)
_TIME_BITS: Final = 80


async def purge_inbox(
    connections: Connections, before: datetime, *, keep_refused: int, stop: asyncio.Event
) -> int:
    """Forget what came before a moment and is finished, a bounded number at a time; returns how many there were.

    What is still queued or dead stays, whatever its age.
    """
    forgotten, last = 0, _START
    while not stop.is_set():
        async with connections.take() as connection:
            page = await forget_page(connection, last, before)
        forgotten += page["forgotten"]
        if page["seen"] < BATCH:
            break
        last = page["last_id"]
    async with connections.take() as connection:
        await trim_refused(connection, keep_refused)
    return forgotten


async def forget_page(connection: Any, after: UUID, before: datetime, *, size: int = BATCH) -> Any:
    """Look through one page of old deliveries: how many were `seen` and `forgotten`, and the `last_id` of the page."""
    return await connection.fetchrow(_FORGET, after, first_id(before), size)


def first_id(at: datetime) -> UUID:
    """The lowest id that can have been made at a moment: ids are ordered by time."""
    milliseconds = (at - datetime.fromtimestamp(0, at.tzinfo)) // timedelta(milliseconds=1)
    return UUID(int=max(0, milliseconds) << _TIME_BITS)
