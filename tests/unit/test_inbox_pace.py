"""Right of way: a money call never waits for more than a few webhooks, and webhooks get on all the same (I9, I12)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from croupier.inbox.pace import CALM_S, LONGEST_REST_S, MOST_AT_ONCE, REST, SHORTEST_REST_S, TURN_S, Pace


class Time:
    """A clock that webhooks move, and rests that are only written down."""

    def __init__(self) -> None:
        self.now = 100.0
        self.rests: list[float] = []
        self.has_rested = asyncio.Event()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        if seconds:
            self.rests.append(seconds)
            self.has_rested.set()
            self.now += seconds
        await asyncio.sleep(0)


@asynccontextmanager
async def running(time: Time, rest: int = REST) -> AsyncIterator[Pace]:
    pace = Pace(rest, clock=time.clock, sleep=time.sleep)
    task = asyncio.create_task(pace.run())
    await asyncio.sleep(0)
    try:
        yield pace
    finally:
        task.cancel()
        await asyncio.wait({task})


async def flood(
    pace: Pace, time: Time, count: int, cost_s: float, note: Callable[[int], None] = lambda _: None
) -> None:
    """So many webhooks at once, each of which takes so long."""

    async def one(number: int) -> None:
        await pace.wait_turn()
        time.now += cost_s
        note(number)

    async with asyncio.timeout(10):
        await asyncio.gather(*(one(number) for number in range(count)))


async def test_nobody_waits_while_no_money_call_is_under_way() -> None:
    time = Time()
    pace = Pace(clock=time.clock, sleep=time.sleep)
    async with asyncio.timeout(1):
        for _ in range(1_000):
            await pace.wait_turn()
    assert pace.waiting == 0


async def test_with_money_under_way_webhooks_rest_for_what_they_took() -> None:
    time = Time()
    async with running(time) as pace:
        pace.begin_call()
        await flood(pace, time, 400, cost_s=TURN_S / 5)
    worked, rested = 400 * TURN_S / 5, sum(time.rests)
    assert rested == pytest.approx(worked * REST, rel=0.25)


async def test_how_long_is_rested_is_the_operators_to_say() -> None:
    time = Time()
    async with running(time, rest=7) as pace:
        pace.begin_call()
        await flood(pace, time, 400, cost_s=TURN_S / 5)
    assert sum(time.rests) == pytest.approx(400 * TURN_S / 5 * 7, rel=0.25)


async def test_without_rest_nobody_has_the_right_of_way() -> None:
    time = Time()
    async with running(time, rest=0) as pace:
        pace.begin_call()
        assert pace.is_calm
        await flood(pace, time, 400, cost_s=TURN_S)
    assert time.rests == []


async def test_they_go_on_in_the_order_they_came() -> None:
    time, seen = Time(), list[int]()
    async with running(time) as pace:
        pace.begin_call()
        await flood(pace, time, 100, TURN_S / 10, seen.append)
    assert seen == list(range(100))


@pytest.mark.parametrize("cost_s", [0.0, TURN_S / 100, TURN_S / 4, TURN_S, TURN_S * 10])
async def test_a_turn_is_short_whatever_a_webhook_takes(cost_s: float) -> None:
    """A money call that arrives in the middle waits for the rest of one turn."""
    time = Time()
    ended: list[float] = []
    async with running(time) as pace:
        pace.begin_call()
        await flood(pace, time, 500, cost_s, lambda _: ended.append(time.now))
    turns: list[list[float]] = [[]]
    for before, after in zip([ended[0], *ended], ended, strict=False):
        if after - before > cost_s + SHORTEST_REST_S / 2:
            turns.append([])
        turns[-1].append(after)
    late = turns[len(turns) // 2 :]
    assert max(len(turn) for turn in turns) <= MOST_AT_ONCE
    assert max(len(turn) * cost_s for turn in late) <= max(TURN_S * 1.2, cost_s)
    assert all(SHORTEST_REST_S <= rest <= LONGEST_REST_S for rest in time.rests)


async def test_a_moment_after_the_last_money_call_nobody_waits_any_more() -> None:
    time = Time()
    async with running(time) as pace:
        calm = [pace.is_calm]
        pace.begin_call()
        calm.append(pace.is_calm)
        pace.end_call()
        calm.append(pace.is_calm)
        time.now += CALM_S * 1.01
        assert [*calm, pace.is_calm] == [True, False, False, True]
        await flood(pace, time, 200, TURN_S)
    assert time.rests == []


async def test_whoever_waits_when_calm_returns_is_let_through_without_rest() -> None:
    time = Time()
    async with running(time) as pace:
        pace.begin_call()
        waiting = asyncio.create_task(flood(pace, time, 200, TURN_S))
        await time.has_rested.wait()
        pace.end_call()
        time.now += CALM_S * 2
        rests = len(time.rests)
        await waiting
    assert len(time.rests) <= rests + 1


async def test_the_wait_that_is_told_grows_with_those_who_wait() -> None:
    time = Time()
    async with running(time) as pace:
        pace.begin_call()
        assert pace.wait_s == 0
        waiting = asyncio.create_task(flood(pace, time, 1_000, TURN_S))
        await time.has_rested.wait()
        assert pace.waiting > 900
        assert pace.wait_s == pytest.approx(pace.waiting * TURN_S * (1 + REST), rel=0.2)
        await waiting
        assert pace.wait_s == 0


async def test_those_who_gave_up_take_no_turn() -> None:
    time, seen = Time(), list[int]()
    async with running(time) as pace:
        pace.begin_call()
        gone = [asyncio.create_task(pace.wait_turn()) for _ in range(50)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await flood(pace, time, 3, TURN_S, seen.append)
    assert seen == [0, 1, 2]
    assert len(time.rests) <= 3


async def test_nobody_waits_for_turns_that_nobody_gives() -> None:
    time = Time()
    pace = Pace(clock=time.clock, sleep=time.sleep)
    pace.begin_call()
    await flood(pace, time, 100, TURN_S)
    assert time.rests == []


async def test_nobody_is_left_waiting_at_the_end() -> None:
    time = Time()
    async with running(time) as pace:
        pace.begin_call()
        waiting = asyncio.create_task(flood(pace, time, 500, TURN_S))
        await time.has_rested.wait()
    await waiting
