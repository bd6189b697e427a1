"""Delivering to one endpoint: claims what is due, keeps a bounded number of attempts under way, writes down each end.

Nothing is shared with other endpoints but the database, so one that is slow or dead delays nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog
from msgspec import Struct

from croupier.ids import EVENT, IdSource, render_id
from croupier.operator.outbox.answers import Answer, render_fault
from croupier.operator.outbox.post import EndpointClient, make_message
from croupier.operator.outbox.queue import (
    DELIVERED,
    FAILED,
    GIVEN_UP,
    Claimed,
    Made,
    claim_deliveries,
    note_failure,
    note_success,
    settle_attempts,
)
from croupier.operator.outbox.records import AttemptRecord, Observe
from croupier.operator.outbox.schedule import plan_next_attempt
from croupier.operator.outbox.settings import Endpoint, Outbox
from croupier.operator.outbox.switch import Submit, switch_off_failing

_log = structlog.get_logger("croupier.outbox")

UNDER_WAY: Final = 16
"""Most attempts at one endpoint that one process has under way."""
LEASE_MARGIN_S: Final = 30
"""How much longer a claim holds than an attempt may take."""
LOOK_S: Final = 0.25
"""How long attempts are waited for before the queue is looked at again."""
GRACE_S: Final = 5.0
"""How long attempts that are under way may go on when the process ends."""


class Tools(Struct, frozen=True, kw_only=True):
    """What every delivery works with. `chance` gives a number in [0, 1), for jitter."""

    pool: asyncpg.Pool
    submit: Submit
    ids: IdSource
    now: Callable[[], datetime]
    chance: Callable[[], float]
    observe: Observe


class EndpointDelivery:
    """The deliveries to one endpoint by this process."""

    def __init__(self, endpoint: Endpoint, outbox: Outbox, tools: Tools) -> None:
        self._endpoint = endpoint
        self._outbox = outbox
        self._tools = tools
        self._client = EndpointClient(endpoint, connections=UNDER_WAY)
        self._under_way: set[asyncio.Task[None]] = set()
        self._ended: list[tuple[Claimed, Answer, datetime]] = []

    async def turn(self) -> bool:
        """Write down what ended, claim as much as there is room for, and wait a moment for more; whether there was any.

        Raises asyncpg's errors and OSError; nothing that ended is forgotten by that.
        """
        await self._settle()
        room = UNDER_WAY - len(self._under_way)
        if room:
            lease = timedelta(seconds=self._endpoint.timeout_s + LEASE_MARGIN_S)
            claimed = await claim_deliveries(
                self._tools.pool, self._endpoint.id, self._tools.now(), lease=lease, limit=room
            )
            for one in claimed:
                task = asyncio.create_task(self._attempt(one))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
        if not self._under_way:
            return bool(self._ended)
        await asyncio.wait(self._under_way, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        return True

    async def _attempt(self, claimed: Claimed) -> None:
        at = self._tools.now()
        try:
            message = make_message(render_id(EVENT, claimed.event_id), claimed.payload)
            answer = await self._client.send_event(message, at)
        except Exception as error:  # noqa: BLE001 (the worker loop: a fault of ours counts as a failed attempt)
            _log.error("event_not_sent", endpoint=self._endpoint.id, error=repr(error))
            answer = Answer(duration_ms=0, error=f"not sent: {render_fault(error)}")
        self._ended.append((claimed, answer, at))

    async def _settle(self) -> None:
        """Write down the attempts that ended, then what they say about the endpoint."""
        if not self._ended:
            return
        ended = list(self._ended)
        made = [self._judge(claimed, answer, at) for claimed, answer, at in ended]
        await settle_attempts(self._tools.pool, self._endpoint.id, made)
        del self._ended[: len(ended)]
        for (claimed, _, _), one in zip(ended, made, strict=True):
            self._tools.observe(
                AttemptRecord(self._endpoint.id, claimed.type, one.result, one.duration_ms / 1000)
            )
        await self._note([answer for _, answer, _ in ended])

    def _judge(self, claimed: Claimed, answer: Answer, at: datetime) -> Made:
        result, next_at = DELIVERED, None
        if not answer.is_delivered:
            next_at = plan_next_attempt(
                self._outbox.schedule_s,
                attempts=claimed.attempts + 1,
                now=self._tools.now(),
                chance_permille=int(1000 * self._tools.chance()),
                retry_after_s=answer.retry_after_s,
            )
            result = GIVEN_UP if next_at is None else FAILED
        return Made(
            bucket=claimed.bucket,
            event_id=claimed.event_id,
            fence=claimed.fence,
            result=result,
            duration_ms=answer.duration_ms,
            at=at,
            status=answer.status,
            error=answer.error,
            excerpt=answer.excerpt,
            next_at=next_at,
        )

    async def _note(self, answers: Sequence[Answer]) -> None:
        """What these attempts say about the endpoint: it takes events, it fails, or it has failed for too long."""
        pool, now = self._tools.pool, self._tools.now()
        is_gone = any(answer.is_gone for answer in answers)
        if not is_gone and any(answer.is_delivered for answer in answers):
            since = await note_success(pool, self._endpoint.id, now)
            if since is not None:
                _log.info("endpoint_recovered", endpoint=self._endpoint.id, failing_since=since.isoformat())
            return
        error = next(answer.error for answer in reversed(answers) if answer.error is not None)
        failing = await note_failure(pool, self._endpoint.id, error, now)
        if failing.is_disabled:
            return
        if is_gone:
            await self._switch_off("the receiver answered 410 Gone", failing.since)
        elif now - failing.since >= timedelta(seconds=self._outbox.disable_after_s):
            hours = int((now - failing.since).total_seconds()) // 3600
            await self._switch_off(
                f"no event arrived for {hours} hours; the last error: {error}", failing.since
            )

    async def _switch_off(self, because: str, failing_since: datetime) -> None:
        await switch_off_failing(
            self._tools.pool,
            self._tools.submit,
            self._endpoint.id,
            because=because,
            failing_since=failing_since,
            ids=self._tools.ids,
            now=self._tools.now(),
        )

    async def finish(self) -> None:
        """Let what is under way end within the grace, write it down, and give the connections back.

        What did not end is due again when its lease runs out.
        """
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=GRACE_S)
        left = list(self._under_way)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        try:
            await self._settle()
        finally:
            await self._client.close()
