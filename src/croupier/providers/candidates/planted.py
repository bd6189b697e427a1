"""What is wrong with `softswiss_v3`, as the shadow must tell it: nothing less, and nothing else.

It stands outside the candidate, so that whoever compares need not import its code.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Planted(Struct, frozen=True, order=True):
    """One fault: in which operation and member, and of which classes the two values are."""

    operation: str
    path: str
    live: str
    candidate: str


WIN_CONVERTED_TWICE: Final = Planted("betwin", "actions[win].amount", "number", "number ×100")
END_NOT_READ: Final = Planted("betwin", "actions[close_round]", "present", "absent")
ROLLBACK_OF_ITSELF: Final = Planted("rollback", "actions[rollback].target_reference", "text", "other text")
POOR_IS_LIMITED: Final = Planted("betwin", "answer.meta.api_code", "100", "105")
LONG_BATCH: Final = Planted("betwin", "failure", "answered", "IndexError in _require_short")

PLANTED: Final = (WIN_CONVERTED_TWICE, END_NOT_READ, ROLLBACK_OF_ITSELF, POOR_IS_LIMITED, LONG_BATCH)
"""Every fault there is."""

LONGEST_BATCH: Final = 3
"""More transactions than this in one `/betwin` make the candidate raise."""
