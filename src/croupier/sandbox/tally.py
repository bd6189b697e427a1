"""What a batch of rounds came to: counts by kind, faults planted, attacks refused, latencies."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from croupier.sandbox.client import Answer
from croupier.sandbox.plan import Expected, Planted
from croupier.sandbox.replies import Decision, Meaning, Reply, difference_apart_from_repeat

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
                self._add_latency(answer.reply.elapsed_us)

    def add_decision(self, action: str, decision: Decision) -> None:
        """Count one reference that was decided."""
        self.calls[action] += 1
        if decision.status == "approved":
            self.approved[action] += 1
        else:
            self.declined[decision.code] += 1

    def add_copies(self, reference: str, answers: Iterable[Answer]) -> None:
        """Check copies of one call against each other: equal but for `repeat`, and one original at most."""
        answers = tuple(answers)
        decided = [answer.reply for answer in answers if answer.reply and answer.meaning is Meaning.DECIDED]
        self.duplicates_sent += len(answers) - 1
        self.duplicates_absorbed += max(0, len(decided) - 1)
        is_any_lost = any(answer.is_lost for answer in answers)
        for why in violations(decided, answers, is_any_lost=is_any_lost):
            self.repeat_violations += 1
            self._note(f"{reference}: {why}")

    def add_attack(self, planted: Planted, reply: Reply | None) -> None:
        """Count an attack that was sent, and whether it got exactly the refusal it was owed."""
        self.planted[planted.kind.value] += 1
        got = None if reply is None else reply.as_refusal
        if got == planted.expected:
            self.attacks_refused[planted.kind.value] += 1
        else:
            self._note(f"{planted.kind.value}: expected {_shown(planted.expected)}, got {_shown(got)}")

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


def violations(decided: list[Reply], answers: Iterable[Answer], *, is_any_lost: bool) -> list[str]:
    """What is wrong among the answers to copies of one call; empty if nothing is."""
    if not decided:
        return []
    found = []
    if any(answer.meaning is Meaning.REFUSED for answer in answers):
        found.append("one copy was decided, another one refused")
    first = decided[0].document
    if any(difference_apart_from_repeat(first, reply.document) for reply in decided[1:]):
        found.append("the answers to copies of one call differ")
    originals = sum(not any(decision.repeat for decision in reply.decisions) for reply in decided)
    # When a reply was lost, it may have been the original's.
    if originals > 1 or (originals == 0 and not is_any_lost):
        found.append(f"{originals} answers say that they are the original")
    return found


def _shown(refusal: Expected | None) -> str:
    if refusal is None:
        return "no answer"
    return " ".join(str(part) for part in (refusal.status, refusal.code, refusal.reason) if part)
