"""What came of webhooks: counts of what was sent and answered, in the words of the tally."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from croupier.sandbox.client import Answer
from croupier.sandbox.plan import NoticeAttack
from croupier.sandbox.replies import Expected, Meaning
from croupier.sandbox.storm import Delivery
from croupier.sandbox.tally import Tally


@dataclass(slots=True)
class Mailing:
    """Counters of one storm, or of everything so far.

    `sent` counts genuine webhooks, copies and all, however often each was tried; `accepted` the ids among them that
    were taken, once each.
    """

    tally: Tally = field(default_factory=Tally)
    sent: int = 0
    accepted: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    def add_delivery(self, delivery: Delivery, answers: Sequence[Answer], *, is_known: bool) -> bool:
        """Count the answers to the copies of a delivery, known if its id was taken before; whether it is taken now."""
        taken = sum(answer.meaning is Meaning.DECIDED for answer in answers)
        self.sent += len(answers)
        self.accepted += bool(taken) and not is_known
        self.tally.add_answers(answers, is_money=False)
        self.tally.duplicates_sent += len(answers) - (not is_known)
        self.tally.duplicates_absorbed += max(0, taken - (not is_known))
        for answer in answers:
            self.answers[_status_of(answer)] += 1
            if answer.reply is not None and is_refusal(answer):
                said = f"{answer.reply.status} {answer.reply.code}".strip()
                self.tally.add_unexpected(f"{delivery.notice.type} {delivery.webhook_id}: {said}")
        return taken > 0

    def add_attack(self, kind: NoticeAttack, owed: tuple[Expected, ...], answer: Answer) -> None:
        """Count an attack, and whether it got a refusal it was owed."""
        self.tally.add_answers([answer], is_money=False)
        self.tally.add_attack(kind, owed, answer.reply)

    def add(self, other: Mailing) -> None:
        """Add a finished one."""
        self.tally.add(other.tally)
        self.sent += other.sent
        self.accepted += other.accepted
        self.answers.update(other.answers)

    def render(self) -> dict[str, Any]:
        """The counts as JSON members."""
        counts = self.tally.render()
        kept = ("requests", "retries", "duplicates", "attacks", "unexpected", "wrong")
        return {
            "sent": self.sent,
            "accepted": self.accepted,
            "answers": dict(self.answers),
            **{name: counts[name] for name in kept},
        }


def is_refusal(answer: Answer) -> bool:
    """Whether an answer turned a webhook away for good; to be asked for it again, or nothing, is none."""
    return answer.reply is not None and answer.reply.meaning in (Meaning.REFUSED, Meaning.UNKNOWN)


def _status_of(answer: Answer) -> str:
    return "none" if answer.reply is None else str(answer.reply.status)
