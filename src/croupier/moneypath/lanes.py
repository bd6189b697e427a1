"""The lanes of one process: they own the players' buckets between them, so that one wallet's calls keep their order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from croupier.moneypath.commands import Call
from croupier.moneypath.decide import Ask
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import BatchRecord, Lane, LaneSettings
from croupier.moneypath.outcomes import Outcome
from croupier.wallet.calls import WalletTerms


class Lanes:
    """A fixed number of lanes; a call goes to the lane of its bucket."""

    def __init__(
        self,
        count: int,
        connect: Callable[[], Awaitable[Any]],
        make_stamp: Callable[[], Stamp],
        settings: LaneSettings,
        observe: Callable[[BatchRecord], None] = lambda _: None,
        on_death: Callable[[], None] = lambda: None,
        *,
        wallet: WalletTerms | None = None,
    ) -> None:
        """Lanes that are not started yet; `wallet` are the terms of the operator's own wallet, if that is the one."""
        self._lanes = [
            Lane(number, connect, make_stamp, settings, observe, on_death, wallet=wallet)
            for number in range(count)
        ]

    def start(self) -> None:
        """Start every lane."""
        for lane in self._lanes:
            lane.start()

    async def submit(self, call: Call) -> tuple[Outcome, ...]:
        """Decide a call durably.

        Raises:
            CroupierError: nothing was decided; its kind says what that means for money.
        """
        answer = await self.decide(call)
        assert not isinstance(answer, Ask), "nobody is asked where Croupier's wallet is the one"  # noqa: S101 (narrowing)
        return answer

    async def decide(self, call: Call) -> tuple[Outcome, ...] | Ask:
        """Decide a call durably, or say durably what the operator's wallet must be asked first.

        Raises:
            CroupierError: nothing was decided; its kind says what that means for money.
        """
        return await self._lanes[call.bucket % len(self._lanes)].submit(call)

    @property
    def depth(self) -> int:
        """How many calls are waiting in all lanes."""
        return sum(lane.depth for lane in self._lanes)

    async def drain(self) -> None:
        """Decide what is waiting in every lane, and stop."""
        await asyncio.gather(*(lane.drain() for lane in self._lanes))
