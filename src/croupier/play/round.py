"""Rounds: open, closed, then settled or voided. Credits are never refused, whatever the state; bets need it open."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import Struct


class RoundState(StrEnum):
    """Where a round is in its life."""

    OPEN = "open"
    CLOSED = "closed"
    SETTLED = "settled"
    VOIDED = "voided"


class RoundChange(Struct, frozen=True, gc=False):
    """What one event changed in a round; amounts in minor units.

    `id` is set by the event that first names the round. `bet_due_at` is when a break opens unless a bet has come,
    set by a win that arrived before any bet. `outcome` and `fairness` are JSON texts as the provider sent them,
    `contribution` is a bet's jackpot contribution as it was sent, finer than the asset perhaps.
    """

    id: UUID | None = None
    bets: int = 0
    live_bets: int = 0
    staked: int = 0
    won: int = 0
    bet_due_at: datetime | None = None
    is_close: bool = False
    outcome: str | None = None
    fairness: str | None = None
    contribution: str | None = None


class Round(Struct, frozen=True, gc=False):
    """A round's current state. `bets` counts approved bets, `live_bets` those not rolled back."""

    bucket: int
    session_id: UUID
    provider_round_id: str
    id: UUID
    state: str
    bets: int
    live_bets: int
    staked: int
    won: int
    bet_due_at: datetime | None
    outcome: str | None
    fairness: str | None
    opened_at: datetime
    closed_at: datetime | None

    @property
    def holds_session(self) -> bool:
        """Whether the session must wait for this round: still open, with a stake at risk, or paid before its bet."""
        return self.state == RoundState.OPEN and (self.live_bets > 0 or (self.bets == 0 and self.won > 0))

    @property
    def is_win_without_bet(self) -> bool:
        """Whether something was won although every bet was rolled back."""
        return self.won > 0 and self.bets > 0 and self.live_bets == 0


def open_round(
    *, bucket: int, session_id: UUID, provider_round_id: str, change: RoundChange, recorded_at: datetime
) -> Round:
    """A round named for the first time, before the change that named it is applied."""
    if change.id is None:
        raise ValueError("the event that opens a round gives its id")
    return Round(
        bucket=bucket,
        session_id=session_id,
        provider_round_id=provider_round_id,
        id=change.id,
        state=RoundState.OPEN.value,
        bets=0,
        live_bets=0,
        staked=0,
        won=0,
        bet_due_at=None,
        outcome=None,
        fairness=None,
        opened_at=recorded_at,
        closed_at=None,
    )


def apply_change(round_: Round, change: RoundChange, recorded_at: datetime) -> Round:
    """The round after one event of its session."""
    closes = change.is_close and round_.state == RoundState.OPEN
    changed = Round(
        round_.bucket,
        round_.session_id,
        round_.provider_round_id,
        round_.id,
        RoundState.CLOSED.value if closes else round_.state,
        round_.bets + change.bets,
        round_.live_bets + change.live_bets,
        round_.staked + change.staked,
        round_.won + change.won,
        None,
        round_.outcome if round_.outcome is not None else change.outcome,
        round_.fairness if round_.fairness is not None else change.fairness,
        round_.opened_at,
        recorded_at if closes else round_.closed_at,
    )
    due = round_.bet_due_at or change.bet_due_at
    return _with(changed, bet_due_at=due) if due and changed.won > 0 and changed.bets == 0 else changed


def settle(round_: Round, recorded_at: datetime) -> Round:
    """The round once its session's clearing is zero: voided when nothing is left of it, else settled."""
    is_empty = round_.live_bets == 0 and round_.won == 0
    return _with(
        round_,
        state=RoundState.VOIDED.value if is_empty else RoundState.SETTLED.value,
        closed_at=round_.closed_at or recorded_at,
    )


def _with(
    round_: Round,
    *,
    state: str | None = None,
    bet_due_at: datetime | None = None,
    closed_at: datetime | None = None,
) -> Round:
    return Round(
        round_.bucket,
        round_.session_id,
        round_.provider_round_id,
        round_.id,
        state or round_.state,
        round_.bets,
        round_.live_bets,
        round_.staked,
        round_.won,
        bet_due_at or round_.bet_due_at,
        round_.outcome,
        round_.fairness,
        round_.opened_at,
        closed_at or round_.closed_at,
    )
