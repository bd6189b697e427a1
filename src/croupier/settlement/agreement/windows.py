"""A window compared slice by slice, in bounded memory: our calls by pages, their statement read once, forward.

In memory are the calls of one slice, the movements of that slice with `BEFORE` and `SKEW` around it, and of earlier
movements only those of calls which took longer than `SHORT_LIFE` to settle, as after an outage.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct

from croupier.settlement.agreement.compare import compare, stray_references
from croupier.settlement.agreement.records import SKEW, Agreement, Held, Listed, Part, Unasked, Window

SLICE_CALLS: Final = 20_000
"""About how many calls are compared at once: those that were settled in one moment are never parted."""
SHORT_LIFE: Final = timedelta(seconds=10)
"""How long a call may take to settle that is found without being looked out for."""
BEFORE: Final = SKEW + SHORT_LIFE
"""How much of the statement is remembered before a slice."""

LoadStatement = Callable[[Window], AsyncIterator[Sequence[Listed]]]
"""Pages of what the wallet recorded in a window, in the order of time."""


class LongLived(Struct, frozen=True):
    """The calls of a window that took long to settle, and what they undo, by reference; and when the first began."""

    names: frozenset[str] = frozenset()
    since: datetime | None = None


class Sides(Protocol):
    """Our sides of a comparison."""

    async def load_slice_end(self, window: Window, calls: int) -> datetime:
        """When a slice from the start of the window ends that holds about so many calls; at most the window's end."""
        ...

    async def load_long_lived(self, window: Window, short_life: timedelta) -> LongLived:
        """Which calls settled in the window began longer before than that."""
        ...

    async def load_settled(self, window: Window) -> list[Held]:
        """The calls that were settled in a window, with what belongs to them."""
        ...

    async def load_named(self, names: Sequence[str]) -> dict[str, Held]:
        """The calls with these references at the wallet, as far as there are any."""
        ...

    async def load_unasked(self, window: Window) -> AsyncIterator[Sequence[Unasked]]:
        """The entries of a window that move a mirror without a wallet call, a page at a time."""
        yield ()  # By its body it is a generator, and no coroutine that makes one.


async def compare_window(
    sides: Sides,
    load_statement: LoadStatement,
    window: Window,
    now: Callable[[], datetime],
    *,
    slice_calls: int = SLICE_CALLS,
) -> AsyncIterator[Agreement]:
    """What is found in each slice of a window, and at last in the ledger by itself.

    Raises what the sides and the statement raise; what was found until then holds.
    """
    long_lived = await sides.load_long_lived(window, SHORT_LIFE)
    starts_at = window.starts_at - BEFORE
    if long_lived.since is not None:
        starts_at = min(starts_at, long_lived.since - SKEW)
    tape = _Tape(load_statement(Window(starts_at, window.ends_at + SKEW)), long_lived.names)
    start = window.starts_at
    while start < window.ends_at:
        end = await sides.load_slice_end(Window(start, window.ends_at), slice_calls)
        part = Window(start, end)
        await tape.move_to(part)
        yield await _compare_slice(sides, tape, part, now)
        start = end
    async for unasked in sides.load_unasked(window):
        yield compare(Part(window=window, unasked=unasked), now())


async def _compare_slice(sides: Sides, tape: _Tape, window: Window, now: Callable[[], datetime]) -> Agreement:
    # Their side was read before: whatever is listed there was asked, and written here, before that.
    held = await sides.load_settled(window)
    recorded = tape.recorded_in(window)
    elsewhere = await sides.load_named(stray_references(held, recorded))
    part = Part(window=window, held=held, listed=tape.listed, recorded=recorded, elsewhere=elsewhere)
    return compare(part, now())


class _Tape:
    """Their statement as it passes by: what was read and may still belong to something."""

    def __init__(self, pages: AsyncIterator[Sequence[Listed]], kept: frozenset[str]) -> None:
        self._pages = pages
        self._kept = kept
        self._passing: deque[Listed] = deque()
        self._listed: dict[str, list[Listed]] = {}
        self._is_at_end = False

    @property
    def listed(self) -> Mapping[str, Sequence[Listed]]:
        """What is remembered, by reference."""
        return self._listed

    async def move_to(self, window: Window) -> None:
        """Read what may belong to a slice, and forget what cannot any more."""
        self._forget(window.starts_at - BEFORE)
        until = window.ends_at + SKEW
        while not self._is_at_end and not (self._passing and self._passing[-1].recorded_at > until):
            page = await anext(self._pages, None)
            if page is None:
                self._is_at_end = True
                return
            for one in page:
                self._passing.append(one)
                self._listed.setdefault(one.reference, []).append(one)
            self._forget(window.starts_at - BEFORE)

    def recorded_in(self, window: Window) -> list[Listed]:
        """The movements that were recorded in a slice."""
        return [one for one in self._passing if window.holds(one.recorded_at)]

    def _forget(self, before: datetime) -> None:
        while self._passing and self._passing[0].recorded_at < before:
            one = self._passing.popleft()
            if one.reference not in self._kept:
                # The oldest of a reference stands first.
                remembered = self._listed[one.reference]
                remembered.pop(0)
                if not remembered:
                    del self._listed[one.reference]
