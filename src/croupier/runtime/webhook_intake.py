"""The intake of webhooks put together: its acceptor, its backpressure, what it keeps of refusals, and its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import asyncpg
import structlog
from msgspec import Struct

from croupier.ids import IdSource
from croupier.inbox.accept import Acceptor, AcceptSettings, IntakeBatch, Receipt
from croupier.inbox.deliveries import Delivery
from croupier.inbox.intake import IntakeLimits, WebhookEdge, Webhooks
from croupier.inbox.pace import Pace
from croupier.inbox.pressure import Pressure, PressureSettings, load_levels
from croupier.inbox.records import FAILED, REFUSED, DeliveryRecord
from croupier.inbox.refusals import Refusals
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import Outcome
from croupier.providers.arrival import BodyLimits
from croupier.providers.strict_json import JsonLimits
from croupier.runtime.config import Config
from croupier.runtime.live_keys import LiveAccounts
from croupier.telemetry.metrics import Metrics, RequestRecord

_log = structlog.get_logger("croupier.inbox")


class IntakeParts(Struct, frozen=True, kw_only=True):
    """What the process that serves lends to the intake. `on_death` ends it: another one is started."""

    accounts: LiveAccounts
    pool: asyncpg.Pool
    connect: Callable[[], Awaitable[Any]]
    submit: Callable[[Call], Awaitable[tuple[Outcome, ...]]]
    ids: IdSource
    now: Callable[[], datetime]
    metrics: Metrics
    on_death: Callable[[], None]


class WebhookIntake:
    """Takes webhooks in for one process; `app` answers them between `start` and `drain`.

    `pace` is to be told of the money calls that the process answers beside them.
    """

    def __init__(self, config: Config, parts: IntakeParts) -> None:
        inbox = config.inbox
        self._metrics = parts.metrics
        self._on_death = parts.on_death
        self.pace = Pace(inbox.rest)
        self._acceptor = Acceptor(
            parts.connect,
            AcceptSettings(accepting=inbox.accepting, retry_after_cap_s=inbox.retry_after_cap_s),
            self._observe_batch,
            parts.on_death,
            lambda: self.pace.is_calm,
        )
        self._pressure = Pressure(
            PressureSettings(
                backlog=inbox.backlog,
                backlog_total=inbox.backlog_total,
                retry_after_cap_s=inbox.retry_after_cap_s,
            ),
            lambda: load_levels(parts.pool.fetch),
        )
        self._refusals = Refusals(parts.pool, parts.ids, observe_dropped=parts.metrics.inbox.note_unkept)
        self._tasks: list[asyncio.Task[None]] = []
        self.app = Webhooks(self._edge(config, parts))

    def _edge(self, config: Config, parts: IntakeParts) -> WebhookEdge:
        limits = config.limits
        return WebhookEdge(
            accounts=parts.accounts,
            require_room=self._require_room,
            accept=self._accept,
            submit=parts.submit,
            keep_refused=self._refusals.note,
            ids=parts.ids,
            now=parts.now,
            observe=self._observe,
            wait_turn=self.pace.wait_turn,
            note_key=parts.accounts.note_key,
            limits=IntakeLimits(
                body=BodyLimits(max_bytes=limits.body_bytes, timeout_s=limits.body_timeout_s),
                json=JsonLimits(max_depth=limits.json_depth, max_keys=limits.json_keys),
            ),
        )

    def _require_room(self, provider: str) -> None:
        self._acceptor.require_room(self.pace.waiting, self.pace.wait_s)
        self._pressure.require_room(provider)

    async def _accept(self, delivery: Delivery) -> Receipt:
        receipt = await self._acceptor.submit(delivery)
        if not receipt.is_duplicate:
            self._pressure.note_accepted(delivery.provider)
        return receipt

    def start(self) -> None:
        """Begin to take webhooks in."""
        self._acceptor.start()
        self._tasks = [
            asyncio.create_task(self.pace.run(), name="inbox-pace"),
            asyncio.create_task(self._pressure.follow(), name="inbox-levels"),
            asyncio.create_task(self._refusals.run(), name="inbox-refusals"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """A task that ends by a fault of its own ends the process, and another one is started."""
        if not task.cancelled() and task.exception() is not None:
            _log.error("intake_task_died", task=task.get_name(), exc_info=task.exception())
            self._on_death()

    async def drain(self) -> None:
        """Store what was taken in, write what is left of the refusals, and end."""
        await self._acceptor.drain()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._refusals.drain()

    def _observe_batch(self, batch: IntakeBatch) -> None:
        self._metrics.inbox.note_batch(batch.size)

    def _observe(self, record: DeliveryRecord) -> None:
        self._metrics.inbox.note_delivery(provider=record.provider, result=record.result)
        self._metrics.note_request(
            RequestRecord("/webhooks/{provider}", "POST", record.status, record.duration_s)
        )
        if record.code == "unauthenticated" and record.reason is not None:
            self._metrics.note_signature_failure(provider=record.provider, reason=record.reason)
        if record.result in (REFUSED, FAILED):
            _log.warning(
                "webhook_refused",
                provider=record.provider,
                operation=record.type,
                error_code=record.code,
                reason=record.reason,
                status=record.status,
                correlation_id=record.correlation_id,
                trace_id=record.trace_id,
                session_id=record.session_id,
                round_id=record.round_id,
                duration_s=round(record.duration_s, 6),
            )
