"""A scenario: what is tried, why it matters, what to do when it fails, and the contract's line that demands it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from msgspec import Struct

from croupier.conformance.wallet.rules import Rule
from croupier.conformance.wallet.stage import Stage

Play = Callable[[Stage], Awaitable[None]]

ALWAYS: Final = ""
BATCH: Final = "batch"
STATEMENT: Final = "statement"

PASSED: Final = "passed"
FAILED: Final = "failed"
REMARK: Final = "remark"
LEFT_OUT: Final = "left_out"


class Scenario(Struct, frozen=True, kw_only=True):
    """One promise of the contract and how it is tried. `needs` names a call without which it means nothing."""

    group: str
    name: str
    title: str
    why: str
    fix: str
    rule: Rule
    play: Play
    needs: str = ALWAYS

    @property
    def id(self) -> str:
        return f"{self.group}/{self.name}"


class Result(Struct, frozen=True, kw_only=True):
    """What became of a scenario. `exchanges` are pairs of request and answer, masked; empty when it passed."""

    scenario: Scenario
    status: str
    expected: str = ""
    came: str = ""
    notes: tuple[str, ...] = ()
    exchanges: tuple[tuple[str, str], ...] = ()
    left_out: int = 0


def scenario(
    title: str, *, why: str, fix: str, rule: Rule, needs: str = ALWAYS, name: str = ""
) -> Callable[[Play], Scenario]:
    """Make a scenario of a play; its name is the function's unless one is given, its group the module's."""

    def make(play: Play) -> Scenario:
        group = play.__module__.rpartition(".")[2]
        own = name or str(getattr(play, "__name__", ""))
        return Scenario(
            group=group, name=own, title=title, why=why, fix=fix, rule=rule, play=play, needs=needs
        )

    return make


def choose(scenarios: Iterable[Scenario], only: Iterable[str]) -> list[Scenario]:
    """The scenarios that are named by group or id, all of them when none is; KeyError for a name of neither."""
    known, wanted = list(scenarios), set(only)
    names = {one.group for one in known} | {one.id for one in known}
    if strangers := sorted(wanted - names):
        raise KeyError(strangers[0])
    return [one for one in known if not wanted or {one.group, one.id} & wanted]
