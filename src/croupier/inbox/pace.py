"""Right of way: while money calls are under way, webhooks take turns, a few at a time, with rests in between.

Both are answered by the same event loop, which does one thing after another. A provider that comes back with all it
owes would otherwise stand in front of every bet. Where no money call is under way, nobody waits.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

REST: Final = 100
"""How long is rested after a turn, in turns: webhooks get about a hundredth of the time, and some to be answered."""
SHORTEST_REST_S: Final = 0.001
LONGEST_REST_S: Final = 0.25
TURN_S: Final = 0.0005
"""How long one turn should take: a money call waits about as long at most."""
MOST_AT_ONCE: Final = 16
LEAST_COST_S: Final = 1e-6
CALM_S: Final = 0.02
"""How long after the last money call the next one is still expected."""


class Pace:
    """Lets webhooks through; the money calls of the same process say when they begin and end.

    `rest` is how long is rested after a turn, in turns; 0 gives nobody the right of way.
    """

    def __init__(
        self,
        rest: int = REST,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rest = rest
        self._clock = clock
        self._sleep = sleep
        self._calls = 0
        self._last_call_at = float("-inf")
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._wake = asyncio.Event()
        self._cost_s = TURN_S
        self._is_running = False

    @property
    def waiting(self) -> int:
        """How many webhooks wait for their turn."""
        return len(self._waiting)

    @property
    def wait_s(self) -> float:
        """About how long one more webhook would wait, in seconds."""
        return len(self._waiting) * self._cost_s * (1 + self._rest)

    def begin_call(self) -> None:
        """A money call is here."""
        self._calls += 1

    def end_call(self) -> None:
        """It was answered."""
        self._calls -= 1
        self._last_call_at = self._clock()

    @property
    def is_calm(self) -> bool:
        """Whether no money call is under way or was just now, or webhooks do not rest for them."""
        return self._rest == 0 or (self._calls == 0 and self._clock() - self._last_call_at > CALM_S)

    async def wait_turn(self) -> None:
        """Go on at once when all is calm or nobody gives turns, else when it is this webhook's turn."""
        if (not self._waiting and self.is_calm) or not self._is_running:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._wake.set()
        await turn

    async def run(self) -> None:
        """Give turns until cancelled; whoever waits then goes on."""
        self._is_running = True
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    await self._give_turn()
        finally:
            self._is_running = False
            self._release(len(self._waiting))

    async def _give_turn(self) -> None:
        """Let a few through and rest for what it took, longer the slower this machine is at the moment."""
        begun = self._clock()
        released = self._release(max(1, min(MOST_AT_ONCE, int(TURN_S / self._cost_s))))
        if released == 0:
            return
        # Those that were let through run before this task does again, up to where they wait for their commit.
        await self._sleep(0)
        spent_s = self._clock() - begun
        self._cost_s = max(LEAST_COST_S, self._cost_s + (spent_s / released - self._cost_s) / 8)
        if not self.is_calm:
            await self._sleep(min(LONGEST_REST_S, max(SHORTEST_REST_S, spent_s * self._rest)))

    def _release(self, most: int) -> int:
        released = 0
        while self._waiting and released < most:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                released += 1
        return released
