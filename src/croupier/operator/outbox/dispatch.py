"""The background work of the outbox: everything that has to happen between an event and its arrival.

Any number of processes may run it; what one of them had claimed when it died is due again when the lease ends.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Final, Protocol

import asyncpg
import structlog

from croupier.ids import IdSource
from croupier.operator.outbox.deliver import EndpointDelivery, Tools
from croupier.operator.outbox.fan_out import FanOut
from croupier.operator.outbox.jetstream import JetStreamPublisher
from croupier.operator.outbox.jetstream_link import JetStreamLink
from croupier.operator.outbox.levels import observe_levels
from croupier.operator.outbox.purge import purge_events
from croupier.operator.outbox.records import Observe
from croupier.operator.outbox.settings import Outbox
from croupier.operator.outbox.switch import Submit

_log = structlog.get_logger("croupier.outbox")

IDLE_S: Final = 0.25
"""How long a loop rests that found nothing to do."""
FAULT_S: Final = 1.0
"""How long a loop rests after a fault."""
MEASURE_EVERY_S: Final = 15.0
PURGE_EVERY_S: Final = 3600.0

_AWAY: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


class Consumer(Protocol):
    """Something that hands events on, a turn at a time."""

    async def turn(self) -> bool:
        """Do what is due; whether there was anything."""
        ...

    async def finish(self) -> None:
        """End, and give everything back."""
        ...


async def run_outbox(
    pool: asyncpg.Pool,
    outbox: Outbox,
    *,
    submit: Submit,
    ids: IdSource,
    now: Callable[[], datetime],
    stop: asyncio.Event,
    observe: Observe = lambda record: None,
    chance: Callable[[], float] = random.random,
) -> None:
    """Give events to their consumers and deliver them until told to stop; ends within seconds of that.

    `pool` has the application's rights and one connection for each endpoint under load. `submit` is the money path's:
    it opens the break about an endpoint that is switched off. A database that is away is tried again.
    """
    tools = Tools(pool=pool, submit=submit, ids=ids, now=now, chance=chance, observe=observe)
    async with asyncio.TaskGroup() as group:
        group.create_task(_keep_doing("fan_out", FanOut(outbox, tools).turn, stop))
        group.create_task(_do_every(MEASURE_EVERY_S, "levels", lambda: _measure(tools, outbox), stop))
        group.create_task(_do_every(PURGE_EVERY_S, "purge", lambda: _purge(tools, outbox), stop))
        for endpoint in outbox.endpoints:
            group.create_task(_consume(endpoint.id, EndpointDelivery(endpoint, outbox, tools), stop))
        if outbox.jetstream is not None:
            link = JetStreamLink(outbox.jetstream, keep_s=outbox.keep_s)
            group.create_task(_consume("nats", JetStreamPublisher(link, tools), stop))


async def _measure(tools: Tools, outbox: Outbox) -> None:
    await observe_levels(tools.pool, outbox, tools.now(), tools.observe)


async def _purge(tools: Tools, outbox: Outbox) -> None:
    await purge_events(tools.pool, tools.now(), keep_s=outbox.keep_s)


async def _consume(name: str, consumer: Consumer, stop: asyncio.Event) -> None:
    try:
        await _keep_doing(name, consumer.turn, stop)
    finally:
        with suppress(*_AWAY):
            await consumer.finish()


async def _do_every(
    period_s: float, name: str, work: Callable[[], Awaitable[None]], stop: asyncio.Event
) -> None:
    async def turn() -> bool:
        await work()
        return False

    await _keep_doing(name, turn, stop, rest_s=period_s)


async def _keep_doing(
    name: str, turn: Callable[[], Awaitable[bool]], stop: asyncio.Event, *, rest_s: float = IDLE_S
) -> None:
    """Turn after turn until told to stop, with a rest after each that found nothing to do or failed."""
    while not stop.is_set():
        try:
            if await turn():
                continue
            pause_s = rest_s
        except _AWAY as error:
            _log.warning("outbox_waits", part=name, error=repr(error))
            pause_s = FAULT_S
        except Exception:  # noqa: BLE001 (the worker loop: a fault in one consumer must not stop the others)
            _log.exception("outbox_failed", part=name)
            pause_s = FAULT_S
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s)
