"""C4, I10: every session that is not final has a due time and an owner, and what is due is done once."""

import asyncio
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from lane_desk import Seat, balance_of, read_rows, read_value, require_sound_books
from timer_stage import MOMENT, Stage, open_stage

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import Outcome
from croupier.play.session import State
from croupier.play.timeouts import DEFAULT_POLICY, Act, Policy, Rule
from croupier.runtime.orders import READY_LINE, Orders, render_orders
from croupier.runtime.timers.clock import ClockGuard
from croupier.runtime.timers.queue import claim_timers
from croupier.runtime.timers.work import BATCH, LATE_AFTER, LEASE, SEARCH_EVERY, TRY_AGAIN
from model.calls import NOW, close_round, close_session, fail, win

AFTER = {state: timedelta(seconds=rule.after_s) for state, rule in DEFAULT_POLICY.rules.items()}
WaitUntil = Callable[..., Awaitable[None]]
BREAKS = "SELECT kind, owner, amount, session_id FROM croupier.break_item"


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with open_stage(database_url) as opened:
        yield opened
    await require_sound_books(database_url)


async def require_timer(stage: Stage, seat: Seat, state: State) -> None:
    """The row of a session that has entered a state now."""
    timer, rule = await stage.timer(seat), DEFAULT_POLICY.rule_of(state)
    assert (timer["state"], timer["owner"], timer["action"]) == (state, rule.owner, rule.act)
    assert (timer["since"], timer["due_at"]) == (stage.now, stage.now + AFTER[state])
    assert (timer["claimable_at"], timer["overdue_since"]) == (timer["due_at"], None)


async def test_a_walk_through_every_state_finds_a_timer_in_each_that_is_not_final(stage: Stage) -> None:
    seat = await stage.created("alice")
    await require_timer(stage, seat, State.CREATED)
    stage.now += timedelta(minutes=1)
    launched = await stage.launched("bob")
    await require_timer(stage, launched, State.LAUNCHED)
    assert (await stage.desk.ask(launched.bet("b1", round_id="r1"))).is_approved
    await require_timer(stage, launched, State.ACTIVE)
    stage.now += timedelta(minutes=1)
    await stage.desk.ask(launched.call(close_session(launched.session_id, "bob")))
    await require_timer(stage, launched, State.PENDING)
    closing = close_round("c1", "r1", player_id="bob", session_id=launched.session_id)
    await stage.desk.ask(launched.call(closing))
    failed = await stage.created("carol")
    await stage.desk.ask(failed.call(fail(failed.session_id, "carol")))
    await stage.desk.ask(seat.call(close_session(seat.session_id, "alice")))
    ended = {await stage.state(one): await stage.timer(one) for one in (launched, failed, seat)}
    assert ended == {"settled": None, "failed": None, "cancelled": None}
    late = win("late", 5, player_id="bob", session_id=launched.session_id, round_id="r1")
    assert (await stage.desk.ask(launched.call(late))).is_approved
    assert await stage.timer(launched) is None, "late money in a final state needs no timer"


async def test_a_session_that_was_never_confirmed_is_cancelled_when_it_is_due(stage: Stage) -> None:
    seat, timers = await stage.created("alice"), stage.timers()
    stage.now = NOW + AFTER[State.CREATED] - MOMENT
    assert await timers.work_batch() == 0
    stage.now += MOMENT
    assert await timers.work_batch() == 1
    assert (await stage.state(seat), await stage.timer(seat)) == ("cancelled", None)
    assert (await stage.history(seat.session_id))[-1] == ("closed", "timeout:created", "cancelled")
    assert (await stage.desk.ask(seat.bet("late"))).code == "session_not_active"


async def test_a_session_that_was_never_played_is_cancelled_when_it_is_due(stage: Stage) -> None:
    seat, timers = await stage.launched("alice"), stage.timers()
    stage.now = NOW + AFTER[State.LAUNCHED] - MOMENT
    assert await timers.work_batch() == 0
    stage.now += MOMENT
    assert await timers.work_batch() == 1
    assert (await stage.state(seat), await stage.timer(seat)) == ("cancelled", None)


async def test_an_idle_session_is_closed_and_its_time_counts_from_its_last_use(stage: Stage) -> None:
    seat, timers = await stage.active("alice"), stage.timers()
    stage.now = NOW + timedelta(hours=20)
    assert (await stage.desk.ask(seat.bet("used"))).is_approved
    assert (await stage.timer(seat))["due_at"] == NOW + AFTER[State.ACTIVE], "a bet touches no timer"
    stage.now = NOW + AFTER[State.ACTIVE]
    assert await timers.work_batch() == 1
    timer = await stage.timer(seat)
    assert (timer["state"], timer["due_at"]) == ("active", NOW + timedelta(hours=44))
    assert timer["overdue_since"] is None
    stage.now = NOW + timedelta(hours=44)
    assert await timers.work_batch() == 1
    assert await stage.state(seat) == "pending_settlement"
    await require_timer(stage, seat, State.PENDING)
    assert await balance_of(stage.url, "alice") == 998


async def test_an_overdue_settlement_opens_one_break_for_finance_and_moves_no_money(stage: Stage) -> None:
    seat, timers = await stage.active("alice"), stage.timers()
    await stage.desk.ask(seat.call(close_session(seat.session_id, "alice")))
    entries = await read_value(stage.url, "SELECT count(*) FROM croupier.journal_entry")
    for day in (1, 2, 3):
        stage.now = NOW + day * AFTER[State.PENDING]
        assert await timers.work_batch() == 1
        (found,) = await read_rows(stage.url, BREAKS)
        assert tuple(found) == ("settlement_overdue", "finance", "1", seat.session_id)
        timer = await stage.timer(seat)
        assert timer["due_at"] == stage.now + AFTER[State.PENDING]
        assert timer["overdue_since"] == NOW + AFTER[State.PENDING]
    assert await read_value(stage.url, "SELECT count(*) FROM croupier.journal_entry") == entries
    told = "SELECT count(*) FROM croupier.outbox_event WHERE type = 'break.opened'"
    assert await read_value(stage.url, told) == 1
    await timers.measure()
    assert stage.metric("sessions_overdue", state="pending_settlement", owner="finance") == 1
    closing = close_round("c1", "round-first-alice", player_id="alice", session_id=seat.session_id)
    await stage.desk.ask(seat.call(closing))
    assert (await stage.state(seat), await stage.timer(seat)) == ("settled", None)
    await timers.measure()
    assert stage.metric("sessions_overdue", state="pending_settlement", owner="finance") == 0


@pytest.mark.parametrize("act", [Act.ALERT, Act.PROBE])
async def test_what_only_tells_its_owner_is_told_again_and_again(stage: Stage, act: Act) -> None:
    seat = await stage.created("alice")
    timers = stage.timers(Policy({**DEFAULT_POLICY.rules, State.CREATED: Rule(300, "ops", act)}))
    for turn in (1, 2):
        stage.now = NOW + turn * timedelta(minutes=5)
        assert await timers.work_batch() == 1
        timer = await stage.timer(seat)
        assert (timer["owner"], timer["action"]) == ("ops", act)
        assert timer["due_at"] == stage.now + timedelta(minutes=5)
        assert stage.metric("timeouts_total", state="created", action=act, result="told") == turn
    assert await stage.state(seat) == "created"
    stage.now = NOW + timedelta(days=30)
    await timers.work_batch()
    assert await stage.state(seat) == ("cancelled" if act is Act.PROBE else "created")


async def test_two_workers_claim_each_timer_once_and_neither_waits_for_the_other(stage: Stage) -> None:
    seats = [await stage.created(f"player-{number}") for number in range(30)]
    stage.now = NOW + AFTER[State.CREATED]
    times = {"now": stage.now, "leased_until": stage.now + LEASE}
    async with stage.pool.acquire() as slow, slow.transaction():
        first = await claim_timers(slow, limit=10, **times)
        async with asyncio.timeout(10):
            second = await claim_timers(stage.pool, limit=30, **times)
    third = await claim_timers(stage.pool, limit=30, **times)
    assert (len(first), len(second), third) == (10, 20, [])
    taken = Counter(one.session_id for one in [*first, *second])
    assert taken == Counter(seat.session_id for seat in seats)


async def test_many_workers_end_each_session_once(stage: Stage) -> None:
    seats = [await stage.created(f"player-{number}") for number in range(BATCH + 20)]
    stage.now = NOW + AFTER[State.CREATED]
    workers = [stage.timers() for _ in range(4)]
    assert sum(await asyncio.gather(*(one.turn() for one in workers))) == len(seats)
    closings = "SELECT session_id, count(*) FROM croupier.session_event WHERE cause = 'closed' GROUP BY 1"
    assert {row[1] for row in await read_rows(stage.url, closings)} == {1}
    assert await read_value(stage.url, "SELECT count(*) FROM croupier.session_timer") == 0


async def test_what_a_dead_worker_had_claimed_is_taken_when_its_lease_ends(stage: Stage) -> None:
    seat, timers = await stage.created("alice"), stage.timers()
    stage.now = NOW + AFTER[State.CREATED]
    (lost,) = await claim_timers(stage.pool, now=stage.now, leased_until=stage.now + LEASE, limit=10)
    stage.now += LEASE - MOMENT
    assert await timers.work_batch() == 0
    stage.now += MOMENT
    assert await timers.work_batch() == 1
    assert (await stage.state(seat), lost.session_id) == ("cancelled", seat.session_id)


async def test_a_worker_that_dies_after_its_action_leaves_nothing_to_do_twice(stage: Stage) -> None:
    created, played = await stage.created("alice"), await stage.active("bob")
    await stage.desk.ask(played.call(close_session(played.session_id, "bob")))

    async def die_afterwards(request: Call) -> tuple[Outcome, ...]:
        await stage.desk.lanes.submit(request)
        raise TimeoutError

    for due in (AFTER[State.CREATED], AFTER[State.PENDING]):
        stage.now = NOW + due
        with pytest.raises(TimeoutError):
            await stage.timers(submit=die_afterwards).work_batch()
    stage.now += LEASE
    assert await stage.timers().work_batch() == 1, "the cancelled session has no timer any more"
    assert [row[0] for row in await read_rows(stage.url, BREAKS)] == ["settlement_overdue"]
    assert (await stage.history(created.session_id))[-1][2] == "cancelled"
    assert len(await stage.history(created.session_id)) == 2
    assert (await stage.timer(played))["due_at"] == stage.now + AFTER[State.PENDING]


async def test_a_timeout_that_cannot_be_decided_is_tried_again_and_counts_as_overdue(stage: Stage) -> None:
    seat = await stage.created("alice")

    async def refuse(request: Call) -> tuple[Outcome, ...]:
        raise CroupierError(UNAVAILABLE, "the database is away")

    stage.now = NOW + AFTER[State.CREATED]
    assert await stage.timers(submit=refuse).work_batch() == 1
    timer = await stage.timer(seat)
    assert (timer["due_at"], timer["overdue_since"]) == (stage.now + TRY_AGAIN, stage.now)
    stage.now += TRY_AGAIN
    assert await stage.timers().work_batch() == 1
    assert await stage.state(seat) == "cancelled"


async def test_what_waits_for_its_turn_is_overdue_after_a_minute(stage: Stage) -> None:
    await stage.created("alice")
    due_at = NOW + AFTER[State.CREATED]
    for late, overdue in ((timedelta(), 0), (LATE_AFTER - MOMENT, 0), (LATE_AFTER, 1)):
        stage.now = due_at + late
        await stage.timers().measure()
        assert stage.metric("sessions_overdue", state="created", owner="platform") == overdue
        assert stage.metric("timers_late_seconds") == late.total_seconds()
    assert stage.metric("sessions", state="created") == 1
    assert stage.metric("session_state_age_seconds", state="created") == 360


async def test_a_bet_between_the_look_and_the_close_keeps_the_session_open(stage: Stage) -> None:
    seats = [await stage.active(f"player-{number}") for number in range(20)]
    played = {seat.session_id for seat in seats[::2]}
    stage.now = NOW + AFTER[State.ACTIVE]

    async def bet_first(request: Call) -> tuple[Outcome, ...]:
        (action,) = request.actions
        seat = Seat(request.player_id, action.session_id)  # type: ignore[union-attr, arg-type]
        if seat.session_id in played:
            assert (await stage.desk.ask(seat.bet(f"quick-{seat.player_id}", 10))).is_approved
        return await stage.desk.lanes.submit(request)

    assert await stage.timers(submit=bet_first).work_batch() == len(seats)
    for seat in seats:
        is_played = seat.session_id in played
        assert await stage.state(seat) == ("active" if is_played else "pending_settlement")
        assert (await stage.timer(seat))["due_at"] > stage.now
        assert await balance_of(stage.url, seat.player_id) == (989 if is_played else 999)
    assert stage.metric("timeouts_total", state="active", action="close", result="left") == 10


async def test_bets_that_race_a_timeout_are_approved_in_an_open_session_or_declined(stage: Stage) -> None:
    seats = [await stage.active(f"player-{number}") for number in range(60)]
    stage.now = NOW + AFTER[State.ACTIVE]

    async def bet(seat: Seat) -> Outcome:
        await asyncio.sleep(random.uniform(0, 0.02))
        return await stage.desk.ask(seat.bet(f"race-{seat.player_id}", 10))

    bets = asyncio.gather(*(bet(seat) for seat in seats))
    worked = await stage.timers().work_batch()
    outcomes = await bets
    assert worked == len(seats)
    for seat, outcome in zip(seats, outcomes, strict=True):
        state = await stage.state(seat)
        assert (outcome.code, state) in [("ok", "active"), ("session_not_active", "pending_settlement")]
        assert await balance_of(stage.url, seat.player_id) == (989 if outcome.is_approved else 999)


async def test_sessions_without_a_timer_are_found_and_timers_without_a_session_in_that_state_judged_anew(
    stage: Stage,
) -> None:
    lost, moved, over = [await stage.active(name) for name in ("alice", "bob", "carol")]
    await stage.pool.execute("DELETE FROM session_timer WHERE session_id = $1", lost.session_id)
    old = "UPDATE session_timer SET state = 'created', due_at = $2, claimable_at = $2 WHERE session_id = $1"
    for seat in (moved, over):
        await stage.pool.execute(old, seat.session_id, NOW)
    await stage.pool.execute(
        "UPDATE session SET state = 'settled', rounds_open = 0 WHERE id = $1", over.session_id
    )
    assert await stage.timers().turn() == 2
    for seat in (lost, moved):
        await require_timer(stage, seat, State.ACTIVE)
    assert await stage.timer(over) is None
    await stage.pool.execute(
        "UPDATE session SET state = 'active', rounds_open = 1 WHERE id = $1", over.session_id
    )
    timers = stage.timers()
    await timers.turn()
    await stage.pool.execute("DELETE FROM session_timer")
    stage.now += SEARCH_EVERY - MOMENT
    await timers.turn()
    assert await read_value(stage.url, "SELECT count(*) FROM croupier.session_timer") == 0
    stage.now += MOMENT
    await timers.turn()
    assert await read_value(stage.url, "SELECT count(*) FROM croupier.session_timer") == 3


async def test_a_clock_that_runs_away_ends_no_session(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    seat, is_one_host = await stage.created("alice"), False

    async def database_clock(pool: asyncpg.Pool) -> datetime:
        return stage.now if is_one_host else stage.now - stage.jumped

    monkeypatch.setattr("croupier.runtime.timers.work.read_database_clock", database_clock)
    timers = stage.timers(guard=ClockGuard(skew_s=5, settle_s=60))
    assert await timers.turn() == 0
    stage.jump(timedelta(days=1))
    for _ in range(3):
        assert await timers.turn() == 0
    assert stage.metric("timer_turns_total", result="clock") == 3
    assert await stage.state(seat) == "created"
    is_one_host = True
    stage.now += timedelta(seconds=59)
    assert await timers.turn() == 0, "the database has jumped with us, and both may be wrong"
    assert await stage.state(seat) == "created"
    stage.now += timedelta(seconds=1)
    assert await timers.turn() == 1
    assert await stage.state(seat) == "cancelled"


async def test_the_databases_own_clock_is_asked(stage: Stage) -> None:
    seat = await stage.created("alice")
    timers = stage.timers(guard=ClockGuard(skew_s=300, settle_s=0))
    stage.now = datetime.now(UTC) + timedelta(hours=1)
    assert await timers.turn() == 0
    assert await stage.state(seat) == "created"
    stage.now = datetime.now(UTC)
    assert await stage.timers(guard=ClockGuard(skew_s=300, settle_s=0)).turn() == 1
    assert await stage.state(seat) == "cancelled"


async def start_background(url: str) -> asyncio.subprocess.Process:
    """A background process that has begun."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "croupier.runtime.background",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "CROUPIER_TELEMETRY_LOG_LEVEL": "error"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(render_orders(Orders(url, None)))
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == READY_LINE
    return process


async def test_a_background_process_that_is_killed_in_the_middle_loses_no_timeout(
    stage: Stage, wait_until: WaitUntil
) -> None:
    seats = [await stage.created(f"player-{number}") for number in range(4 * BATCH)]
    ended = "SELECT count(*) FROM croupier.session WHERE state = 'cancelled'"
    process = await start_background(stage.url)
    try:

        async def has_begun() -> bool:
            return bool(await read_value(stage.url, ended))

        await wait_until(has_begun, timeout_s=60)
    finally:
        process.kill()
        await process.wait()
    stage.now = datetime.now(UTC) + LEASE
    while await stage.timers().turn():
        continue
    assert await read_value(stage.url, ended) == len(seats)
    closings = "SELECT session_id, count(*) FROM croupier.session_event WHERE cause = 'closed' GROUP BY 1"
    assert {row[1] for row in await read_rows(stage.url, closings)} == {1}
