"""Announcing: the domain events that a decision's effects are told as, written beside them. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from croupier.events import (
    BREAK_OPENED,
    MONEY_MOVED,
    ROUND_CLOSED,
    SESSION_STATE_CHANGED,
    BreakOpened,
    EventData,
    Money,
    MoneyMoved,
    PostingTold,
    RoundClosed,
    SessionStateChanged,
    render_event,
)
from croupier.ids import BREAK, JOURNAL, ROUND, SESSION, IdSource, render_id
from croupier.moneypath.facts import Break, Effects, Entry, Posted
from croupier.play.round import Round, RoundState
from croupier.play.session import Session, SessionEvent
from croupier.wallet.accounts import WALLET

Row = tuple[Any, ...]


def announce(effects: Effects, posted: dict[UUID, list[Posted]], ids: IdSource) -> Iterator[Row]:
    """The events of one decision as `outbox_row`s, in the order in which things happened.

    An entry's event has the entry's id, a break's the break's, so that the database can drop the event of a break that
    was open already.
    """
    for entry in effects.entries:
        yield _row(entry.bucket, entry.id, MONEY_MOVED, entry, _money_moved(entry, posted[entry.id]))
    session = effects.session
    if session is not None:
        for event in effects.events:
            if event.from_state != event.to_state:
                changed = _state_changed(session, event)
                yield _row(
                    event.bucket, ids.new(event.bucket), SESSION_STATE_CHANGED, event, changed, session
                )
        round_ = effects.round
        if round_ is not None and _closes(effects, round_):
            closed = _round_closed(session, round_, effects.events[0])
            yield _row(
                session.bucket, ids.new(session.bucket), ROUND_CLOSED, effects.events[0], closed, session
            )
    for found in effects.breaks:
        yield (
            found.bucket,
            found.id,
            BREAK_OPENED,
            found.session_id,
            found.player_id,
            render_event(BREAK_OPENED, found.opened_at, _break_opened(found, effects)),
            found.opened_at,
        )


def _row(
    bucket: int,
    event_id: UUID,
    type_: str,
    cause: Entry | SessionEvent,
    data: EventData,
    session: Session | None = None,
) -> Row:
    recorded_at: datetime = cause.recorded_at
    player_id = cause.player_id if isinstance(cause, Entry) else session.player_id if session else None
    return (
        bucket,
        event_id,
        type_,
        cause.session_id,
        player_id,
        render_event(type_, recorded_at, data),
        recorded_at,
    )


def _money_moved(entry: Entry, posted: list[Posted]) -> MoneyMoved:
    change, balance = 0, None
    for one in posted:
        if one.leg.kind == WALLET:
            change += one.leg.amount
            balance = one.balance_after
    return MoneyMoved(
        journal_id=render_id(JOURNAL, entry.id),
        kind=entry.kind,
        provider=entry.provider,
        reference=entry.reference,
        player_id=entry.player_id,
        session_id=None if entry.session_id is None else render_id(SESSION, entry.session_id),
        round_id=entry.provider_round_id,
        amount=Money(str(change), entry.asset),
        balance=None if balance is None else str(balance),
        postings=tuple(
            PostingTold(one.leg.kind, one.leg.owner, one.leg.fund, str(one.leg.amount)) for one in posted
        ),
        cause=entry.cause,
        occurred_at=entry.occurred_at,
        recorded_at=entry.recorded_at,
        correlation_id=entry.correlation_id,
    )


def _state_changed(session: Session, event: SessionEvent) -> SessionStateChanged:
    return SessionStateChanged(
        session_id=render_id(SESSION, session.id),
        player_id=session.player_id,
        provider=session.provider,
        game_id=session.game_id,
        asset=session.asset,
        from_state=event.from_state,
        to_state=event.to_state,
        cause=event.cause,
        code=event.code,
        staked=str(session.staked),
        won=str(session.won),
        seq=event.seq,
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        correlation_id=event.correlation_id,
    )


def _closes(effects: Effects, round_: Round) -> bool:
    """Whether the round was open before this: what closed earlier keeps the time of then."""
    return round_.state != RoundState.OPEN and round_.closed_at == effects.events[0].recorded_at


def _round_closed(session: Session, round_: Round, event: SessionEvent) -> RoundClosed:
    return RoundClosed(
        round_id=render_id(ROUND, round_.id),
        provider_round_id=round_.provider_round_id,
        session_id=render_id(SESSION, session.id),
        player_id=session.player_id,
        provider=session.provider,
        game_id=session.game_id,
        asset=session.asset,
        staked=str(round_.staked),
        won=str(round_.won),
        bets=round_.bets,
        closed_at=event.recorded_at,
        correlation_id=event.correlation_id,
    )


def _break_opened(found: Break, effects: Effects) -> BreakOpened:
    correlation_id = effects.events[0].correlation_id if effects.events else None
    return BreakOpened(
        break_id=render_id(BREAK, found.id),
        kind=found.kind,
        subject=found.subject,
        owner=found.owner,
        provider=found.provider,
        player_id=found.player_id or None,
        session_id=None if found.session_id is None else render_id(SESSION, found.session_id),
        round_id=found.provider_round_id,
        asset=found.asset,
        amount=found.amount,
        explanation=found.explanation,
        opened_at=found.opened_at,
        correlation_id=correlation_id,
    )
