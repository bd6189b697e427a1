"""Round close: the provider says a round is over. Nothing moves, except the closing of a session that waited for it."""

from __future__ import annotations

from croupier.errors import CroupierError
from croupier.moneypath.commands import Call, CloseRound
from croupier.moneypath.decide.binding import find_session
from croupier.moneypath.decide.history import Happening, change_round, record
from croupier.moneypath.decide.repeat import decide_known
from croupier.moneypath.decide.verdict import Subject, Verdict, approved, refuse, render_reference
from croupier.moneypath.facts import Facts, Stamp
from croupier.play.round import RoundChange
from croupier.play.session import Change
from croupier.wallet.accounts import wallet_of


def decide_close_round(facts: Facts, call: Call, close: CloseRound, stamp: Stamp) -> Verdict:
    """Close a round, with its outcome and fairness kept as evidence. Closing it again changes nothing."""
    subject = Subject(
        action="close_round",
        reference=close.reference,
        player_id=close.player_id,
        session_id=close.session_id,
        provider_round_id=close.round_id,
    )
    known = decide_known(facts, call, subject, stamp)
    if known is not None:
        return known
    session = find_session(facts, call, close.session_id, player_id=close.player_id)
    if isinstance(session, CroupierError):
        return refuse(session)
    change = RoundChange(is_close=True, outcome=close.outcome, fairness=close.fairness)
    round_, round_change, held = change_round(facts, session, close.round_id, change, stamp)
    happening = Happening(
        cause="close_round",
        occurred_at=close.occurred_at,
        reference=close.reference,
        round_id=close.round_id,
        change=Change(rounds_open=held, round=round_change),
    )
    balance = facts.balance(wallet_of(close.player_id, session.asset))
    outcome = approved(subject, balance=balance, asset=session.asset)
    reference = render_reference(call, subject, outcome, stamp)
    effects = record(call, session, happening, stamp, round_=round_, reference=reference)
    return Verdict(outcome=outcome, effects=effects)
