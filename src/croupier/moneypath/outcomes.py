"""Outcomes: final business decisions, stored under their reference and repeated for ever."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from msgspec import Struct

APPROVED: Final = "approved"
DECLINED: Final = "declined"
TOMBSTONE: Final = "tombstone"

OK: Final = "ok"
INSUFFICIENT_FUNDS: Final = "insufficient_funds"
SESSION_NOT_ACTIVE: Final = "session_not_active"
ROUND_CLOSED: Final = "round_closed"
LIMIT_REACHED: Final = "limit_reached"
PLAYER_RESTRICTED: Final = "player_restricted"
TOMBSTONED: Final = "tombstoned"
NOTHING_TO_ROLL_BACK: Final = "nothing_to_roll_back"
ALREADY_ROLLED_BACK: Final = "already_rolled_back"
ALREADY_PAID: Final = "already_paid"
"""A win whose fact was paid under another reference: approved, without effect, and a break tells a person."""
REPORTED: Final = "reported"
"""What was asked is work for a person, who has been told."""
ROLLED_BACK_IN_PART: Final = "rolled_back_in_part"
"""A spent win under a protocol that takes back only what the wallet still holds."""

DECLINE_CODES: Final = frozenset(
    {INSUFFICIENT_FUNDS, SESSION_NOT_ACTIVE, ROUND_CLOSED, LIMIT_REACHED, PLAYER_RESTRICTED, TOMBSTONED}
)


class Outcome(Struct, frozen=True, gc=False):
    """One decision: status and code, the journal entry if money moved, the balance at that moment in minor units.

    `is_repeat` tells that the decision was made before; everything else then equals the original.
    `decision_id` is the id of the request that was decided first, the same in every repeat: an id of ours for what
    moved nothing too. `current_balance` is the wallet's now, for protocols whose repeats show that instead.
    `moved` is how the player's wallet changed by it, in minor units, unless it is a repeat. `is_expected`: money of
    the player is under way with the operator's wallet, and the balances are what they will be when it has arrived.
    `answer` carries a stored operator answer (status, body) that is replayed instead of a new decision.
    """

    status: str
    code: str
    reference: str
    journal_id: UUID | None = None
    balance: int | None = None
    asset: str | None = None
    is_repeat: bool = False
    session_id: UUID | None = None
    answer: tuple[int, str] | None = None
    decision_id: UUID | None = None
    current_balance: int | None = None
    moved: int = 0
    is_expected: bool = False

    @property
    def is_approved(self) -> bool:
        """Whether the caller got what was asked."""
        return self.status == APPROVED
