"""What an operator of the sandbox may switch while it runs: default misbehaviour, and how launches fail."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from croupier.sandbox.plan import WELL_BEHAVED, Rates
from croupier.sandbox.refusals import Refusal

LONGEST_OUTAGE_S: Final = 3_600
HANG_S: Final = 60.0
Mode = Literal["normal", "unavailable", "hang", "lose_reply"]


class LaunchFault(Struct, frozen=True, forbid_unknown_fields=True):
    """How launches are answered for so many seconds, at one account or at all of them.

    `unavailable`: 503. `hang`: nothing is answered until the caller gives up. `lose_reply`: the session is
    opened, and the connection is closed instead of an answer.
    """

    mode: Mode
    for_s: Annotated[int, Meta(ge=1, le=LONGEST_OUTAGE_S)] = 60
    account: str | None = None


class ControlOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `PUT /control`; what is absent stays as it is."""

    misbehaviour: Rates | str | None = None
    launch: LaunchFault | None = None


@dataclass(slots=True)
class Control:
    """The switches as they are."""

    rates: Rates = WELL_BEHAVED
    failed: Counter[str] = field(default_factory=Counter)
    """Launches that failed on request, by account."""
    _faults: dict[str | None, tuple[Mode, float]] = field(default_factory=dict, repr=False)

    def apply(self, rates: Rates | None, launch: LaunchFault | None) -> None:
        """Set what is given."""
        self.rates = rates or self.rates
        if launch is not None:
            self._faults[launch.account] = (launch.mode, time.monotonic() + launch.for_s)

    def launch_mode(self, account: str | None = None) -> Mode:
        """How a launch is answered now: at an account as it was told, else as all of them."""
        for name in (account, None):
            mode, until_s = self._faults.get(name, ("normal", 0.0))
            if mode != "normal" and time.monotonic() < until_s:
                return mode
        return "normal"

    async def stumble(self, account: str, stopping: asyncio.Event) -> None:
        """Fail a launch before it is read, if launches are to fail so; raises Refusal.

        A hanging one answers nothing for so long that no caller waits; a stop ends it.
        """
        mode = self.launch_mode(account)
        if mode in ("normal", "lose_reply"):
            return
        self.failed[account] += 1
        if mode == "unavailable":
            raise Refusal(503, "unavailable", "the studio is down, as it was told to be")
        try:
            async with asyncio.timeout(HANG_S):
                await stopping.wait()
        except TimeoutError:
            pass
        raise Refusal(503, "unavailable", "the studio did not answer in time, as it was told to")

    def render(self) -> dict[str, Any]:
        """The switches as JSON members; rates of 0 are left out."""
        return {
            "misbehaviour": msgspec.to_builtins(self.rates),
            "launch": {"mode": self.launch_mode()},
            "failed_launches": dict(self.failed),
        }
