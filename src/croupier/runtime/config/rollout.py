"""The section of guarded rollouts: what an account that takes over may do wrong before no more players go to it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from croupier.runtime.config.forms import Duration, seconds_of


class Rollout(Struct, frozen=True, forbid_unknown_fields=True):
    """When a rollout is halted by itself; each limit is the most that is let through."""

    window: Annotated[
        Duration,
        Meta(description="The launches of so long are looked at, since the share last changed."),
    ] = "15m"
    min_launches: Annotated[
        int, Meta(ge=1, le=10_000, description="Fewest launches before their errors count.")
    ] = 20
    error_percent: Annotated[
        int, Meta(ge=0, le=100, description="How many of them may fail, in percent.")
    ] = 10
    launch_grace: Annotated[
        Duration, Meta(description="A session that is not launched after so long counts as failed.")
    ] = "60s"
    settlement_lag: Annotated[
        Duration, Meta(description="A session that waits for its settlement for longer is late.")
    ] = "1h"
    late_settlements: Annotated[int, Meta(ge=0, le=999, description="How many sessions may be late.")] = 0
    mismatches: Annotated[
        int, Meta(ge=0, le=100_000, description="How many breaks may be open since the share last changed.")
    ] = 0

    @property
    def window_s(self) -> int:
        return seconds_of(self.window)

    @property
    def launch_grace_s(self) -> int:
        return seconds_of(self.launch_grace)

    @property
    def settlement_lag_s(self) -> int:
        return seconds_of(self.settlement_lag)
