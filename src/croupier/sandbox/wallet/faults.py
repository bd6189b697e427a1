"""How the wallet misbehaves when it is told to: the table of faults, how often each, and what was done.

A fault is drawn for a call before anything is done; a call has one at most. Those that keep the books right are honest:
a gateway must live with them. The others make the wallet wrong, and a gateway must find out.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from croupier.sandbox.wallet.orders import MOVEMENTS
from croupier.sandbox.wallet.trouble import malformed

Stage = Literal["transport", "before", "books", "reply"]
Operation = Literal["debit", "credit", "rollback", "status", "balance", "statement"]
OPERATIONS: Final[tuple[Operation, ...]] = ("debit", "credit", "rollback", "status", "balance", "statement")
LONGEST_WAIT_MS: Final = 120_000
ANY_STAGE: Final[frozenset[Stage]] = frozenset({"transport", "before", "books", "reply"})
WHOLE_REQUEST: Final[frozenset[Stage]] = frozenset({"transport"})
EACH_ITEM: Final = ANY_STAGE - WHOLE_REQUEST


class Fault(Struct, frozen=True):
    """One way to misbehave. `transport` concerns a whole request, the others one movement, also in a batch."""

    is_honest: bool
    stage: Stage
    about: str


FAULTS: Final[dict[str, Fault]] = {
    "drop": Fault(True, "transport", "closes the connection before anything"),
    "commit_then_drop": Fault(True, "transport", "commits, then closes the connection without a reply"),
    "late": Fault(True, "transport", "commits, and answers after late_ms"),
    "late_before": Fault(
        True, "transport", "waits late_ms, then commits and answers; refuses what went stale"
    ),
    "garbage": Fault(True, "transport", "commits, and answers 200 with HTML, cut JSON or no JSON"),
    "unavailable": Fault(True, "before", "answers 503 with applied no, and does nothing"),
    "status_500": Fault(True, "reply", "commits, and answers 500 with applied unknown"),
    "refuse": Fault(True, "books", "refuses without a reason, and keeps to it"),
    "wrong_amount": Fault(True, "reply", "another amount in the reply"),
    "wrong_player": Fault(True, "reply", "another player in the reply"),
    "wrong_asset": Fault(True, "reply", "another asset in the reply"),
    "wrong_reference": Fault(True, "reply", "another reference in the reply"),
    "wrong_balance": Fault(True, "reply", "another balance in the reply"),
    "contradict": Fault(False, "reply", "a repeat, or a status, says the opposite of the first answer"),
    "duplicate": Fault(False, "books", "applies a movement twice under one reference"),
    "forget": Fault(False, "books", "answers approved, and rolls its transaction back"),
}
"""All faults by name."""

SWITCHES: Final[dict[str, Fault]] = {
    "latency_ms": Fault(True, "transport", "its own time for every call, before anything is decided"),
    "clock_skew_s": Fault(True, "transport", "its clock is off: for signatures, and in recorded_at"),
    "is_down": Fault(True, "transport", "closes every connection at once, whatever is asked"),
}
"""What is on or off, and no matter of chance."""

Milliseconds = Annotated[int, Meta(ge=0, le=LONGEST_WAIT_MS)]


class Dose(Struct, frozen=True, forbid_unknown_fields=True):
    """How often: of so many calls in a hundred, and of the next so many, of these operations (movements by default)."""

    percent: Annotated[int, Meta(ge=0, le=100)] = 0
    next: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    operations: tuple[Operation, ...] = ("debit", "credit", "rollback")


class Drawn(Struct, frozen=True):
    """A fault that one call is to have, and whether it was taken from a count."""

    name: str
    is_counted: bool = False

    @property
    def stage(self) -> Stage:
        return FAULTS[self.name].stage


class ControlOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /control`; what is absent stays as it is. A number for a fault is its percentage."""

    reset: bool = False
    seed: str | None = None
    faults: dict[str, Dose | int] | None = None
    late_ms: Milliseconds | None = None
    latency_ms: Milliseconds | None = None
    clock_skew_s: Annotated[int, Meta(ge=-31_536_000, le=31_536_000)] | None = None
    is_down: bool | None = None


class Switches:
    """The switches as they are, and the count of what was done."""

    def __init__(self, *, seed: str | None = None, latency_ms: int = 0) -> None:
        self.late_ms = 3_000
        self.latency_ms = latency_ms
        self.is_down = False
        self.done: Counter[str] = Counter()
        self._doses: dict[str, Dose] = {}
        self._left: Counter[str] = Counter()
        self.chance = random.Random(seed)  # noqa: S311 (repeatable on request)

    def apply(self, order: ControlOrder) -> None:
        """Set what is given; counts of what was done stay. Raises Trouble (400) and changes nothing."""
        doses = {} if order.reset else dict(self._doses)
        for name, dose in (order.faults or {}).items():
            doses[name] = _checked(name, Dose(percent=dose) if isinstance(dose, int) else dose)
        _require_a_whole(doses)
        if order.reset:
            self.late_ms, self.latency_ms, self.is_down = 3_000, 0, False
            self._left.clear()
        self._doses = doses
        for name in order.faults or {}:
            self._left[name] = doses[name].next
        if order.seed is not None:
            self.chance = random.Random(order.seed)  # noqa: S311 (repeatable on request)
        self.late_ms = self.late_ms if order.late_ms is None else order.late_ms
        self.latency_ms = self.latency_ms if order.latency_ms is None else order.latency_ms
        self.is_down = self.is_down if order.is_down is None else order.is_down

    def draw(self, operation: str, stages: frozenset[Stage]) -> Drawn | None:
        """The fault that a call is to have, if any of these stages; a counted one is taken from its count."""
        if not self._doses:
            return None
        fitting = [
            (name, dose)
            for name, dose in self._doses.items()
            if operation in dose.operations and FAULTS[name].stage in stages
        ]
        for name, _ in fitting:
            if self._left[name] > 0:
                self._left[name] -= 1
                return Drawn(name, is_counted=True)
        number = self.chance.randrange(100)
        for name, dose in fitting:
            number -= dose.percent
            if number < 0:
                return Drawn(name)
        return None

    def tell(self, drawn: Drawn, operation: str, *, took_effect: bool = True) -> None:
        """Count what was done; a counted fault that came to nothing is left for the next call."""
        if took_effect:
            self.done[f"{drawn.name}:{operation}"] += 1
        elif drawn.is_counted and drawn.name in self._doses:
            self._left[drawn.name] += 1

    def render(self) -> dict[str, Any]:
        """The switches as JSON members, with the table of faults."""
        return {
            "faults": {
                name: {"percent": dose.percent, "next": self._left[name], "operations": dose.operations}
                for name, dose in self._doses.items()
                if dose.percent or self._left[name]
            },
            "late_ms": self.late_ms,
            "latency_ms": self.latency_ms,
            "is_down": self.is_down,
            "done": dict(sorted(self.done.items())),
            "table": FAULTS | SWITCHES,
        }


def _checked(name: str, dose: Dose) -> Dose:
    if name not in FAULTS:
        raise malformed(f"the faults are {', '.join(FAULTS)}; {name} is none")
    if not 0 <= dose.percent <= 100:
        raise malformed(f"{name}: a percentage is 0 to 100")
    if FAULTS[name].stage == "books" and any(operation not in MOVEMENTS for operation in dose.operations):
        raise malformed(f"{name} is a fault of movements only")
    if FAULTS[name].stage == "reply" and "statement" in dose.operations:
        raise malformed(f"{name} is no fault of statements")
    return dose


def _require_a_whole(doses: dict[str, Dose]) -> None:
    for operation in OPERATIONS:
        percent = sum(dose.percent for dose in doses.values() if operation in dose.operations)
        if percent > 100:
            raise malformed(f"the faults of {operation} are {percent} percent together")
