"""Trying again: which faults may pass, how long to wait, and how many tries a provider can bear. Pure.

Only the kind of fault decides, never its words. A retry waits with full jitter, or for what the provider asked; it
fits into the deadline of the first attempt or is not made. A budget keeps a sick provider from being hit twice as hard
by everybody at once: every call earns a part of a retry, and a retry spends a whole one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from msgspec import Struct

from croupier.providers.contract import Reply

PASSING_STATUSES: Final = frozenset({429, 500, 502, 503, 504})
PASSING_FAULTS: Final = frozenset({"timeout", "reset", "unreachable", "name_not_found"})
PERCENT: Final = 100


class RetrySettings(Struct, frozen=True, kw_only=True):
    """How often one call is tried, and what share of all calls to a provider retries may add, in percent."""

    attempts: int = 2
    first_pause_s: float = 0.2
    """The longest pause before the first retry; twice as long before each further one."""
    budget_percent: int = 10
    saved: int = 20
    """Most retries that a quiet time can save up."""


class RetryBudget:
    """What retries at one provider may still be spent. It begins empty: retries are earned."""

    __slots__ = ("_earned", "_settings")

    def __init__(self, settings: RetrySettings) -> None:
        self._settings = settings
        self._earned = 0

    @property
    def remaining_percent(self) -> int:
        """How full it is."""
        most = self._settings.saved * PERCENT
        return self._earned * PERCENT // most if most else 0

    def earn(self) -> None:
        """A call was made for the first time."""
        most = self._settings.saved * PERCENT
        self._earned = min(most, self._earned + self._settings.budget_percent)

    def spend(self) -> bool:
        """Whether one retry may be made; it is paid for then."""
        if self._earned < PERCENT:
            return False
        self._earned -= PERCENT
        return True


def may_pass(came: Reply | str) -> bool:
    """Whether the same call may succeed another time, by the reply or by the word for why there is none."""
    return came in PASSING_FAULTS if isinstance(came, str) else came.status in PASSING_STATUSES


def plan_pause(
    retry: int, asked_s: float | None, *, left_s: float, settings: RetrySettings, chance: float
) -> float | None:
    """How long to wait before a retry (1 for the first), in seconds; None when it would come too late.

    `asked_s` is what the provider asked for; `chance`, from 0 to 1, spreads the others.
    """
    pause_s = settings.first_pause_s * 2 ** min(retry - 1, 30) * chance if asked_s is None else asked_s
    return pause_s if pause_s < left_s else None


def read_retry_after_s(came: Reply | str, now: datetime) -> float | None:
    """What a reply asks to wait, in seconds or until a date (RFC 9110, 10.2.3); None for nothing or nonsense."""
    if isinstance(came, str):
        return None
    values = [value for name, value in came.headers if name == b"retry-after"]
    if len(values) != 1:
        return None
    text = values[0].decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        # A number of any length is a long wait; the power of its digits is nobody's business.
        return float(text) if len(text) <= 9 else float("inf")
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())
