"""Rollbacks: undo exactly one earlier transaction, once; before its target they leave a tombstone."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from croupier.errors import MALFORMED, SESSION_MISMATCH, CroupierError
from croupier.moneypath.commands import Call, Rollback
from croupier.moneypath.decide.binding import find_session, require_player
from croupier.moneypath.decide.bounds import exceeds_digits
from croupier.moneypath.decide.history import Happening, change_round, record
from croupier.moneypath.decide.repeat import decide_known
from croupier.moneypath.decide.verdict import (
    Subject,
    Verdict,
    approved,
    decline,
    entry_for,
    finding,
    only_wallet,
    refuse,
    refused_credit,
    render_reference,
    render_tombstone,
)
from croupier.moneypath.facts import Break, Effects, Entry, Facts, Reference, Stamp
from croupier.moneypath.outcomes import (
    ALREADY_ROLLED_BACK,
    DECLINED,
    LIMIT_REACHED,
    NOTHING_TO_ROLL_BACK,
)
from croupier.play.round import Round, RoundChange
from croupier.play.session import Change, Session
from croupier.wallet.accounts import CLEARING, RECEIVABLE, WALLET, Leg, mirror, wallet_of
from croupier.wallet.entries import plan_win_rollback

WINS: Final = frozenset({"win", "jackpot_win", "promo_win"})
UNDOABLE: Final = WINS | {"bet"}


class _Undoing(Struct, frozen=True, gc=False):
    """A rollback that has something to undo: its target, and what it writes."""

    rollback: Rollback
    target: Reference
    entry: Entry | None
    reference: Reference
    breaks: tuple[Break, ...]


def decide_rollback(facts: Facts, call: Call, rollback: Rollback, stamp: Stamp) -> Verdict:
    """Undo the target, or say that there is nothing to undo and make sure there never will be."""
    target = facts.references.get((call.provider, rollback.target_reference))
    known = decide_known(facts, call, _subject(rollback, None), stamp)
    if known is not None:
        return known
    subject = _subject(rollback, target)
    error = _bind(facts, call, rollback, target)
    if error is not None:
        explanation = f"a rollback was refused: {error.detail}"
        refused = refused_credit(call, stamp, subject, code=error.kind.code, explanation=explanation)
        return refuse(error, (refused,))
    if target is None:
        return _approve_nothing(facts, call, subject, stamp, rollback=rollback, code=NOTHING_TO_ROLL_BACK)
    if target.rolled_back_by is not None:
        return _approve_nothing(facts, call, subject, stamp, code=ALREADY_ROLLED_BACK)
    if target.status == DECLINED:
        return _approve_nothing(facts, call, subject, stamp, code=NOTHING_TO_ROLL_BACK)
    return _undo(facts, call, rollback, subject, target, stamp)


def _subject(rollback: Rollback, target: Reference | None) -> Subject:
    """What the rollback is about. A repeat is compared as it was sent; what the target adds is kept with the answer."""
    return Subject(
        action="rollback",
        reference=rollback.reference,
        player_id=rollback.player_id,
        target_reference=rollback.target_reference,
        asset=rollback.asset or (target.asset if target else None),
        session_id=rollback.session_id or (target.session_id if target else None),
        provider_round_id=rollback.round_id or (target.provider_round_id if target else None),
    )


def _bind(facts: Facts, call: Call, rollback: Rollback, target: Reference | None) -> CroupierError | None:
    error = require_player(facts, rollback.player_id)
    if error is None and rollback.session_id is not None:
        session = find_session(
            facts, call, rollback.session_id, player_id=rollback.player_id, asset=rollback.asset
        )
        error = session if isinstance(session, CroupierError) else None
    if error is None and rollback.target_reference == rollback.reference:
        error = CroupierError(MALFORMED, "a rollback cannot undo itself", field="target_reference")
    if error is not None or target is None or target.status == "tombstone":
        return error
    return _agree(rollback, target)


def _agree(rollback: Rollback, target: Reference) -> CroupierError | None:
    if target.action not in UNDOABLE:
        detail = f"the target is a {target.action}; only bets and wins are rolled back"
        return CroupierError(MALFORMED, detail, field="target_reference")
    pairs = (
        ("player_id", rollback.player_id, target.player_id),
        ("session_id", rollback.session_id, target.session_id),
        ("round_id", rollback.round_id, target.provider_round_id),
        ("asset", rollback.asset, target.asset),
    )
    for field, given, stored in pairs:
        if given is not None and given != stored:
            return CroupierError(
                SESSION_MISMATCH, f"the target has another {field}; nothing moved", field=field
            )
    return None


def _approve_nothing(
    facts: Facts, call: Call, subject: Subject, stamp: Stamp, *, code: str, rollback: Rollback | None = None
) -> Verdict:
    asset = subject.asset or only_wallet(facts, subject.player_id)
    balance = facts.balance(wallet_of(subject.player_id, asset)) if asset else None
    outcome = approved(subject, code=code, balance=balance, asset=asset)
    tombstone = None
    if rollback is not None:
        late = Subject(
            action="tombstone",
            reference=rollback.target_reference,
            player_id=rollback.player_id,
            asset=rollback.asset,
            session_id=rollback.session_id,
        )
        tombstone = render_tombstone(call, late, stamp, provider=call.provider, by=rollback.reference)
    reference = render_reference(call, subject, outcome, stamp)
    return Verdict(outcome=outcome, effects=Effects(reference=reference, tombstone=tombstone))


def _undo(
    facts: Facts, call: Call, rollback: Rollback, subject: Subject, target: Reference, stamp: Stamp
) -> Verdict:
    undone = facts.legs.get(target.journal_id, ()) if target.journal_id else ()
    asset = target.asset or ""
    balance = facts.balance(wallet_of(target.player_id, asset))
    legs = plan_win_rollback(undone, balance) if target.action in WINS else mirror(undone)
    moved = sum(leg.amount for leg in legs if leg.kind == WALLET)
    session = facts.sessions.get(target.session_id) if target.session_id else None
    if exceeds_digits(facts, legs, bucket=call.bucket, session=session):
        explanation = "a balance would exceed 38 digits"
        refused = refused_credit(call, stamp, subject, code=LIMIT_REACHED, explanation=explanation)
        return decline(call, subject, stamp, code=LIMIT_REACHED, balance=balance, breaks=(refused,))
    entry = entry_for(call, subject, legs, stamp, occurred_at=rollback.occurred_at)
    journal_id = None if entry is None else entry.id
    outcome = approved(subject, journal_id=journal_id, balance=balance + moved, asset=asset)
    undoing = _Undoing(
        rollback,
        target,
        entry,
        render_reference(call, subject, outcome, stamp),
        _debts(call, subject, legs, stamp),
    )
    return Verdict(outcome=outcome, effects=_effects(facts, call, undoing, stamp))


def _debts(call: Call, subject: Subject, legs: tuple[Leg, ...], stamp: Stamp) -> tuple[Break, ...]:
    """What the player now owes is a finance work item."""
    owed = sum(-leg.amount for leg in legs if leg.kind == RECEIVABLE)
    if not owed:
        return ()
    explanation = f"a rolled-back win was already spent; the player owes {owed} minor units"
    debt = structs.replace(subject, amount=owed, asset=legs[0].asset)
    return (
        finding(
            call, stamp, kind="receivable", subject=subject.reference, explanation=explanation, about=debt
        ),
    )


def _effects(facts: Facts, call: Call, undoing: _Undoing, stamp: Stamp) -> Effects:
    target = undoing.target
    mark = (call.provider, target.reference, undoing.rollback.reference)
    session = facts.sessions.get(target.session_id) if target.session_id else None
    if session is None:
        entries = () if undoing.entry is None else (undoing.entry,)
        return Effects(reference=undoing.reference, mark=mark, entries=entries, breaks=undoing.breaks)
    happening, round_ = _happening(facts, session, undoing, stamp)
    return record(
        call,
        session,
        happening,
        stamp,
        round_=round_,
        reference=undoing.reference,
        mark=mark,
        entry=undoing.entry,
        breaks=undoing.breaks,
    )


def _happening(
    facts: Facts, session: Session, undoing: _Undoing, stamp: Stamp
) -> tuple[Happening, Round | None]:
    target, entry = undoing.target, undoing.entry
    amount = target.amount or 0
    is_bet = target.action == "bet"
    from_clearing = amount if target.action in ("bet", "win") else 0
    round_, round_change, held = None, None, 0
    if target.provider_round_id is not None:
        change = RoundChange(live_bets=-1, staked=-amount) if is_bet else RoundChange(won=-from_clearing)
        round_, round_change, held = change_round(facts, session, target.provider_round_id, change, stamp)
    happening = Happening(
        cause=f"rollback_{target.action}",
        occurred_at=undoing.rollback.occurred_at,
        reference=undoing.rollback.reference,
        round_id=target.provider_round_id,
        journal_ids=() if entry is None else (entry.id,),
        change=Change(
            staked=-amount if is_bet else 0,
            won=0 if is_bet else -from_clearing,
            contributed=_contribution_undone(entry, is_bet=is_bet, staked=amount),
            rounds_open=held,
            round=round_change,
        ),
    )
    return happening, round_


def _contribution_undone(entry: Entry | None, *, is_bet: bool, staked: int) -> int:
    """Minus the contribution of a rolled-back bet: what its clearing legs take back beyond the stake."""
    if entry is None or not is_bet:
        return 0
    clearing = sum(leg.amount for leg in entry.legs if leg.kind == CLEARING)
    return -(clearing + staked)
