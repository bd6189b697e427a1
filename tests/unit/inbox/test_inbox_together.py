"""Coroutines run at once: results in their order, and nothing left running behind a failure or a cancellation."""

from __future__ import annotations

import asyncio

import pytest

from croupier.inbox.drain import _together


class Parts:
    """Coroutines that say how they ended."""

    def __init__(self) -> None:
        self.cancelled: list[int] = []

    async def wait(self, number: int, seconds: float) -> int:
        """Sleep, and give the number back."""
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return number

    async def fail(self) -> int:
        """Fail at once."""
        raise ValueError("planted")


async def test_results_come_in_the_order_of_the_parts() -> None:
    parts = Parts()
    assert await _together(parts.wait(number, 0.02 - number / 200) for number in range(4)) == [0, 1, 2, 3]
    assert await _together([]) == []


async def test_a_failure_ends_the_others() -> None:
    parts = Parts()
    with pytest.raises(ValueError, match="planted"):
        await _together([parts.wait(0, 0), parts.fail(), parts.wait(2, 60)])
    assert parts.cancelled == [2]


async def test_a_cancellation_reaches_every_part() -> None:
    parts = Parts()
    task = asyncio.create_task(_together(parts.wait(number, 60) for number in range(3)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert parts.cancelled == [0, 1, 2]
