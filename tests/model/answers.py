"""What callers of the second ledger are told, and what it remembers having told them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from croupier.moneypath import commands
from model.books import Line


class Refused(Exception):
    """An error: its code."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller is told about one action."""

    status: str
    code: str
    reference: str
    balance: int | None = None
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """A decided reference."""

    fingerprint: tuple[object, ...]
    told: Told
    request: UUID
    line: Line | None


def fingerprint_of(action: commands.Bet | commands.Win) -> tuple[object, ...]:
    """What may not differ in a repeat: action, target, player, asset, amount, round, game."""
    kind = "bet" if isinstance(action, commands.Bet) else action.kind.value
    return (kind, None, action.player_id, action.asset, action.amount, action.round_id, action.game_id)


def nothing_done(call: commands.Call, told: list[Told]) -> tuple[Told, ...]:
    """Every action of a stopped call is told why under its own reference; what was done before stays told."""
    stopped = told[-1]
    answers = []
    for position, action in enumerate(call.actions):
        own = told[position] if position < len(told) else None
        is_kept = own is not None and (own is stopped or own.is_repeat)
        answers.append(
            own if own and is_kept else replace(stopped, reference=getattr(action, "reference", ""))
        )
    return tuple(answers)
