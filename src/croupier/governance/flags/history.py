"""What became of flags, and which change a rollback undoes; pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from croupier.governance.flags.rules import Target


class Cause(StrEnum):
    """Why a flag changed."""

    MANUAL = "manual"
    GUARD = "guard"
    ROLLBACK = "rollback"


class Change(Struct, frozen=True, kw_only=True):
    """One line of a target's history; shares in basis points, None for no rule."""

    target: Target
    version: int
    at: datetime
    from_bps: int | None
    to_bps: int | None
    cause: Cause
    undoes: int | None
    """The version that a rollback took back."""
    actor: str
    reason: str


def find_last(changes: Iterable[Change]) -> Change | None:
    """The newest change of a target that is still in effect: no rollback, and none that one took back.

    `changes` are the target's, newest first. So a second rollback goes one step further back, never forth.
    """
    undone: set[int] = set()
    for change in changes:
        if change.undoes is not None:
            undone.add(change.undoes)
        elif change.version not in undone:
            return change
    return None
