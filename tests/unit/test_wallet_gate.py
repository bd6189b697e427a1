"""The gate before the operator's wallet: bounds, order, deadlines, and what travels together."""

from __future__ import annotations

import asyncio
import time

import pytest

from croupier.operator.wallet.gate import Gate, LateUnderway, Parcel, Turn


class Carried:
    """A gate of numbers, whose parcels are answered with ten times themselves when the test says so."""

    def __init__(self, *, connections: int = 1, queue: int = 10, together: int = 1, size: int = 100) -> None:
        self.loads: list[list[Parcel[int, int]]] = []
        self.gate: Gate[int, int] = Gate(
            connections=connections,
            queue=queue,
            together=together,
            bytes_together=size,
            carry=self.loads.append,
        )

    def go(
        self, content: int | None, *, size: int = 1, left_s: float = 5.0
    ) -> asyncio.Task[int | Turn | LateUnderway]:
        return asyncio.create_task(
            self.gate.pass_through(content, size=size, ends_at_s=time.monotonic() + left_s)
        )

    def numbers(self) -> list[list[int | None]]:
        return [[parcel.content for parcel in load] for load in self.loads]

    def arrive(self) -> None:
        for parcel in self.loads.pop(0):
            assert parcel.content is not None
            parcel.deliver(parcel.content * 10)
        self.gate.release()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_turns_go_around_in_the_order_of_asking() -> None:
    carried = Carried(connections=2)
    calls = [carried.go(n) for n in range(5)]
    await settle()
    for done in range(2, 6):
        assert [call.done() for call in calls] == [True] * done + [False] * (5 - done)
        carried.gate.release()
        await settle()
    assert {call.result() for call in calls} == {Turn.YOURS}
    carried.gate.release()
    assert await carried.go(9) is Turn.YOURS


async def test_more_than_may_wait_is_told_at_once() -> None:
    carried = Carried(queue=2)
    calls = [carried.go(n) for n in range(4)]
    await settle()
    assert calls[3].result() is Turn.FULL
    assert carried.gate.waiting == 2
    calls[1].cancel()
    await settle()
    assert carried.gate.waiting == 1
    assert not carried.go(5).done()


async def test_whoever_waits_too_long_is_told_and_takes_no_turn() -> None:
    carried = Carried()
    assert await carried.go(1) is Turn.YOURS
    hurried, patient = carried.go(2, left_s=0.01), carried.go(3)
    assert await hurried is Turn.LATE
    assert await carried.go(4, left_s=-1) is Turn.LATE
    assert carried.gate.waiting == 1
    carried.gate.release()
    assert await patient is Turn.YOURS


async def test_a_turn_that_comes_when_its_owner_goes_is_passed_on() -> None:
    carried = Carried()
    assert await carried.go(1) is Turn.YOURS
    going, patient = carried.go(2), carried.go(3)
    await settle()
    carried.gate.release()
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert await patient is Turn.YOURS
    carried.gate.release()
    assert await carried.go(4) is Turn.YOURS


async def test_what_waits_one_behind_the_other_travels_together() -> None:
    carried = Carried(together=3)
    assert await carried.go(1) is Turn.YOURS
    calls = [carried.go(n) for n in (2, 3, 4, 5)]
    await settle()
    carried.gate.release()
    assert carried.numbers() == [[2, 3, 4]]
    carried.arrive()
    assert [await call for call in calls[:3]] == [20, 30, 40]
    assert await calls[3] is Turn.YOURS, "one that waits alone goes alone"


async def test_what_travels_alone_ends_a_load() -> None:
    carried = Carried(together=10)
    assert await carried.go(1) is Turn.YOURS
    calls = [carried.go(n) for n in (2, 3, None, 5, 6)]
    await settle()
    carried.gate.release()
    assert carried.numbers() == [[2, 3]]
    carried.arrive()
    assert await calls[2] is Turn.YOURS
    carried.gate.release()
    assert carried.numbers() == [[5, 6]]


async def test_a_load_is_bounded_in_bytes() -> None:
    carried = Carried(together=10, size=100)
    assert await carried.go(1) is Turn.YOURS
    calls = [carried.go(n, size=40) for n in (2, 3, 4)] + [carried.go(5, size=400)]
    await settle()
    carried.gate.release()
    assert carried.numbers() == [[2, 3]]
    carried.arrive()
    assert await calls[2] is Turn.YOURS, "the next one is too large to travel with it"
    carried.gate.release()
    assert await calls[3] is Turn.YOURS


async def test_whoever_is_gone_travels_with_nobody() -> None:
    carried = Carried(together=10)
    assert await carried.go(1) is Turn.YOURS
    gone, late, last = carried.go(2), carried.go(3, left_s=0.01), carried.go(4)
    gone_too = carried.go(5)
    assert await late is Turn.LATE
    gone.cancel()
    gone_too.cancel()
    carried.gate.release()
    assert await last is Turn.YOURS
    assert carried.loads == []


async def test_whoever_cannot_wait_for_a_load_is_told_that_it_is_under_way() -> None:
    carried = Carried(together=2)
    assert await carried.go(1) is Turn.YOURS
    hurried, patient = carried.go(2, left_s=0.02), carried.go(3)
    await settle()
    carried.gate.release()
    late = await hurried
    assert isinstance(late, LateUnderway)
    assert 0 < late.travelled_s < 5
    carried.arrive()
    assert await patient == 30
