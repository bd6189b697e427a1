"""Everything that is done about webhooks behind their senders' backs: draining, measuring, forgetting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

import structlog
from msgspec import Struct

from croupier.inbox.connections import AWAY, Connections
from croupier.inbox.drain import Drain, DrainEdge
from croupier.inbox.purge import purge_inbox
from croupier.inbox.queue import EVERYBODY, ProviderLevel, insert_turn, load_levels, measure_levels

MEASURE_EVERY: Final = timedelta(seconds=1)
MEASURE_SHARE: Final = 20
"""A measure may take this part of the time: a long queue is measured less often."""
PURGE_EVERY: Final = timedelta(hours=1)

_log = structlog.get_logger("croupier.inbox")


class Keeping(Struct, frozen=True, kw_only=True):
    """How long finished deliveries are kept, in seconds, and how many refused ones of each provider."""

    keep_s: int = 90 * 86_400
    keep_refused: int = 1000


async def run_inbox(
    edge: DrainEdge,
    keeping: Keeping,
    stop: asyncio.Event,
    *,
    observe_levels: Callable[[Sequence[ProviderLevel]], None] = lambda _: None,
) -> None:
    """Work on the inbox until told to stop. Safe in any number of processes at once."""
    connections = Connections(edge.connect, 1)
    parts = (
        Drain(edge).run(stop),
        _measure(edge, connections, observe_levels, stop),
        _forget(edge, keeping, connections, stop),
    )
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        connections.close()


async def _measure(
    edge: DrainEdge,
    connections: Connections,
    observe: Callable[[Sequence[ProviderLevel]], None],
    stop: asyncio.Event,
) -> None:
    """Measure about once a second, unless somebody else does, and tell what was measured."""
    pause, is_prepared = MEASURE_EVERY, False
    while not stop.is_set():
        started = time.monotonic()
        try:
            async with connections.take() as connection:
                if not is_prepared:
                    await insert_turn(connection, EVERYBODY)
                    is_prepared = True
                if await measure_levels(connection, edge.now(), pause):
                    took = timedelta(seconds=time.monotonic() - started)
                    pause = max(MEASURE_EVERY, took * MEASURE_SHARE)
                observe(await load_levels(connection))
        except AWAY as error:
            _log.warning("inbox_not_measured", error=repr(error))
        await _wait(stop, MEASURE_EVERY)


async def _forget(edge: DrainEdge, keeping: Keeping, connections: Connections, stop: asyncio.Event) -> None:
    """Look for what is past its time now and then."""
    while not stop.is_set():
        before = edge.now() - timedelta(seconds=keeping.keep_s)
        try:
            await purge_inbox(connections, before, keep_refused=keeping.keep_refused, stop=stop)
        except AWAY as error:
            _log.warning("inbox_not_purged", error=repr(error))
        await _wait(stop, PURGE_EVERY)


async def _wait(stop: asyncio.Event, span: timedelta) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), span.total_seconds())
