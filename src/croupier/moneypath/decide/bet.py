"""Bets: the only provider action that takes money, and so the only one that can be declined on its merits."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from msgspec import structs

from croupier.errors import CroupierError
from croupier.moneypath.commands import Bet, Call
from croupier.moneypath.decide.binding import find_session, require_player
from croupier.moneypath.decide.bounds import exceeds_digits
from croupier.moneypath.decide.history import Happening, change_round, record, round_of
from croupier.moneypath.decide.repeat import decide_known
from croupier.moneypath.decide.seat import find_debit_seat
from croupier.moneypath.decide.verdict import (
    Subject,
    Verdict,
    approved,
    decline,
    entry_for,
    refuse,
    render_reference,
)
from croupier.moneypath.decide.wallet import Movement, ask_wallet, code_of, pending_call
from croupier.moneypath.facts import Entry, Facts, Stamp
from croupier.moneypath.outcomes import (
    INSUFFICIENT_FUNDS,
    LIMIT_REACHED,
    PLAYER_RESTRICTED,
    ROUND_CLOSED,
    SESSION_NOT_ACTIVE,
)
from croupier.play.eligibility import PlayTerms
from croupier.play.round import Round, RoundChange, RoundState
from croupier.play.session import OPEN_FOR_PLAY, Change, Session, State, is_open_for_play
from croupier.wallet.accounts import Leg, wallet_of
from croupier.wallet.entries import Purse, Terms, plan_bet
from croupier.wallet.port import Operation, Refused


def decide_bet(facts: Facts, call: Call, bet: Bet, stamp: Stamp) -> Verdict:
    """Approve a stake, or decline it for ever under its reference."""
    if bet.session_id is None:
        return _decide_unseated(facts, call, bet, stamp)
    subject = _subject(bet)
    known = decide_known(facts, call, subject, stamp)
    if known is not None:
        return known
    game_id = None if call.rules.game_may_change else bet.game_id
    session = find_session(
        facts, call, bet.session_id, player_id=bet.player_id, asset=bet.asset, game_id=game_id
    )
    if isinstance(session, CroupierError):
        return refuse(session)
    return _decide_seated(facts, call, bet, subject, session, stamp)


def _decide_unseated(facts: Facts, call: Call, bet: Bet, stamp: Stamp) -> Verdict:
    """A bet that names no session: repeats first, then the seat is found; without any it is declined."""
    subject = _subject(bet)
    known = decide_known(facts, call, subject, stamp)
    if known is not None:
        return known
    asked = pending_call(facts, call, bet.reference)
    seat = (
        find_debit_seat(facts, call, stamp, asset=bet.asset, round_id=bet.round_id, game_id=bet.game_id)
        if asked is None
        else asked.session_id
    )
    if isinstance(seat, CroupierError):
        return refuse(seat)
    if seat is not None:
        return decide_bet(facts, call, structs.replace(bet, session_id=seat), stamp)
    error = require_player(facts, bet.player_id)
    if error is not None:
        return refuse(error)
    balance = facts.balance(wallet_of(bet.player_id, bet.asset))
    is_restricted = facts.restriction_of(bet.player_id, stamp.now) is not None
    code = PLAYER_RESTRICTED if is_restricted else SESSION_NOT_ACTIVE
    return decline(call, subject, stamp, code=code, balance=balance)


def _subject(bet: Bet) -> Subject:
    return Subject(
        action="bet",
        reference=bet.reference,
        player_id=bet.player_id,
        asset=bet.asset,
        amount=bet.amount,
        session_id=bet.session_id,
        provider_round_id=bet.round_id,
        game_id=bet.game_id,
    )


def _decide_seated(
    facts: Facts, call: Call, bet: Bet, subject: Subject, session: Session, stamp: Stamp
) -> Verdict:
    key = wallet_of(bet.player_id, bet.asset)
    legs = _legs(call, bet, session)
    code = None
    if pending_call(facts, call, bet.reference) is None:
        # What the operator's wallet was asked once is not judged again: the player may have paid.
        code = _decline_code(facts, call, session, bet, stamp)
        if code is None and exceeds_digits(facts, legs, bucket=call.bucket, session=session):
            code = LIMIT_REACHED
    if code is None and facts.wallet is not None and bet.amount:
        movement = Movement(operation=Operation.DEBIT, amount=bet.amount, kind="bet")
        word = ask_wallet(facts, call, subject, movement, bet, stamp)
        if isinstance(word, Verdict):
            return word
        code = code_of(word) if isinstance(word, Refused) else None
    balance = facts.balance(key)
    if code is not None:
        return decline(call, subject, stamp, code=code, balance=balance)
    entry = entry_for(call, subject, legs, stamp, occurred_at=bet.occurred_at, details=_details(bet))
    happening, round_ = _happening(facts, bet, session, entry, stamp)
    journal_id = None if entry is None else entry.id
    outcome = approved(call, subject, journal_id=journal_id, balance=balance - bet.amount, asset=bet.asset)
    reference = render_reference(call, subject, outcome, stamp)
    effects = record(call, session, happening, stamp, round_=round_, reference=reference, entry=entry)
    return Verdict(outcome=outcome, effects=effects)


def _legs(call: Call, bet: Bet, session: Session) -> tuple[Leg, ...]:
    purse = Purse(bet.player_id, bet.asset, call.provider, session.id)
    terms = Terms(session.jackpot_pool, session.promo_source)
    return plan_bet(purse, bet.amount, bet.contribution, terms)


def _decline_code(facts: Facts, call: Call, session: Session, bet: Bet, stamp: Stamp) -> str | None:
    # First of all: a restriction closes sessions too, and is what the player should be told.
    if facts.restriction_of(bet.player_id, stamp.now) is not None:
        return PLAYER_RESTRICTED
    terms = facts.terms.get(session.id)
    if not is_open_for_play(session, stamp.now) or _is_idle(session, terms, stamp):
        return SESSION_NOT_ACTIVE
    round_ = round_of(facts, session, bet.round_id)
    if round_ is not None and round_.state != RoundState.OPEN and not call.rules.bets_after_close:
        return ROUND_CLOSED
    if terms is not None and terms.stake_cap is not None:
        # A round is a cycle: whatever of it stands counts together, however it was split.
        staked = 0 if round_ is None else round_.staked
        if staked + bet.amount > terms.stake_cap:
            return LIMIT_REACHED
    if facts.wallet is not None:
        return None
    return INSUFFICIENT_FUNDS if facts.balance(wallet_of(bet.player_id, bet.asset)) < bet.amount else None


def _is_idle(session: Session, terms: PlayTerms | None, stamp: Stamp) -> bool:
    """Whether nobody played for as long as the jurisdiction allows, even if no timeout has closed the session yet."""
    if terms is None or terms.idle_close_s is None:
        return False
    return stamp.now - session.last_activity_at >= timedelta(seconds=terms.idle_close_s)


def _happening(
    facts: Facts, bet: Bet, session: Session, entry: Entry | None, stamp: Stamp
) -> tuple[Happening, Round]:
    change = RoundChange(bets=1, live_bets=1, staked=bet.amount, contribution=bet.contribution_text)
    round_, round_change, held = change_round(facts, session, bet.round_id, change, stamp)
    # A stake that the operator's wallet took while the session ended is late money, like a win.
    is_late = session.state not in OPEN_FOR_PLAY
    happening = Happening(
        cause="bet",
        occurred_at=bet.occurred_at,
        reference=bet.reference,
        code="late_money" if is_late else "ok",
        round_id=bet.round_id,
        to_state=None if is_late else State.ACTIVE.value,
        journal_ids=() if entry is None else (entry.id,),
        change=Change(staked=bet.amount, contributed=bet.contribution, rounds_open=held, round=round_change),
    )
    return happening, round_


def _details(bet: Bet) -> str | None:
    if bet.contribution_text is None:
        return None
    return msgspec.json.encode({"jackpot_contribution": bet.contribution_text}).decode()
