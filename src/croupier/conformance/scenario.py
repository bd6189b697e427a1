"""A scenario: what is proven, what it needs, and the play in canonical steps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct

from croupier.conformance.speaker import Traits
from croupier.conformance.stage import Stage
from croupier.providers.manifest import Capability, Manifest

Play = Callable[[Stage], Awaitable[None]]
Fit = Callable[[Manifest, Traits], str]
"""Why a scenario does not fit a protocol; empty where it does."""


def _fits_all(_: Manifest, __: Traits) -> str:
    return ""


class Scenario(Struct, frozen=True, kw_only=True):
    """One promise and how it is tried. `proves` are the capabilities without which it means nothing."""

    name: str
    group: str
    claim: str
    proves: tuple[Capability, ...]
    fit: Fit
    play: Play

    def reason_to_leave_out(self, manifest: Manifest, traits: Traits) -> str:
        """Why the protocol need not play it; empty where it must."""
        for opt_out in manifest.opt_outs:
            if opt_out.scenario == self.name:
                return opt_out.reason
        missing = [capability.value for capability in self.proves if capability not in manifest.capabilities]
        if missing:
            return f"the manifest does not declare {', '.join(missing)}"
        return self.fit(manifest, traits)


def scenario(*proves: Capability, claim: str, fit: Fit = _fits_all) -> Callable[[Play], Scenario]:
    """Make a scenario of a play; its name is the function's, its group the module's."""

    def make(play: Play) -> Scenario:
        group = play.__module__.rpartition(".")[2]
        name = getattr(play, "__name__", "")
        return Scenario(name=name, group=group, claim=claim, proves=proves, fit=fit, play=play)

    return make


PASSED: Final = "passed"
FAILED: Final = "failed"
OPTED_OUT: Final = "opted_out"


class Result(Struct, frozen=True, kw_only=True):
    """What became of a scenario with one account. `why` is empty when it passed; the exchange is masked."""

    scenario: str
    group: str
    claim: str
    status: str
    why: str = ""
    notes: tuple[str, ...] = ()
    request: str = ""
    answer: str = ""
