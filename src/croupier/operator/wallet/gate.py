"""The gate before the wallet: so many requests at once, more in a queue in order, and some of those travel together."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Final, Generic, TypeVar

from msgspec import Struct

P = TypeVar("P")
R = TypeVar("R")


class Turn(Enum):
    """What became of waiting at the gate, where nobody carried the parcel for its owner."""

    YOURS = "yours"
    """One of the connections is the caller's, who must give it back with `release`."""
    LATE = "late"
    """The time was over before anything was sent."""
    FULL = "full"


class LateUnderway(Struct, frozen=True, gc=False):
    """The time was over after others had taken the parcel along, so many seconds before."""

    travelled_s: float


class Parcel(Generic[P, R]):
    """What waits at the gate: something that can travel with others, or None for what travels alone."""

    __slots__ = ("content", "ends_at_s", "future", "left_at_s", "size")

    def __init__(self, content: P | None, *, size: int, ends_at_s: float) -> None:
        self.content = content
        self.size = size
        self.ends_at_s = ends_at_s
        self.left_at_s: float | None = None
        self.future: asyncio.Future[R | Turn | LateUnderway] = asyncio.get_running_loop().create_future()

    def deliver(self, result: R) -> None:
        """Tell its owner what came of it, who may have gone."""
        if not self.future.done():
            self.future.set_result(result)

    def give_up(self) -> None:
        """The time is over."""
        if self.future.done():
            return
        if self.left_at_s is None:
            self.future.set_result(Turn.LATE)
        else:
            self.future.set_result(LateUnderway(time.monotonic() - self.left_at_s))


class Gate(Generic[P, R]):
    """At most `connections` turns at once; at most `queue` wait for one.

    Where `together` is more than one, parcels that wait behind one another are handed to `carry` as soon as a turn is
    free, up to so many and up to `bytes_together`; who carries gives the turn back.
    """

    def __init__(
        self,
        *,
        connections: int,
        queue: int,
        together: int,
        bytes_together: int,
        carry: Callable[[list[Parcel[P, R]]], None],
    ) -> None:
        self._free: int = connections
        self._queue: Final = queue
        self._together: Final = together
        self._bytes_together: Final = bytes_together
        self._carry = carry
        self._waiting: OrderedDict[Parcel[P, R], None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def pass_through(
        self, content: P | None, *, size: int, ends_at_s: float
    ) -> R | Turn | LateUnderway:
        """Wait for a turn, until a time of the monotonic clock; what came of the parcel where others carried it."""
        if self._free:
            self._free -= 1
            return Turn.YOURS
        if len(self._waiting) >= self._queue:
            return Turn.FULL
        left_s = ends_at_s - time.monotonic()
        if left_s <= 0:
            return Turn.LATE
        parcel: Parcel[P, R] = Parcel(content, size=size, ends_at_s=ends_at_s)
        self._waiting[parcel] = None
        timer = asyncio.get_running_loop().call_later(left_s, parcel.give_up)
        try:
            return await parcel.future
        except asyncio.CancelledError:
            # The turn may have come in the moment in which its owner was told to go.
            if not parcel.future.cancelled() and parcel.future.result() is Turn.YOURS:
                self.release()
            raise
        finally:
            timer.cancel()
            self._waiting.pop(parcel, None)

    def release(self) -> None:
        """Give a turn back: it goes to who waits longest."""
        while self._waiting:
            parcel, _ = self._waiting.popitem(last=False)
            if parcel.future.done():
                continue
            others = self._take_along(parcel)
            if others:
                self._carry([parcel, *others])
            else:
                parcel.future.set_result(Turn.YOURS)
            return
        self._free += 1

    def _take_along(self, first: Parcel[P, R]) -> list[Parcel[P, R]]:
        """Who can travel with the first: whatever follows it without a gap."""
        taken: list[Parcel[P, R]] = []
        if first.content is None:
            return taken
        size = first.size
        while self._waiting and len(taken) + 1 < self._together:
            parcel = next(iter(self._waiting))
            if parcel.future.done():
                del self._waiting[parcel]
                continue
            size += parcel.size
            if parcel.content is None or size > self._bytes_together:
                break
            del self._waiting[parcel]
            taken.append(parcel)
        for one in (first, *taken) if taken else ():
            one.left_at_s = time.monotonic()
        return taken
