"""What a batch of rounds came to: counts by kind, faults planted, attacks refused, latencies."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from croupier.sandbox.client import Answer
from croupier.sandbox.plan import Attack
from croupier.sandbox.replies import Decision, Expected, Meaning, Reply
from croupier.sandbox.wire import Wire

MOST_EXAMPLES: Final = 20
MOST_LATENCIES: Final = 100_000


@dataclass(slots=True)
class Tally:
    """Counters of one batch, or of everything so far; `wrong` holds examples of what must not happen."""

    requests: int = 0
    rounds: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    approved: Counter[str] = field(default_factory=Counter)
    declined: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    flows: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    planted: Counter[str] = field(default_factory=Counter)
    attacks_refused: Counter[str] = field(default_factory=Counter)
    duplicates_sent: int = 0
    duplicates_absorbed: int = 0
    repeat_violations: int = 0
    unexpected: int = 0
    unresolved: int = 0
    wrong: list[str] = field(default_factory=list)
    latencies_us: list[int] = field(default_factory=list)

    def add_answers(self, answers: Iterable[Answer], *, is_money: bool) -> None:
        """Count the requests, retries and latencies of a call, all copies of it."""
        for answer in answers:
            self.requests += 1 + len(answer.retries)
            self.retries.update(answer.retries)
            if is_money and answer.meaning is Meaning.DECIDED and answer.reply is not None:
                self._add_latency(answer.reply.received.elapsed_us)

    def add_decision(self, action: str, decision: Decision) -> None:
        """Count one reference that was decided."""
        self.calls[action] += 1
        if decision.status == "approved":
            self.approved[action] += 1
        else:
            self.declined[decision.code] += 1

    def add_copies(self, wire: Wire, name: str, answers: Iterable[Answer]) -> None:
        """Check copies of one call against each other, as the protocol wants them to agree."""
        answers = tuple(answers)
        decided = [answer.reply for answer in answers if answer.reply and answer.meaning is Meaning.DECIDED]
        self.duplicates_sent += len(answers) - 1
        self.duplicates_absorbed += max(0, len(decided) - 1)
        is_any_lost = any(answer.is_lost for answer in answers)
        for why in violations(wire, decided, answers, is_any_lost=is_any_lost):
            self.repeat_violations += 1
            self._note(f"{name}: {why}")

    def add_attack(self, kind: StrEnum, owed: tuple[Expected, ...], reply: Reply | None) -> None:
        """Count an attack that was sent, and whether it got exactly a refusal it was owed."""
        self.planted[kind.value] += 1
        got = None if reply is None else reply.as_refusal
        if got is not None and any(expected.is_met_by(got) for expected in owed):
            self.attacks_refused[kind.value] += 1
        else:
            expected = " or ".join(_shown(one) for one in owed)
            self._note(f"{kind.value}: expected {expected}, got {_shown(got)}")

    def add_replay(self, name: str, difference: str | None) -> None:
        """Count a replay that a protocol without nonces owes the first answer to once more; None: it got it."""
        self.planted[Attack.REPLAYED.value] += 1
        if difference is None:
            self.attacks_refused[Attack.REPLAYED.value] += 1
        else:
            self._note(f"{name}: {difference}")

    def add_unexpected(self, what: str) -> None:
        """Count a decision that the order rules do not allow."""
        self.unexpected += 1
        self._note(what)

    def add(self, other: "Tally") -> None:
        """Add a finished batch; latencies and examples stay with their batch."""
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.wrong.extend(other.wrong[: MOST_EXAMPLES - len(self.wrong)])

    def render(self) -> dict[str, Any]:
        """The counts as JSON members; latencies are microseconds of money calls that were decided."""
        return {
            **{name: getattr(self, name) for name in _NUMBERS[:2]},
            **{name: dict(getattr(self, name)) for name in _COUNTERS[:-2]},
            "duplicates": {"sent": self.duplicates_sent, "absorbed": self.duplicates_absorbed},
            "attacks": {"planted": dict(self.planted), "refused": dict(self.attacks_refused)},
            "repeat_violations": self.repeat_violations,
            "unexpected": self.unexpected,
            "unresolved": self.unresolved,
            "wrong": self.wrong,
        }

    def _add_latency(self, elapsed_us: int) -> None:
        if len(self.latencies_us) < MOST_LATENCIES:
            self.latencies_us.append(elapsed_us)

    def _note(self, what: str) -> None:
        if len(self.wrong) < MOST_EXAMPLES:
            self.wrong.append(what)


_COUNTERS: Final = (
    "calls",
    "approved",
    "declined",
    "refused",
    "flows",
    "faults",
    "retries",
    "planted",
    "attacks_refused",
)
_NUMBERS: Final = (
    "requests",
    "rounds",
    "duplicates_sent",
    "duplicates_absorbed",
    "repeat_violations",
    "unexpected",
    "unresolved",
)


def violations(
    wire: Wire, decided: list[Reply], answers: Iterable[Answer], *, is_any_lost: bool
) -> list[str]:
    """What is wrong among the answers to copies of one call; empty if nothing is."""
    if not decided:
        return []
    # A refusal that says nothing leaves open what another copy got.
    is_any_refused = any(
        answer.meaning is Meaning.REFUSED
        and (answer.reply is None or answer.reply.code not in wire.codes_that_say_nothing)
        for answer in answers
    )
    found = ["one copy was decided, another one refused"] if is_any_refused else []
    return found + wire.differences(decided, is_any_lost=is_any_lost)


def _shown(refusal: Expected | None) -> str:
    if refusal is None:
        return "no answer"
    code = "with any code" if refusal.code is None else refusal.code
    return " ".join(str(part) for part in (refusal.status, code, refusal.reason) if part)
