"""Round close: the provider says a round is over. Nothing moves, except the closing of a session that waited for it."""

from __future__ import annotations

from msgspec import structs

from croupier.errors import UNKNOWN_ROUND, CroupierError
from croupier.moneypath.commands import Call, CloseRound
from croupier.moneypath.decide.binding import find_session
from croupier.moneypath.decide.history import Happening, change_round, record, round_of
from croupier.moneypath.decide.repeat import decide_known
from croupier.moneypath.decide.seat import find_credit_seat
from croupier.moneypath.decide.verdict import Subject, Verdict, approved, refuse, render_reference
from croupier.moneypath.facts import Effects, Facts, Stamp
from croupier.moneypath.outcomes import APPROVED, OK, Outcome
from croupier.play.round import RoundChange, RoundState
from croupier.play.session import Change, Session
from croupier.wallet.accounts import wallet_of


def decide_close_round(facts: Facts, call: Call, close: CloseRound, stamp: Stamp) -> Verdict:
    """Close a round, with its outcome and fairness kept as evidence. Closing it again changes nothing."""
    if close.reference is None:
        return _remark(facts, call, close, stamp)
    subject = Subject(
        action="close_round",
        reference=close.reference,
        player_id=close.player_id,
        asset=close.asset,
        session_id=close.session_id,
        provider_round_id=close.round_id,
    )
    known = decide_known(facts, call, subject, stamp)
    if known is not None:
        return known
    session = _bind(facts, call, close, stamp)
    if isinstance(session, CroupierError):
        return refuse(session)
    if call.notice is not None and round_of(facts, session, close.round_id) is None:
        # A bet of it may still be on its way, and would be declined in a round that is over.
        return refuse(CroupierError(UNKNOWN_ROUND, "the session has no such round", field="round_id"))
    subject = structs.replace(subject, session_id=session.id)
    balance = facts.balance(wallet_of(close.player_id, session.asset))
    outcome = approved(call, subject, balance=balance, asset=session.asset)
    effects = _effects(facts, call, close, session, stamp)
    reference = render_reference(call, subject, outcome, stamp)
    return Verdict(outcome=outcome, effects=structs.replace(effects, reference=reference))


def _remark(facts: Facts, call: Call, close: CloseRound, stamp: Stamp) -> Verdict:
    """A close without a reference of its own: done if the round is open, and never in the way of anything."""
    session = _bind(facts, call, close, stamp)
    if isinstance(session, CroupierError):
        # The money before it in the same call stands; alone, the caller learns that nobody knows the session.
        return refuse(session) if len(call.actions) == 1 else Verdict(outcome=Outcome(APPROVED, OK, ""))
    balance = facts.balance(wallet_of(close.player_id, session.asset))
    outcome = Outcome(APPROVED, OK, "", None, balance, session.asset, session_id=session.id)
    round_ = round_of(facts, session, close.round_id)
    if round_ is not None and round_.state != RoundState.OPEN:
        return Verdict(outcome=structs.replace(outcome, is_repeat=True))
    return Verdict(outcome=outcome, effects=_effects(facts, call, close, session, stamp))


def _effects(facts: Facts, call: Call, close: CloseRound, session: Session, stamp: Stamp) -> Effects:
    change = RoundChange(is_close=True, outcome=close.outcome, fairness=close.fairness)
    round_, round_change, held = change_round(facts, session, close.round_id, change, stamp)
    happening = Happening(
        cause="close_round",
        occurred_at=close.occurred_at,
        reference=close.reference,
        round_id=close.round_id,
        change=Change(rounds_open=held, round=round_change),
    )
    return record(call, session, happening, stamp, round_=round_)


def _bind(facts: Facts, call: Call, close: CloseRound, stamp: Stamp) -> Session | CroupierError:
    session_id = close.session_id
    if session_id is None:
        seat = find_credit_seat(
            facts,
            call,
            stamp,
            asset=close.asset,
            round_id=close.round_id,
            target=close.target_reference,
        )
        if isinstance(seat, CroupierError):
            return seat
        session_id = seat
    return find_session(facts, call, session_id, player_id=close.player_id, asset=close.asset)
