"""Session history: turns a change into the event, the next states, and the closing that follows when play is over."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from croupier.moneypath.commands import Call
from croupier.moneypath.decide.verdict import Subject, finding
from croupier.moneypath.facts import Break, Effects, Entry, Facts, Mark, Reference, Stamp
from croupier.play.round import Round, RoundChange, RoundState, apply_change, open_round, settle
from croupier.play.session import FINAL, Change, Session, SessionEvent, State, apply
from croupier.settlement.closing import SessionBooks, plan_closing_amounts
from croupier.wallet.accounts import Leg
from croupier.wallet.entries import Purse, plan_closing

OURS: Final = "croupier"
"""The time source of what Croupier decides by itself."""

SETTLEMENT: Final = "settlement"


class Happening(Struct, frozen=True, gc=False, kw_only=True):
    """What happened to a session before it is written down as an event."""

    cause: str
    occurred_at: datetime
    change: Change
    code: str = "ok"
    reference: str | None = None
    round_id: str | None = None
    to_state: str | None = None
    journal_ids: tuple[UUID, ...] = ()


def books_of(session: Session) -> SessionBooks:
    """A session's cumulative money."""
    return SessionBooks(
        session.staked, session.won, session.contributed, session.share_posted, session.revenue_posted
    )


def round_of(facts: Facts, session: Session, round_id: str) -> Round | None:
    """The round as it stands, if it was ever named."""
    return facts.rounds.get((session.id, round_id))


def change_round(
    facts: Facts, session: Session, round_id: str, change: RoundChange, stamp: Stamp
) -> tuple[Round, RoundChange, int]:
    """The round after a change, the change as it must be recorded, and how many more rounds hold the session open."""
    before = round_of(facts, session, round_id)
    if before is None:
        change = _naming(change, stamp.ids.new(session.bucket))
        before = open_round(
            bucket=session.bucket,
            session_id=session.id,
            provider_round_id=round_id,
            change=change,
            recorded_at=stamp.now,
        )
        held = 0
    else:
        held = int(before.holds_session)
    after = apply_change(before, change, stamp.now)
    return after, change, int(after.holds_session) - held


def _naming(change: RoundChange, round_id: UUID) -> RoundChange:
    return RoundChange(
        round_id,
        change.bets,
        change.live_bets,
        change.staked,
        change.won,
        change.bet_due_at,
        change.is_close,
        change.outcome,
        change.fairness,
        change.contribution,
    )


def record(
    call: Call,
    session: Session | None,
    happening: Happening,
    stamp: Stamp,
    *,
    round_: Round | None = None,
    reference: Reference | None = None,
    marks: tuple[Mark, ...] = (),
    entry: Entry | None = None,
    breaks: tuple[Break, ...] = (),
    session_id: UUID | None = None,
) -> Effects:
    """The effects of one happening: its event, the states after it, and the closing if the session is over."""
    event = _event(call, session, happening, stamp, session_id)
    after = apply(session, event)
    entries = () if entry is None else (entry,)
    if round_ is not None and round_.is_win_without_bet:
        breaks = (*breaks, _win_without_bet(call, stamp, after, round_))
    closing = _close(call, after, round_, stamp)
    if closing is None:
        return Effects(
            reference,
            None,
            None,
            marks,
            entries,
            after,
            round_,
            (event,),
            happening.change.settles_rounds,
            breaks,
        )
    closing_event, closing_entry = closing
    return Effects(
        reference,
        None,
        None,
        marks,
        entries if closing_entry is None else (*entries, closing_entry),
        apply(after, closing_event),
        None if round_ is None else settle(round_, stamp.now),
        (event, closing_event),
        settles_rounds=True,
        breaks=breaks,
    )


def _event(
    call: Call, session: Session | None, happening: Happening, stamp: Stamp, session_id: UUID | None
) -> SessionEvent:
    known = session.id if session is not None else session_id
    assert known is not None, "an event belongs to a session"  # noqa: S101 (narrowing)
    state = None if session is None else session.state
    return SessionEvent(
        call.bucket,
        known,
        1 if session is None else session.seq + 1,
        state,
        happening.to_state or state or State.CREATED.value,
        happening.cause,
        happening.round_id,
        happening.journal_ids,
        happening.occurred_at,
        call.time_source,
        stamp.now,
        call.correlation_id,
        call.trace_id,
        happening.reference,
        happening.code,
        happening.change,
    )


def _win_without_bet(call: Call, stamp: Stamp, session: Session, round_: Round) -> Break:
    about = Subject(
        action="win",
        reference="",
        player_id=session.player_id,
        asset=session.asset,
        amount=round_.won,
        session_id=session.id,
        provider_round_id=round_.provider_round_id,
    )
    return finding(
        call,
        stamp,
        kind="win_without_bet",
        subject=f"{session.id}:{round_.provider_round_id}",
        explanation="every bet of this round was rolled back, and a win of it stays paid",
        about=about,
    )


def _close(
    call: Call, session: Session, round_: Round | None, stamp: Stamp
) -> tuple[SessionEvent, Entry | None] | None:
    """The closing that is due: play is over and no round holds the session, or money came after the end."""
    if session.state == State.PENDING:
        if session.rounds_open > 0:
            return None
    elif not _is_due_again(session, round_):
        return None
    amounts = plan_closing_amounts(books_of(session), session.share_bps)
    entry = None
    if amounts is not None:
        purse = Purse(session.player_id, session.asset, session.provider, session.id)
        legs = plan_closing(purse, to_provider=amounts.to_provider, to_revenue=amounts.to_revenue)
        entry = _closing_entry(call, session, legs, stamp)
    change = Change(
        share_posted=amounts.to_provider if amounts else 0,
        revenue_posted=amounts.to_revenue if amounts else 0,
        settles_rounds=True,
        rounds_open=-session.rounds_open,
    )
    target = State.SETTLED.value if session.state == State.PENDING else session.state
    event = SessionEvent(
        session.bucket,
        session.id,
        session.seq + 1,
        session.state,
        target,
        SETTLEMENT,
        None,
        () if entry is None else (entry.id,),
        stamp.now,
        OURS,
        stamp.now,
        call.correlation_id,
        call.trace_id,
        None,
        "ok",
        change,
    )
    return event, entry


def _is_due_again(session: Session, round_: Round | None) -> bool:
    if session.state not in FINAL:
        return False
    is_unsettled = round_ is not None and round_.state in (RoundState.OPEN, RoundState.CLOSED)
    return is_unsettled or books_of(session).clearing != 0


def _closing_entry(call: Call, session: Session, legs: tuple[Leg, ...], stamp: Stamp) -> Entry | None:
    if not legs:
        return None
    return Entry(
        session.bucket,
        stamp.ids.new(session.bucket),
        SETTLEMENT,
        OURS,
        f"{session.id.hex}:{session.seq + 1}",
        session.player_id,
        session.id,
        None,
        session.asset,
        SETTLEMENT,
        None,
        stamp.now,
        stamp.now,
        call.correlation_id,
        call.trace_id,
        legs,
    )
