"""What a batch of rounds works with, and what becomes of a call once its copies were answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from msgspec import Struct

from croupier.sandbox.book import Book, effect_of, standing
from croupier.sandbox.calls import Call, Seat
from croupier.sandbox.client import Answer, GatewayClient
from croupier.sandbox.crash_table import CrashTable
from croupier.sandbox.jackpots import Jackpots
from croupier.sandbox.notices import Notices
from croupier.sandbox.plan import Move
from croupier.sandbox.purse import Purse
from croupier.sandbox.replies import Meaning, Reply
from croupier.sandbox.tally import Tally
from croupier.sandbox.wire import Signed, Wire

STOPPING_CODES: Final = frozenset({"session_not_active", "player_restricted", "limit_reached"})
"""Declines after which a session's later bets have no chance either."""


@dataclass(slots=True)
class Stage:
    """What a batch of rounds shares; the stake and the balance (None: not known) are in minor units."""

    client: GatewayClient
    book: Book
    table: CrashTable
    tally: Tally
    seat: Seat
    seed: str
    stake_minor: int
    balance_minor: int | None = None
    purse: Purse = field(default_factory=Purse)
    notices: Notices = field(default_factory=Notices)
    jackpots: Jackpots = field(default_factory=Jackpots)

    @property
    def wire(self) -> Wire:
        """The protocol that is spoken."""
        return self.client.wire


class Result(Struct, frozen=True):
    """How a call ended for the round; `code` is the decision's or the refusal's.

    `accepted` is the request that was decided and `reply` the decision. `is_to_undo`: the protocol wants the bet
    rolled back. `effect_minor`: what it did to the balance, None if that is not known. What is told by webhook only
    has no answer: play goes on as if it were done.
    """

    kind: Literal["approved", "declined", "refused", "unknown", "undone", "told"]
    code: str
    accepted: Signed | None = None
    reply: Reply | None = None
    is_to_undo: bool = False
    effect_minor: int | None = 0

    @property
    def is_approved(self) -> bool:
        """Whether the gateway did what was asked."""
        return self.kind == "approved"

    @property
    def is_made(self) -> bool:
        """Whether the gateway did what was asked, or will once it hears of it."""
        return self.kind in ("approved", "told")

    @property
    def stops_session(self) -> bool:
        """Whether, being a bet's, it makes further rounds of the session pointless."""
        return self.kind in ("refused", "unknown") or self.code in STOPPING_CODES


def settle_call(stage: Stage, call: Call, answers: list[Answer]) -> Result:
    """Count and write down what became of a call, from the answers to all its copies."""
    stage.tally.add_answers(answers, is_money=call.move is not Move.CLOSE)
    stage.tally.add_copies(stage.wire, call.name, answers)
    _report_findings(stage, call, answers)
    for answer in answers:
        if answer.meaning is Meaning.DECIDED and answer.reply is not None:
            return _settle_decided(stage, call, answer.reply, answer.signed)
    reference = call.items[0].reference
    for answer in answers:
        if answer.meaning is Meaning.REFUSED and answer.reply is not None:
            stage.tally.refused[answer.reply.code] += 1
            stage.book.drop_unresolved(reference)
            return Result("refused", answer.reply.code, is_to_undo=answer.reply.is_to_undo)
    stage.tally.unresolved += 1
    stage.book.keep_unresolved(call)
    return Result("unknown", "unresolved", effect_minor=None)


def _report_findings(stage: Stage, call: Call, answers: list[Answer]) -> None:
    found = {finding for answer in answers if answer.reply is not None for finding in answer.reply.findings}
    for finding in sorted(found):
        stage.tally.add_unexpected(f"{call.name}: {finding}")


def _settle_decided(stage: Stage, call: Call, reply: Reply, signed: Signed) -> Result:
    answered = [decision.reference for decision in reply.decisions]
    if answered != [item.reference for item in call.items]:
        stage.tally.add_unexpected(f"{call.name}: the answer is about {answered}")
        return Result("unknown", "other_references", effect_minor=None)
    stage.book.record(call, reply.decisions)
    decided = standing(call, reply.decisions)
    for item, decision in decided:
        stage.tally.add_decision(item.action, decision)
        if decision.balance is not None:
            stage.balance_minor = int(decision.balance.amount)
    effect = sum(effect_of(item, decision) for item, decision in decided)
    declined = next((decision for decision in reply.decisions if decision.status != "approved"), None)
    if declined is not None:
        return Result("declined", declined.code, signed, reply)
    return Result("approved", decided[0][1].code, signed, reply, effect_minor=effect)
