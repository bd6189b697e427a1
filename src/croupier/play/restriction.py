"""Restrictions: a player who may not stake any more. Credits are never touched. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct


class RestrictionKind(StrEnum):
    """Why a player may not stake."""

    SELF_EXCLUSION = "self_exclusion"
    BLOCK = "block"
    LOCATION_LOST = "location_lost"


class Restriction(Struct, frozen=True, gc=False):
    """One reason of one player not to stake, in force until a time or until it is lifted; it is never removed.

    `placed_by` and `lifted_by` are the API keys that asked for it.
    """

    bucket: int
    player_id: str
    id: UUID
    kind: str
    reason: str
    placed_by: str
    placed_at: datetime
    until: datetime | None
    lifted_at: datetime | None = None
    lifted_by: str | None = None
    lift_reason: str | None = None

    def is_in_force(self, now: datetime) -> bool:
        """Whether it holds at this time."""
        return self.lifted_at is None and (self.until is None or now < self.until)
