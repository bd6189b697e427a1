"""Replay: sessions and rounds rebuilt from their history alone, to be compared with what is kept."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from croupier.play.round import Round, RoundState, apply_change, open_round, settle
from croupier.play.session import Session, SessionEvent, apply

Rounds = dict[tuple[UUID, str], Round]


def replay(events: Iterable[SessionEvent]) -> tuple[dict[UUID, Session], Rounds]:
    """The states that a history leads to, each session's events in their order."""
    sessions: dict[UUID, Session] = {}
    rounds: Rounds = {}
    touched: tuple[UUID, str] | None = None
    for event in events:
        sessions[event.session_id] = apply(sessions.get(event.session_id), event)
        if event.change.round is not None and event.provider_round_id is not None:
            touched = (event.session_id, event.provider_round_id)
            _apply_to_round(rounds, event)
        elif event.change.settles_rounds:
            _settle_rounds(rounds, event, touched)
        else:
            touched = None
    return sessions, rounds


def _apply_to_round(rounds: Rounds, event: SessionEvent) -> None:
    change, round_id = event.change.round, event.provider_round_id
    assert change is not None, "the event has a round"
    assert round_id is not None, "the event names its round"
    key = (event.session_id, round_id)
    before = rounds.get(key) or open_round(
        bucket=event.bucket,
        session_id=event.session_id,
        provider_round_id=round_id,
        change=change,
        recorded_at=event.recorded_at,
    )
    rounds[key] = apply_change(before, change, event.recorded_at)


def _settle_rounds(rounds: Rounds, event: SessionEvent, touched: tuple[UUID, str] | None) -> None:
    """A closing settles what was not settled, and looks again at the round whose late money caused it."""
    for key, round_ in rounds.items():
        is_unsettled = round_.state in (RoundState.OPEN, RoundState.CLOSED)
        if key[0] == event.session_id and (is_unsettled or key == touched):
            rounds[key] = settle(round_, event.recorded_at)
