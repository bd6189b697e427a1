"""What became of one attempt to hand an event over, judged by the answer alone. Pure."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

GONE: Final = 410
LONGEST_ERROR: Final = 300
LONGEST_EXCERPT: Final = 500


class Answer(Struct, frozen=True, kw_only=True):
    """How an attempt ended: the status if there was an answer, why it failed, the beginning of what was said.

    `error` is None exactly when the event was taken. `excerpt` is kept of failures only.
    """

    duration_ms: int
    status: int | None = None
    error: str | None = None
    excerpt: str | None = None
    retry_after_s: int | None = None

    @property
    def is_delivered(self) -> bool:
        return self.error is None

    @property
    def is_gone(self) -> bool:
        return self.status == GONE


def judge_status(status: int) -> str | None:
    """Why an answer of this status does not take the event; None for 2xx, which does."""
    if status // 100 == 2:
        return None
    if status // 100 == 3:
        return f"answered {status}: redirects are not followed, configure the final address"
    if status == GONE:
        return f"answered {GONE}: the receiver wants no more events"
    return f"answered {status}"


def render_excerpt(body: bytes) -> str | None:
    """The beginning of an answer's body as one line of printable text; None when nothing is left of it."""
    text = body[: 4 * LONGEST_EXCERPT].decode("utf-8", "replace")
    printable = "".join(one if one.isprintable() else " " for one in text)
    return " ".join(printable.split())[:LONGEST_EXCERPT] or None


def render_fault(error: BaseException) -> str:
    """A fault of transport in words of bounded length."""
    text = str(error) or type(error).__name__
    return " ".join(text.split())[:LONGEST_ERROR]
