"""When a failed attempt is repeated. Pure: the time and the chance are arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

JITTER_PERCENT: Final = 10
"""How much longer a pause may become, so that what failed together does not come back together."""

_SECONDS: Final = re.compile(r"[0-9]{1,9}")


def plan_next_attempt(
    schedule_s: Sequence[int],
    *,
    attempts: int,
    now: datetime,
    chance_permille: int,
    retry_after_s: int | None = None,
) -> datetime | None:
    """When to try again after so many failed attempts; None when none is left. Chance is 0 to 999.

    What the receiver asks for with Retry-After is granted up to the pause that would come next.
    """
    if attempts > len(schedule_s):
        return None
    pause_s = schedule_s[attempts - 1]
    if retry_after_s is not None:
        longest_s = max(pause_s, *schedule_s[attempts : attempts + 1], 0)
        pause_s = min(max(pause_s, retry_after_s), longest_s)
    pause = timedelta(seconds=pause_s)
    return now + pause + pause * JITTER_PERCENT * chance_permille // 100_000


def parse_retry_after(text: str | None, now: datetime) -> int | None:
    """The seconds that a Retry-After header asks to wait; None without one and for anything unreadable."""
    if text is None:
        return None
    if _SECONDS.fullmatch(text):
        return int(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0, int((aware - now).total_seconds()))
