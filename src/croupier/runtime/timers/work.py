"""Timers at work: each turn checks the clock, claims what is due, has it decided on the money path and sets it anew.

Any number of processes may do it. Whatever dies between claiming and setting anew, the lease ends and somebody else
judges the session again: a session that was ended meanwhile has no timer, and a break is opened once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, assert_never

import asyncpg
import structlog
from msgspec import Struct

from croupier.errors import CroupierError
from croupier.ids import REQUEST, SESSION, IdSource, render_id
from croupier.moneypath.commands import Action, Call, CloseSession, Report, Standing
from croupier.moneypath.decide.history import OURS, books_of
from croupier.moneypath.outcomes import Outcome
from croupier.play.session import FINAL, Session, State
from croupier.play.timeouts import Act, Policy, Step, Timer, after_of, judge
from croupier.runtime.timers.clock import ClockGuard, Reading
from croupier.runtime.timers.queue import (
    Claimed,
    Rearmed,
    add_missing_timers,
    claim_timers,
    count_unknown,
    drop_timers,
    load_state_levels,
    read_database_clock,
    rearm_timers,
)
from croupier.telemetry.session_metrics import SessionMetrics, StateRecord

_log = structlog.get_logger("croupier.timers")

Submit = Callable[[Call], Awaitable[tuple[Outcome, ...]]]

PERIOD_S: Final = 5.0
BATCH: Final = 100
"""Most timers claimed at once."""
MOST_BATCHES: Final = 20
"""Most batches of one turn: then the clock is looked at again."""
LEASE: Final = timedelta(seconds=60)
"""How long what was claimed is nobody else's."""
DECIDE_S: Final = 30.0
"""How long a batch may take to be decided: half a lease."""
TRY_AGAIN: Final = timedelta(seconds=30)
"""When a timeout is tried again that could not be decided."""
MEASURE_EVERY: Final = timedelta(seconds=15)
SEARCH_EVERY: Final = timedelta(minutes=1)
"""How often sessions without a timer are looked for."""
MOST_FOUND: Final = 1000
LATE_AFTER: Final = timedelta(minutes=1)
"""How long a due session may wait for its turn before it is called overdue."""

OVERDUE_BREAK: Final = "settlement_overdue"
"""The kind of break that reconciliation of a session begins with."""


class TimerParts(Struct, frozen=True, kw_only=True):
    """What timers work with. `boot_s` is the seconds since the machine started, its sleep included."""

    pool: asyncpg.Pool
    submit: Submit
    ids: IdSource
    policy: Policy
    metrics: SessionMetrics
    now: Callable[[], datetime]
    guard: ClockGuard
    boot_s: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME)


class Timers:
    """Works on what is due; built once for a process."""

    def __init__(self, parts: TimerParts) -> None:
        self._parts = parts
        self._measured_at: datetime | None = None
        self._searched_at: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Take turns until told to stop. A database that is away is tried again next time."""
        while not stop.is_set():
            try:
                await self.turn()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
                _log.warning("timers_failed", error=repr(error))
                self._parts.metrics.note_turn("failed")
            try:
                await asyncio.wait_for(stop.wait(), PERIOD_S)
            except TimeoutError:
                continue

    async def turn(self) -> int:
        """One turn; returns how many timers were worked on. While the clocks disagree nothing is done or measured."""
        if not await self._is_clock_good():
            return 0
        parts, now = self._parts, self._parts.now()
        if self._searched_at is None or now - self._searched_at >= SEARCH_EVERY:
            found = await add_missing_timers(parts.pool, parts.policy, MOST_FOUND)
            if found:
                _log.warning("timers_were_missing", sessions=found)
            self._searched_at = now
        worked = 0
        for _ in range(MOST_BATCHES):
            count = await self.work_batch()
            worked += count
            if count < BATCH:
                break
        if self._measured_at is None or now - self._measured_at >= MEASURE_EVERY:
            await self.measure()
            self._measured_at = now
        parts.metrics.note_turn("done")
        return worked

    async def _is_clock_good(self) -> bool:
        parts = self._parts
        before = parts.now()
        started_s = parts.boot_s()
        database = await read_database_clock(parts.pool)
        trip_s = parts.boot_s() - started_s
        middle = before + timedelta(seconds=trip_s / 2)
        why = parts.guard.judge(Reading(middle, started_s + trip_s / 2, database, trip_s))
        if why is None:
            return True
        _log.error("clock_not_trusted", why=why)
        parts.metrics.note_turn("clock")
        return False

    async def work_batch(self) -> int:
        """Claim what is due, have it decided, set it anew; returns how many there were."""
        parts, now = self._parts, self._parts.now()
        claimed = await claim_timers(parts.pool, now=now, leased_until=now + LEASE, limit=BATCH)
        if not claimed:
            return 0
        async with asyncio.timeout(DECIDE_S):
            rearmed = await asyncio.gather(*(self._settle(one, now) for one in claimed))
        over = [one for one in claimed if one.session is None or one.session.state in FINAL]
        if over:
            await drop_timers(parts.pool, over)
        await rearm_timers(parts.pool, [one for one in rearmed if one is not None])
        return len(claimed)

    async def _settle(self, claimed: Claimed, now: datetime) -> Rearmed | None:
        """What becomes of one timer; None where the session is over and needs none."""
        session, parts = claimed.session, self._parts
        if session is None or session.state in FINAL:
            return None
        # A process of the version before may have moved the session on and left the timer as it was.
        is_current = session.state == claimed.timer_state
        since = claimed.timer_since if is_current else session.last_activity_at
        step = judge(session, since, parts.policy, now, idle_close_s=claimed.idle_close_s)
        due_at, is_overdue = step.due_at, step.is_overdue
        if step.act is not None and not await self._act(session, step, since):
            due_at, is_overdue = now + TRY_AGAIN, True
        timer = Timer(
            bucket=session.bucket,
            session_id=session.id,
            state=session.state,
            since=since,
            due_at=due_at,
            owner=step.owner,
            action=parts.policy.rule_of(session.state).act.value,
            idle_close_s=claimed.idle_close_s,
        )
        return Rearmed(timer, claimed.fence, is_overdue)

    async def _act(self, session: Session, step: Step, since: datetime) -> bool:
        """Do what is due; False when it could not be decided now."""
        assert step.act is not None, "there is something to do"  # noqa: S101 (narrowing)
        action, result = self._plan_action(session, step.act, step.owner, since), "told"
        if action is not None:
            try:
                (outcome,) = await self._parts.submit(self._call(session, action))
                result = "left" if outcome.is_repeat else "done"
            except CroupierError as error:
                _log.warning(
                    "timeout_failed", session_id=render_id(SESSION, session.id), error=error.kind.code
                )
                result = "failed"
        self._parts.metrics.note_timeout(state=session.state, action=step.act.value, result=result)
        _log.info(
            "timeout",
            session_id=render_id(SESSION, session.id),
            provider=session.provider,
            state=session.state,
            action=step.act.value,
            owner=step.owner,
            outcome=result,
        )
        return result != "failed"

    def _plan_action(self, session: Session, act: Act, owner: str, since: datetime) -> Action | None:
        """What is decided on the money path; None for what only tells the owner.

        No protocol can be asked whether it opened a game, so a probe tells the owner, too.
        """
        match act:
            case Act.CANCEL | Act.CLOSE:
                return CloseSession(
                    session_id=session.id,
                    player_id=session.player_id,
                    reason=f"timeout:{session.state}",
                    expected=Standing(session.state, session.seq),
                )
            case Act.RECONCILE:
                return self._report(session, owner, since)
            case Act.PROBE | Act.ALERT:
                return None
            case _:
                assert_never(act)

    def _report(self, session: Session, owner: str, since: datetime) -> Report:
        after = after_of(State.PENDING, self._parts.policy)
        return Report(
            player_id=session.player_id,
            kind=OVERDUE_BREAK,
            subject=str(session.id),
            explanation=(
                f"the session has waited for its settlement since {since:%Y-%m-%dT%H:%M:%SZ}, longer than {after}, "
                f"with {session.rounds_open} round(s) open: reconcile them with the provider, so that it closes them"
            ),
            owner=owner,
            session_id=session.id,
            asset=session.asset,
            amount=books_of(session).clearing,
        )

    def _call(self, session: Session, action: Action) -> Call:
        request_id = self._parts.ids.new(session.bucket)
        return Call(
            provider=session.provider,
            player_id=session.player_id,
            bucket=session.bucket,
            request_id=request_id,
            correlation_id=render_id(REQUEST, request_id),
            actions=(action,),
            time_source=OURS,
        )

    async def measure(self) -> None:
        """Tell how many sessions there are in each state, and what is overdue or unknown."""
        parts, now = self._parts, self._parts.now()
        levels = await load_state_levels(parts.pool, now=now, late_before=now - LATE_AFTER)
        parts.metrics.note_states(
            [
                StateRecord(
                    state=one.state,
                    owner=one.owner,
                    sessions=one.sessions,
                    oldest_s=max(0.0, (now - one.oldest_since).total_seconds()),
                    overdue=one.overdue,
                )
                for one in levels
            ]
        )
        waiting = [one.claimable_since for one in levels if one.claimable_since is not None]
        parts.metrics.note_lateness(max(0.0, (now - min(waiting)).total_seconds()) if waiting else 0.0)
        parts.metrics.note_unknown(await count_unknown(parts.pool))
