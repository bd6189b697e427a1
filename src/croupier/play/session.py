"""Sessions: the one table of legal transitions, the events of their history, and the pure fold from one to the other.

`apply` is used twice: by the money path to make the next state, and by `croupier session replay` to prove that
history alone gives the same state.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from croupier.play.round import RoundChange


class State(StrEnum):
    """Where a session is in its life."""

    CREATED = "created"
    LAUNCHED = "launched"
    ACTIVE = "active"
    PENDING = "pending_settlement"
    SETTLED = "settled"
    CANCELLED = "cancelled"
    FAILED = "failed"
    REVERSED = "reversed"


TRANSITIONS: Final[dict[tuple[State, State], str]] = {
    (State.CREATED, State.LAUNCHED): "the provider confirmed the launch",
    (State.CREATED, State.ACTIVE): "the first money call beat the launch reply",
    (State.CREATED, State.FAILED): "the launch was refused",
    (
        State.CREATED,
        State.CANCELLED,
    ): "the operator or a timeout ended it; its launch may be unknown",
    (State.LAUNCHED, State.ACTIVE): "the first accepted money call",
    (State.LAUNCHED, State.CANCELLED): "closed or timed out without play",
    (State.LAUNCHED, State.FAILED): "the provider says so",
    (State.ACTIVE, State.PENDING): "closed by operator, provider, idle timeout or loss of eligibility",
    (State.PENDING, State.SETTLED): "every round is closed or voided and clearing is zero for this session",
    (State.ACTIVE, State.REVERSED): "every money effect undone by an approved reversal",
    (State.PENDING, State.REVERSED): "every money effect undone by an approved reversal",
    (State.SETTLED, State.REVERSED): "every money effect undone by an approved reversal",
}

OPEN_FOR_PLAY: Final = frozenset({State.CREATED, State.LAUNCHED, State.ACTIVE})
"""Debits are accepted in these states only; credits and rollbacks in every state."""

FINAL: Final = frozenset({State.SETTLED, State.CANCELLED, State.FAILED, State.REVERSED})
"""States a session rests in. Money that comes later is booked, leaves the state, and is closed again."""


class IllegalTransition(Exception):
    """A move the table does not have."""


class Opening(Struct, frozen=True, gc=False):
    """What is fixed when a session is created, the contract's terms included."""

    player_id: str
    provider: str
    game_id: str
    asset: str
    contract_id: str
    share_bps: int
    jackpot_pool: str | None
    promo_source: str
    expires_at: datetime


class Change(Struct, frozen=True, gc=False):
    """What one event changed: money in minor units, how many rounds more or fewer hold the session open."""

    staked: int = 0
    won: int = 0
    contributed: int = 0
    share_posted: int = 0
    revenue_posted: int = 0
    rounds_open: int = 0
    opening: Opening | None = None
    launch_url: str | None = None
    round: RoundChange | None = None
    settles_rounds: bool = False


class SessionEvent(Struct, frozen=True, gc=False):
    """One line of a session's history. `occurred_at` is by the clock that `time_source` names, `recorded_at` ours."""

    bucket: int
    session_id: UUID
    seq: int
    from_state: str | None
    to_state: str
    cause: str
    provider_round_id: str | None
    journal_ids: tuple[UUID, ...]
    occurred_at: datetime
    time_source: str
    recorded_at: datetime
    correlation_id: str
    trace_id: str | None
    reference: str | None
    code: str
    change: Change


class Session(Struct, frozen=True, gc=False):
    """A session's current state; money in minor units, cumulative."""

    bucket: int
    id: UUID
    player_id: str
    provider: str
    game_id: str
    asset: str
    state: str
    seq: int
    rounds_open: int
    staked: int
    won: int
    contributed: int
    share_posted: int
    revenue_posted: int
    contract_id: str
    share_bps: int
    jackpot_pool: str | None
    promo_source: str
    launch_url: str | None
    opened_at: datetime
    expires_at: datetime
    last_activity_at: datetime


_LEGAL: Final = frozenset((str(source), str(target)) for source, target in TRANSITIONS)


def is_open_for_play(session: Session, now: datetime) -> bool:
    """Whether a debit may be decided on its merits: the state allows play and the session has not expired."""
    return session.state in OPEN_FOR_PLAY and now < session.expires_at


def apply(session: Session | None, event: SessionEvent) -> Session:
    """The state after one event.

    Raises:
        IllegalTransition: the table has no such move, or the event is not the next of this history.
    """
    if session is None:
        return _open(event)
    if event.from_state != session.state or event.seq != session.seq + 1:
        raise IllegalTransition(f"event {event.seq} does not follow {session.state} at {session.seq}")
    if event.to_state != event.from_state and (event.from_state, event.to_state) not in _LEGAL:
        raise IllegalTransition(f"{event.from_state} to {event.to_state} is not in the table")
    return _advance(session, event)


def _open(event: SessionEvent) -> Session:
    opening = event.change.opening
    if opening is None or event.to_state != State.CREATED or event.seq != 1:
        raise IllegalTransition("a history begins with the creation of its session")
    return Session(
        bucket=event.bucket,
        id=event.session_id,
        player_id=opening.player_id,
        provider=opening.provider,
        game_id=opening.game_id,
        asset=opening.asset,
        state=State.CREATED.value,
        seq=1,
        rounds_open=0,
        staked=0,
        won=0,
        contributed=0,
        share_posted=0,
        revenue_posted=0,
        contract_id=opening.contract_id,
        share_bps=opening.share_bps,
        jackpot_pool=opening.jackpot_pool,
        promo_source=opening.promo_source,
        launch_url=None,
        opened_at=event.recorded_at,
        expires_at=opening.expires_at,
        last_activity_at=event.recorded_at,
    )


def _advance(session: Session, event: SessionEvent) -> Session:
    change = event.change
    # Positional construction: this runs for every money call, and `structs.replace` costs three times as much.
    return Session(
        session.bucket,
        session.id,
        session.player_id,
        session.provider,
        session.game_id,
        session.asset,
        event.to_state,
        event.seq,
        session.rounds_open + change.rounds_open,
        session.staked + change.staked,
        session.won + change.won,
        session.contributed + change.contributed,
        session.share_posted + change.share_posted,
        session.revenue_posted + change.revenue_posted,
        session.contract_id,
        session.share_bps,
        session.jackpot_pool,
        session.promo_source,
        change.launch_url or session.launch_url,
        session.opened_at,
        session.expires_at,
        event.recorded_at,
    )
