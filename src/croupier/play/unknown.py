"""Unknown outcomes: what was asked of somebody else and whose answer nobody has. Never a synonym of failed."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from croupier.play.session import SessionEvent, State

LAUNCH: Final = "launch"
"""The kind of a launch whose reply was lost; its subject is the session's id, under which it is never doubled."""


WALLET_OUTCOME: Final = "wallet"
"""The kind of what was asked of the operator's wallet; its subject is the reference there."""


class UnknownOutcome(Struct, frozen=True, gc=False):
    """A question without an answer: whose it is, and by when it is answered or given up.

    `kind` and `subject` name it for its provider, so that asking again and learning nothing counts one attempt more.
    `next_probe_at` is when it is asked again by itself; None when only the caller's repeat or the deadline answers it.
    """

    bucket: int
    id: UUID
    kind: str
    subject: str
    provider: str
    player_id: str
    session_id: UUID | None
    reason: str
    since: datetime
    attempts: int
    next_probe_at: datetime | None
    deadline: datetime
    owner: str


class Resolution(Struct, frozen=True, gc=False):
    """How the launch of a session became known, in words, and when."""

    bucket: int
    session_id: UUID
    resolution: str
    resolved_at: datetime


def resolve_launch(event: SessionEvent) -> Resolution | None:
    """What an event says about the launch of its session: whatever leads out of `created` answers it."""
    if event.from_state != State.CREATED or event.to_state == State.CREATED:
        return None
    code = "" if event.code == "ok" else f" ({event.code})"
    return Resolution(
        event.bucket, event.session_id, f"{event.to_state} by {event.cause}{code}", event.recorded_at
    )
