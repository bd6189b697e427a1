"""Actions and outcomes as the recorded fixtures write them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from croupier.ids import JOURNAL, parse_id
from croupier.moneypath.commands import Action
from croupier.moneypath.outcomes import Outcome


def describe(action: Action) -> dict[str, Any]:
    """An action's name and everything in it that is not a default or the moment it arrived."""
    given: dict[str, Any] = {"action": type(action).__name__}
    for field in structs.fields(action):
        value = getattr(action, field.name)
        if field.name != "occurred_at" and value != field.default:
            given[field.name] = msgspec.to_builtins(value)
    return given


def outcome_of(recorded: dict[str, Any]) -> Outcome:
    """A recorded outcome."""
    journal = recorded["journal_id"]
    return Outcome(**recorded | {"journal_id": None if journal is None else parse_id(JOURNAL, journal)})
