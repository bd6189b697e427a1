"""The sections of what is asked of providers: when it is tried again, and when it is held back."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from croupier.runtime.config.forms import Duration, seconds_of


class Retries(Struct, frozen=True, forbid_unknown_fields=True):
    """How often a call to a provider is tried, within its deadline, when a fault may pass."""

    attempts: Annotated[
        int, Meta(ge=1, le=5, description="Most attempts at one call; 1 tries nothing again.")
    ] = 2
    budget_percent: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="What retries may add to all calls to a provider, in percent, for each process.",
        ),
    ] = 10


class Breakers(Struct, frozen=True, forbid_unknown_fields=True):
    """When calls to a provider are held back, and how they are tried again."""

    window: Annotated[Duration, Meta(description="The calls of so long are looked at.")] = "30s"
    min_calls: Annotated[
        int, Meta(ge=1, le=10_000, description="Fewest calls in the window before a breaker may open.")
    ] = 10
    failure_percent: Annotated[
        int, Meta(ge=1, le=100, description="It opens when so many of them failed, in percent.")
    ] = 50
    slow: Annotated[Duration, Meta(description="A call that takes as long is slow.")] = "3s"
    slow_percent: Annotated[
        int, Meta(ge=1, le=100, description="It opens when so many of them failed or were slow, in percent.")
    ] = 80
    open: Annotated[
        Duration, Meta(description="How long it stays open the first time; twice as long each time after.")
    ] = "15s"
    open_cap: Annotated[
        Duration, Meta(description="The longest it stays open; as long closed, and it begins anew.")
    ] = "5m"
    probes: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Calls let through at once, by all processes together, before it closes.",
        ),
    ] = 3
    probe_lease: Annotated[
        Duration, Meta(description="A call let through that says nothing for so long has failed.")
    ] = "30s"

    @property
    def window_s(self) -> int:
        return seconds_of(self.window)

    @property
    def slow_s(self) -> int:
        return seconds_of(self.slow)

    @property
    def open_s(self) -> int:
        return seconds_of(self.open)

    @property
    def open_cap_s(self) -> int:
        return seconds_of(self.open_cap)

    @property
    def probe_lease_s(self) -> int:
        return seconds_of(self.probe_lease)
