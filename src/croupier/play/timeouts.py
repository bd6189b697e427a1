"""Timeouts: for every state that is not final, how long it may last, whose it is, and what is done then. Pure.

No timeout moves a player's money: it ends play, asks a person, or looks again. What closes is settled by the one rule
that settles every closed session.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID

from msgspec import Struct

from croupier.play.session import FINAL, OPEN_FOR_PLAY, Session, State


class Act(StrEnum):
    """What is done about a session that stayed in a state for too long."""

    CANCEL = "cancel"
    CLOSE = "close"
    PROBE = "probe"
    RECONCILE = "reconcile"
    ALERT = "alert"


LEGAL_ACTS: Final[Mapping[State, frozenset[Act]]] = {
    State.CREATED: frozenset({Act.CANCEL, Act.PROBE, Act.ALERT}),
    State.LAUNCHED: frozenset({Act.CANCEL, Act.ALERT}),
    State.ACTIVE: frozenset({Act.CLOSE, Act.ALERT}),
    State.PENDING: frozenset({Act.RECONCILE, Act.ALERT}),
}
"""The states that are not final, and what may be done in each."""

LOOK_AGAIN: Final = timedelta(seconds=30)
"""When a session is looked at again that was to be ended and may have been used meanwhile."""


class Rule(Struct, frozen=True, gc=False):
    """How long a state may last in seconds, the team that answers for it, and what is done then."""

    after_s: int
    owner: str
    act: Act


class Policy(Struct, frozen=True):
    """A rule for each state that is not final."""

    rules: Mapping[State, Rule]

    def rule_of(self, state: str) -> Rule:
        """The rule of a state that is not final; KeyError for a final one."""
        return self.rules[State(state)]


DEFAULT_POLICY: Final = Policy(
    {
        State.CREATED: Rule(300, "platform", Act.CANCEL),
        State.LAUNCHED: Rule(3_600, "product", Act.CANCEL),
        State.ACTIVE: Rule(86_400, "product", Act.CLOSE),
        State.PENDING: Rule(86_400, "finance", Act.RECONCILE),
    }
)
"""What holds where the configuration says nothing."""


class Timer(Struct, frozen=True, gc=False):
    """When a session that is not final is looked at next, and what is planned for then.

    `idle_close_s` is a shorter idle time of the session's own, in seconds.
    """

    bucket: int
    session_id: UUID
    state: str
    since: datetime
    due_at: datetime
    owner: str
    action: str
    idle_close_s: int | None = None


class Step(Struct, frozen=True, gc=False):
    """What a session needs now, if anything, and when it is looked at next if it is still where it was.

    `is_overdue` says that it stayed for longer than its state may last.
    """

    act: Act | None
    owner: str
    due_at: datetime
    is_overdue: bool = False


def after_of(state: str, policy: Policy, idle_close_s: int | None = None) -> timedelta:
    """How long a state may last; an active session's own idle time counts where it is shorter."""
    after_s = policy.rule_of(state).after_s
    if state == State.ACTIVE and idle_close_s is not None:
        after_s = min(after_s, idle_close_s)
    return timedelta(seconds=after_s)


def due_of(session: Session, since: datetime, policy: Policy, idle_close_s: int | None = None) -> datetime:
    """When a session is due that is in its state since then, or was last used then if it is active.

    Nobody can stake in a session that has expired, so none stays open for play beyond that.
    """
    due_at = since + after_of(session.state, policy, idle_close_s)
    return min(due_at, session.expires_at) if session.state in OPEN_FOR_PLAY else due_at


def arm(session: Session, since: datetime, policy: Policy, idle_close_s: int | None = None) -> Timer | None:
    """The timer of a session that is in its state since then; None for a final state, which lasts."""
    if session.state in FINAL:
        return None
    rule = policy.rule_of(session.state)
    return Timer(
        bucket=session.bucket,
        session_id=session.id,
        state=session.state,
        since=since,
        due_at=due_of(session, since, policy, idle_close_s),
        owner=rule.owner,
        action=rule.act.value,
        idle_close_s=idle_close_s,
    )


def judge(
    session: Session, since: datetime, policy: Policy, now: datetime, *, idle_close_s: int | None = None
) -> Step:
    """What to do about a session whose timer came due. The rules in force now count, not those of its timer.

    An active session's time begins anew with every use. Reminders come once in the time that the state may last.
    """
    rule = policy.rule_of(session.state)
    used_at = max(since, session.last_activity_at) if session.state == State.ACTIVE else since
    due_at = due_of(session, used_at, policy, idle_close_s)
    if now < due_at:
        return Step(None, rule.owner, due_at)
    reminder_at = now + after_of(session.state, policy, idle_close_s)
    match rule.act:
        case Act.CANCEL | Act.CLOSE:
            return Step(rule.act, rule.owner, now + LOOK_AGAIN, is_overdue=False)
        case Act.PROBE if now >= session.expires_at:
            return Step(Act.CANCEL, rule.owner, now + LOOK_AGAIN, is_overdue=False)
        case Act.PROBE:
            return Step(Act.PROBE, rule.owner, min(reminder_at, session.expires_at), is_overdue=True)
        case Act.RECONCILE | Act.ALERT:
            return Step(rule.act, rule.owner, reminder_at, is_overdue=True)
        case _:
            assert_never(rule.act)
