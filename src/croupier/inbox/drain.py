"""The worker loop of the inbox: takes deliveries from the queue, has them decided, and tells what became of them.

Any number of workers may run, in any number of processes. Providers are worked on beside each other, each with its
share of what may be in hand. With a backlog, claiming, deciding and telling overlap. Without one there is no hurry:
what came since the last look is decided in small steps, because a burst of it would stand beside every money call on
the same processors and disks. What a worker had in hand when it ended is taken by another one after its lease, and
decided the same way.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

import structlog
from msgspec import Struct

from croupier.errors import CroupierError
from croupier.ids import DELIVERY, render_id
from croupier.inbox.connections import AWAY, Connections
from croupier.inbox.process import (
    DECODE_FAILED,
    REFUSED,
    UNKNOWN_PROVIDER,
    WORKER_LOST,
    Claimed,
    End,
    Finish,
    NoticeFault,
    Park,
    Patience,
    PutBack,
    Setback,
    Source,
    Verdict,
    judge_error,
    judge_outcomes,
    may_still_come,
    plan_end,
    read_notice,
    render_call,
    render_salvage,
)
from croupier.inbox.queue import (
    Lease,
    claim_deliveries,
    finish_deliveries,
    insert_turn,
    load_due_providers,
    park_deliveries,
    put_back_deliveries,
)
from croupier.moneypath.commands import Call, NoticeTerms
from croupier.moneypath.faults import Fault, classify
from croupier.moneypath.outcomes import Outcome
from croupier.providers.contract import Adapter, DecodeRefused, ProviderAccount
from croupier.providers.strict_json import DEFAULT_LIMITS, JsonLimits

AHEAD: Final = 3
"""Most batches of one provider in hand: one is decided while the next is taken and the one before is told."""
CONNECTIONS: Final = 3
STEPS: Final = 16
"""In about how many steps a worker that has caught up decides what it took."""
NARROWEST: Final = 2
"""Fewest rounds of one step."""
STEP_S: Final = 0.1
"""How long a step is waited for: one that meets a player who is held elsewhere does not hold up those after it."""
TURN_S: Final = 0.02
"""About how long another worker's turn takes."""
TELL_AGAIN_S: Final = 60.0
"""How long a kind of fault is not logged again."""

_log = structlog.get_logger("croupier.inbox")
_JITTER: Final = random.Random()  # noqa: S311 (spreads retries, guards nothing)


class DrainSettings(Struct, frozen=True, kw_only=True):
    """The bounds of a worker."""

    claim: int = 500
    """Most deliveries of one provider taken at once."""
    in_hand: int = 3000
    """Most deliveries taken and not told yet; must be less than the lanes can queue."""
    lease_s: int = 30
    idle_s: float = 0.2
    """How long an idle worker waits before it looks again."""
    patience: Patience = Patience()
    json: JsonLimits = DEFAULT_LIMITS


class WorkRecord(Struct, frozen=True, gc=False, kw_only=True):
    """One attempt at a delivery, for telemetry.

    `result` is the delivery's result, `retry`, `waiting` or `dead`; `code` says why. `lag_s` is the time since it came.
    """

    provider: str
    result: str
    code: str
    lag_s: float


class DrainEdge(Struct, frozen=True, kw_only=True):
    """What a worker needs: connections with a lane's settings, the money path, accounts as they are now, the clock."""

    connect: Callable[[], Awaitable[Any]]
    submit: Callable[[Call], Awaitable[tuple[Outcome, ...]]]
    accounts: Mapping[str, tuple[ProviderAccount, Adapter]]
    now: Callable[[], datetime]
    observe: Callable[[WorkRecord], None] = lambda _: None
    settings: DrainSettings = DrainSettings()


class Drain:
    """One worker."""

    def __init__(self, edge: DrainEdge) -> None:
        self._edge = edge
        self._connections = Connections(edge.connect, CONNECTIONS)
        self._turns: set[str] = set()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._told_at: dict[tuple[str, str], float] = {}
        self._stop = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; what is being decided then is told, what was only taken is left to its lease."""
        self._stop = stop
        try:
            while not stop.is_set():
                for provider in await self._find_work():
                    if provider not in self._busy:
                        self._begin(provider)
                await _pause(stop, self._edge.settings.idle_s)
            await asyncio.gather(*self._busy.values())
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)
            self._connections.close()

    async def _find_work(self) -> list[str]:
        try:
            async with self._connections.take() as connection:
                return await load_due_providers(connection, self._edge.now())
        except AWAY as error:
            _log.warning("inbox_not_read", error=repr(error))
            return []

    def _begin(self, provider: str) -> None:
        task = asyncio.create_task(self._work_on(provider), name=f"inbox-{provider}")
        self._busy[provider] = task
        task.add_done_callback(lambda _: self._busy.pop(provider, None))

    async def _work_on(self, provider: str) -> None:
        """One provider's deliveries, until none is due. A fault here is this provider's alone."""
        try:
            await self._drain(provider)
        except Exception as error:  # noqa: BLE001 (the worker loop: what was taken is left to its lease)
            _log.error("inbox_failed", provider=provider, exc_info=error)

    async def _drain(self, provider: str) -> None:
        in_hand: set[asyncio.Task[None]] = set()
        try:
            while not self._stop.is_set():
                limit = self._limit()
                batch = await self._claim(provider, limit, len(in_hand)) if len(in_hand) < AHEAD else []
                if batch is None:
                    await _pause(self._stop, _JITTER.uniform(0, TURN_S))
                    continue
                if not in_hand and 0 < len(batch) < limit:
                    # Caught up: what comes meanwhile is taken after the worker's usual pause.
                    await self._handle(provider, batch, steps=STEPS)
                    return
                if batch:
                    in_hand.add(asyncio.create_task(self._handle(provider, batch)))
                    continue
                if not in_hand:
                    return
                done, in_hand = await asyncio.wait(
                    in_hand, timeout=self._edge.settings.idle_s, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    task.result()
        except asyncio.CancelledError:
            for task in in_hand:
                task.cancel()
            raise
        finally:
            ended = await asyncio.gather(*in_hand, return_exceptions=True)
        for fault in ended:
            if fault is not None:
                raise fault

    def _limit(self) -> int:
        """How many deliveries are taken at once: every provider at work gets an equal share of what may be in hand."""
        settings = self._edge.settings
        return max(1, min(settings.claim, settings.in_hand // (AHEAD * max(1, len(self._busy)))))

    async def _claim(self, provider: str, limit: int, in_hand: int) -> list[Claimed] | None:
        """Take deliveries; None while another worker is taking.

        What is in hand may hold up the next ones: then it is enough to look again once it is told.
        """
        try:
            async with self._connections.take() as connection:
                if provider not in self._turns:
                    await insert_turn(connection, provider)
                    self._turns.add(provider)
                now = self._edge.now()
                lease = Lease(
                    limit=limit,
                    until=now + timedelta(seconds=self._edge.settings.lease_s),
                    is_thorough=not in_hand,
                )
                return await claim_deliveries(connection, provider, lease, now)
        except AWAY as error:
            _log.warning("inbox_not_claimed", provider=provider, error=repr(error))
            return []

    async def _handle(self, provider: str, batch: Sequence[Claimed], steps: int = 1) -> None:
        """Decide a batch, in so many steps or fewer, and tell what became of it."""
        give_up_at = time.monotonic() + self._edge.settings.lease_s
        rounds: dict[str, list[Claimed]] = {}
        for claimed in batch:
            rounds.setdefault(claimed.order_key, []).append(claimed)
        account = self._edge.accounts.get(provider)
        in_order = list(rounds.values())
        width = max(NARROWEST, -(-len(in_order) // steps))
        told: list[asyncio.Task[list[tuple[Claimed, End]]]] = []
        async with asyncio.TaskGroup() as group:
            for begin in range(0, len(in_order), width):
                if begin and self._stop.is_set():
                    break
                step = [
                    group.create_task(self._settle_in_order(account, one))
                    for one in in_order[begin : begin + width]
                ]
                told += step
                await asyncio.wait(step, timeout=STEP_S)
        ends = [pair for task in told for pair in task.result()]
        if await self._tell(ends, give_up_at):
            self._observe(provider, ends)

    async def _settle_in_order(
        self, account: tuple[ProviderAccount, Adapter] | None, deliveries: Sequence[Claimed]
    ) -> list[tuple[Claimed, End]]:
        """The deliveries of one round, one after the other; what must be tried again holds up those after it."""
        ends: list[tuple[Claimed, End]] = []
        patience = self._edge.settings.patience
        for place, claimed in enumerate(deliveries):
            if place and self._stop.is_set():
                break
            if claimed.lost > patience.attempts:
                detail = f"{claimed.lost - 1} workers in a row ended while they had it in hand"
                ends.append((claimed, Park(WORKER_LOST, detail, claimed.attempts)))
                continue
            verdict = await self._settle(account, claimed)
            if isinstance(verdict, Setback) and self._stop.is_set():
                # The lanes may be ending: no fault of the delivery's, and nothing to count.
                break
            end = plan_end(claimed, verdict, patience, self._edge.now(), _JITTER.random())
            ends.append((claimed, end))
            if isinstance(end, PutBack) and not end.is_waiting:
                ends += [(later, _held_up(later, end.at)) for later in deliveries[place + 1 :]]
                break
        return ends

    async def _settle(self, account: tuple[ProviderAccount, Adapter] | None, claimed: Claimed) -> Verdict:
        """One attempt at one delivery."""
        if account is None:
            return Setback(
                UNKNOWN_PROVIDER, "no provider account has this id; it was removed, or not added here yet"
            )
        try:
            return await self._decide(*account, claimed)
        except NoticeFault as fault:
            return Setback(fault.cause, fault.detail)
        except CroupierError as refused:
            return judge_error(refused, may_wait=False)
        except Exception as error:  # noqa: BLE001 (the worker loop: one delivery's fault must not reach its neighbours)
            self._tell_fault(account[0].id, claimed, error)
            return Setback(DECODE_FAILED, f"{type(error).__name__}: {error}")

    def _tell_fault(self, provider: str, claimed: Claimed, error: Exception) -> None:
        """Log a fault of an adapter or of ours; the same kind again only after a while, for there may be thousands."""
        kind, now = (provider, type(error).__name__), time.monotonic()
        if now - self._told_at.get(kind, -math.inf) < TELL_AGAIN_S:
            return
        self._told_at[kind] = now
        _log.error(
            "delivery_failed",
            provider=provider,
            delivery=render_id(DELIVERY, claimed.id),
            correlation_id=claimed.correlation_id,
            exc_info=error,
        )

    async def _decide(self, account: ProviderAccount, adapter: Adapter, claimed: Claimed) -> Verdict:
        source = Source(id=claimed.id, correlation_id=claimed.correlation_id, trace_id=claimed.trace_id)
        submit, settings = self._edge.submit, self._edge.settings
        try:
            notice = read_notice(claimed.stored, account, adapter, settings.json)
        except DecodeRefused as refused:
            if refused.salvage is not None:
                await submit(render_salvage(source, refused.salvage, account, adapter))
            return Finish(result=REFUSED, code=refused.kind.code, detail=refused.detail)
        can_wait = may_still_come(claimed.received_at, settings.patience, self._edge.now())
        terms = NoticeTerms(may_wait=can_wait)
        try:
            return judge_outcomes(await submit(render_call(source, notice, account, adapter, terms)))
        except CroupierError as error:
            return judge_error(error, may_wait=can_wait)

    async def _tell(self, ends: Sequence[tuple[Claimed, End]], give_up_at: float) -> bool:
        """Write what became of a batch; False when the database did not take it before the lease was over."""
        while True:
            try:
                async with self._connections.take() as connection:
                    await _write(connection, ends, self._edge.now())
                return True
            except AWAY as error:
                fault = classify(error)
                _log.warning("inbox_not_told", size=len(ends), fault=fault.name, error=repr(error))
                if fault is Fault.ITEM or self._stop.is_set() or time.monotonic() > give_up_at:
                    return False
            await _pause(self._stop, _JITTER.uniform(0.02, 0.2))

    def _observe(self, provider: str, ends: Sequence[tuple[Claimed, End]]) -> None:
        now = self._edge.now()
        for claimed, end in ends:
            if isinstance(end, Park):
                _log.warning(
                    "delivery_parked",
                    provider=provider,
                    delivery=render_id(DELIVERY, claimed.id),
                    error_code=end.cause,
                    attempts=end.attempts,
                    correlation_id=claimed.correlation_id,
                )
            said = _said_of(end)
            if said is not None:
                lag_s = (now - claimed.received_at).total_seconds()
                self._edge.observe(WorkRecord(provider=provider, result=said[0], code=said[1], lag_s=lag_s))


def _held_up(claimed: Claimed, at: datetime) -> PutBack:
    return PutBack(at=at, attempts=claimed.attempts)


def _said_of(end: End) -> tuple[str, str] | None:
    """Result and code for telemetry; None for what was only held up."""
    match end:
        case Finish():
            return end.result, end.code
        case Park():
            return "dead", end.cause
        case PutBack():
            return None if end.cause is None else ("waiting" if end.is_waiting else "retry", end.cause)
        case _:
            assert_never(end)


async def _write(connection: Any, ends: Sequence[tuple[Claimed, End]], now: datetime) -> None:
    """Each kind of end in one statement; all of them may be written again, because the fence lets each in once."""
    finished: list[tuple[Claimed, Finish]] = []
    put_back: list[tuple[Claimed, PutBack]] = []
    parked: list[tuple[Claimed, Park]] = []
    for claimed, end in ends:
        match end:
            case Finish():
                finished.append((claimed, end))
            case PutBack():
                put_back.append((claimed, end))
            case Park():
                parked.append((claimed, end))
            case _:
                assert_never(end)
    await finish_deliveries(connection, finished, now)
    await put_back_deliveries(connection, put_back, now)
    await park_deliveries(connection, parked, now)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, unless it is time to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
