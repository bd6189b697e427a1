"""Rollbacks: undo exactly one earlier transaction, once; before its target they leave a tombstone."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, structs

from croupier.errors import MALFORMED, SESSION_MISMATCH, TARGET_SETTLED, CroupierError
from croupier.moneypath.commands import Call, Rollback, SpentWin
from croupier.moneypath.decide.binding import find_session, require_player
from croupier.moneypath.decide.bounds import exceeds_digits
from croupier.moneypath.decide.history import Happening, change_round, record
from croupier.moneypath.decide.repeat import decide_known
from croupier.moneypath.decide.seat import require_own_token
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
from croupier.moneypath.decide.wallet import (
    Movement,
    ask_wallet,
    behind,
    code_of,
    deliver,
    pending_call,
    take_back,
    wallet_amount,
)
from croupier.moneypath.facts import WINS, Break, Effects, Entry, Facts, Mark, Reference, Stamp
from croupier.moneypath.outcomes import (
    ALREADY_PAID,
    ALREADY_ROLLED_BACK,
    APPROVED,
    DECLINED,
    INSUFFICIENT_FUNDS,
    LIMIT_REACHED,
    NOTHING_TO_ROLL_BACK,
    OK,
    ROLLED_BACK_IN_PART,
    TOMBSTONE,
)
from croupier.play.round import Round, RoundChange
from croupier.play.session import Change, Session
from croupier.wallet.accounts import CLEARING, RECEIVABLE, Leg, mirror, wallet_of
from croupier.wallet.calls import BET, CallState, WalletCall
from croupier.wallet.entries import plan_win_clamp, plan_win_rollback
from croupier.wallet.port import IfSpent, Operation, Refused

UNDOABLE: Final = WINS | {"bet"}
ROLLBACK: Final = "rollback"


class _Undoing(Struct, frozen=True, gc=False):
    """A rollback that has something to undo: its target, the bet or win it comes down to, and what it writes.

    `sign` is −1 when the bet or win is taken back, and +1 when it stands again.
    """

    rollback: Rollback
    target: Reference
    origin: Reference
    sign: int
    entry: Entry | None
    reference: Reference
    breaks: tuple[Break, ...]
    delivered: tuple[WalletCall, ...] = ()


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
    if _is_settled(facts, call, rollback):
        settled = CroupierError(
            TARGET_SETTLED, "the bet is settled; it is not rolled back", field="target_reference"
        )
        return refuse(settled)
    asked = pending_call(facts, call, rollback.target_reference)
    if target is None and asked is not None and asked.is_open and asked.action != BET:
        # Money that is being taken back arrives first: then there is something to roll back.
        return refuse(behind())
    if target is None:
        return _approve_nothing(facts, call, subject, stamp, rollback=rollback, code=NOTHING_TO_ROLL_BACK)
    if target.rolled_back_by is not None:
        return _approve_nothing(facts, call, subject, stamp, code=ALREADY_ROLLED_BACK)
    if target.status == DECLINED:
        return _approve_nothing(facts, call, subject, stamp, code=NOTHING_TO_ROLL_BACK)
    if target.code == ALREADY_PAID:
        return _leave_to_a_person(facts, call, subject, stamp)
    if rollback.amount is not None and rollback.amount != target.amount:
        return _refuse_amount(call, subject, stamp)
    return _undo(facts, call, rollback, subject, target, stamp)


def _refuse_amount(call: Call, subject: Subject, stamp: Stamp) -> Verdict:
    explanation = "a rollback names another amount than its target has"
    refused = refused_credit(call, stamp, subject, code=SESSION_MISMATCH.code, explanation=explanation)
    return refuse(
        CroupierError(SESSION_MISMATCH, "the target has another amount; nothing moved", field="amount"),
        (refused,),
    )


def _leave_to_a_person(facts: Facts, call: Call, subject: Subject, stamp: Stamp) -> Verdict:
    """The target moved nothing, because its fact was paid under another reference: which one is not ours to guess."""
    verdict = _approve_nothing(facts, call, subject, stamp, code=NOTHING_TO_ROLL_BACK)
    assert verdict.effects is not None, "an approval writes its reference"  # noqa: S101 (narrowing)
    explanation = f"win {subject.target_reference} had been paid under another reference, which still stands"
    found = finding(
        call,
        stamp,
        kind="untied_notice",
        subject=subject.reference,
        explanation=explanation,
        about=subject,
    )
    return structs.replace(verdict, effects=structs.replace(verdict.effects, breaks=(found,)))


def _is_settled(facts: Facts, call: Call, rollback: Rollback) -> bool:
    win = facts.references.get((call.provider, rollback.settled_by)) if rollback.settled_by else None
    return win is not None and win.status == APPROVED and win.rolled_back_by is None


def _subject(rollback: Rollback, target: Reference | None) -> Subject:
    """What the rollback is about. A repeat is compared as it was sent; what the target adds is kept with the answer."""
    return Subject(
        action="rollback",
        reference=rollback.reference,
        player_id=rollback.player_id,
        target_reference=rollback.target_reference,
        asset=rollback.asset or (target.asset if target else None),
        amount=rollback.amount,
        session_id=rollback.session_id or (target.session_id if target else None),
        provider_round_id=rollback.round_id or (target.provider_round_id if target else None),
    )


def _bind(facts: Facts, call: Call, rollback: Rollback, target: Reference | None) -> CroupierError | None:
    error = require_player(facts, rollback.player_id) or require_own_token(facts, call)
    if error is None and rollback.session_id is not None:
        session = find_session(
            facts, call, rollback.session_id, player_id=rollback.player_id, asset=rollback.asset
        )
        error = session if isinstance(session, CroupierError) else None
    if error is None and rollback.target_reference == rollback.reference:
        error = CroupierError(MALFORMED, "a rollback cannot undo itself", field="target_reference")
    if error is not None or target is None or target.status == TOMBSTONE:
        return error
    return _agree(call, rollback, target)


def _agree(call: Call, rollback: Rollback, target: Reference) -> CroupierError | None:
    is_undoable = target.action in UNDOABLE or (target.action == ROLLBACK and call.rules.undoes_rollbacks)
    if not is_undoable:
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
    outcome = approved(call, subject, code=code, balance=balance, asset=asset)
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
    effects = Effects(reference=reference, tombstone=tombstone)
    asked = None if rollback is None else pending_call(facts, call, rollback.target_reference)
    if asked is not None and asked.state != CallState.REFUSED:
        # Nobody booked the target, and the operator's wallet may have applied it.
        undone = take_back(facts, call, asked, stamp, because=subject.reference)
        effects = structs.replace(effects, wallet_calls=undone)
    return Verdict(outcome=outcome, effects=effects)


def _undo(
    facts: Facts, call: Call, rollback: Rollback, subject: Subject, target: Reference, stamp: Stamp
) -> Verdict:
    origin = _origin(facts, call, target)
    if origin is None or (origin is not target and target.journal_id is None):
        return _approve_nothing(facts, call, subject, stamp, code=NOTHING_TO_ROLL_BACK)
    asset = target.asset or ""
    key = wallet_of(target.player_id, asset)
    holds = _ask_what_is_left(facts, call, rollback, subject, target, stamp)
    if isinstance(holds, Verdict):
        return holds
    legs = _legs(facts, call, target, facts.balance(key) if holds is None else holds)
    balance = facts.balance(key)
    if legs is None:
        return decline(call, subject, stamp, code=INSUFFICIENT_FUNDS, balance=balance)
    moved = wallet_amount(legs)
    session = facts.sessions.get(target.session_id) if target.session_id else None
    if exceeds_digits(facts, legs, bucket=call.bucket, session=session):
        explanation = "a balance would exceed 38 digits"
        refused = refused_credit(call, stamp, subject, code=LIMIT_REACHED, explanation=explanation)
        return decline(call, subject, stamp, code=LIMIT_REACHED, balance=balance, breaks=(refused,))
    entry = entry_for(call, subject, legs, stamp, occurred_at=rollback.occurred_at)
    journal_id = None if entry is None else entry.id
    is_whole = (
        target.action not in WINS or call.rules.spent_win is not SpentWin.CLAMP or -moved == target.amount
    )
    code = OK if is_whole else ROLLED_BACK_IN_PART
    outcome = approved(
        call, subject, code=code, journal_id=journal_id, balance=balance + moved, asset=asset, moved=moved
    )
    undoing = _Undoing(
        rollback,
        target,
        origin,
        -1 if origin is target else 1,
        entry,
        render_reference(call, subject, outcome, stamp),
        _debts(call, subject, legs, stamp),
        _deliver(facts, call, subject, target, moved, stamp) if moved > 0 else (),
    )
    return Verdict(outcome=outcome, effects=_effects(facts, call, undoing, stamp))


def _ask_what_is_left(
    facts: Facts, call: Call, rollback: Rollback, subject: Subject, target: Reference, stamp: Stamp
) -> int | Verdict | None:
    """What the operator's wallet took back of what is undone, in minor units; None where nothing is asked of it.

    Taking money back is asked like a debit: a win that is undone, or a bet that stands again.
    """
    if facts.wallet is None or target.journal_id is None:
        return None
    amount = wallet_amount(facts.legs.get(target.journal_id, ()))
    if amount <= 0:
        return None
    movement = Movement(operation=Operation.DEBIT, amount=amount, kind=ROLLBACK)
    paid = facts.wallet_call_of(call.provider, target.reference)
    if target.action in WINS and paid is not None:
        may_refuse = call.rules.spent_win is SpentWin.REFUSE
        movement = Movement(
            operation=Operation.ROLLBACK,
            amount=amount,
            kind=target.action,
            target=paid,
            if_spent=IfSpent.REFUSE if may_refuse else IfSpent.TAKE_WHAT_IS_LEFT,
        )
    word = ask_wallet(facts, call, _about(subject, target), movement, rollback, stamp)
    if isinstance(word, Verdict):
        return word
    if isinstance(word, Refused):
        balance = facts.balance(wallet_of(target.player_id, target.asset or ""))
        return decline(call, subject, stamp, code=code_of(word), balance=balance)
    return word.amount


def _about(subject: Subject, target: Reference) -> Subject:
    """The rollback with what its target says of where it belongs."""
    return structs.replace(subject, game_id=target.game_id)


def _deliver(
    facts: Facts, call: Call, subject: Subject, target: Reference, amount: int, stamp: Stamp
) -> tuple[WalletCall, ...]:
    """What brings a stake back: the undoing of its wallet call, or a plain credit where that may be undone already."""
    asked = facts.wallet_call_of(call.provider, target.reference)
    movement = Movement(operation=Operation.CREDIT, amount=amount, kind=ROLLBACK)
    if target.action == "bet" and asked is not None and not call.rules.undoes_rollbacks:
        movement = Movement(operation=Operation.ROLLBACK, amount=amount, kind=target.action, target=asked)
    return deliver(facts, call, _about(subject, target), movement, stamp)


def _origin(facts: Facts, call: Call, target: Reference) -> Reference | None:
    """The bet or win behind a target: itself, or what the target rolled back; None without one to stand again."""
    if target.action != ROLLBACK:
        return target
    origin = facts.references.get((call.provider, target.target_reference or ""))
    is_undone = origin is not None and origin.rolled_back_by == target.reference
    return origin if is_undone and origin is not None and origin.action in UNDOABLE else None


def _legs(facts: Facts, call: Call, target: Reference, balance: int) -> tuple[Leg, ...] | None:
    """What takes the target back; None when the protocol refuses because the player has spent the money."""
    undone = facts.legs.get(target.journal_id, ()) if target.journal_id else ()
    if target.action == "bet":
        return mirror(undone)
    if target.action in WINS and call.rules.spent_win is not SpentWin.RECEIVABLE:
        taken = wallet_amount(undone)
        if taken <= balance:
            return mirror(undone)
        return plan_win_clamp(undone, balance) if call.rules.spent_win is SpentWin.CLAMP else None
    return plan_win_rollback(undone, balance)


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
    target, marks = undoing.target, _marks(call, undoing)
    session = facts.sessions.get(target.session_id) if target.session_id else None
    if session is None:
        entries = () if undoing.entry is None else (undoing.entry,)
        return Effects(
            reference=undoing.reference,
            marks=marks,
            entries=entries,
            breaks=undoing.breaks,
            wallet_calls=undoing.delivered,
        )
    happening, round_ = _happening(facts, session, undoing, stamp)
    effects = record(
        call,
        session,
        happening,
        stamp,
        round_=round_,
        reference=undoing.reference,
        marks=marks,
        entry=undoing.entry,
        breaks=undoing.breaks,
    )
    return structs.replace(effects, wallet_calls=undoing.delivered) if undoing.delivered else effects


def _marks(call: Call, undoing: _Undoing) -> tuple[Mark, ...]:
    target, origin, by = undoing.target, undoing.origin, undoing.rollback.reference
    undone = Mark(call.provider, target.reference, None, by)
    if origin is target:
        return (undone,)
    return (undone, Mark(call.provider, origin.reference, target.reference, None))


def _happening(
    facts: Facts, session: Session, undoing: _Undoing, stamp: Stamp
) -> tuple[Happening, Round | None]:
    target, entry, sign = undoing.origin, undoing.entry, undoing.sign
    staked = sign * (target.amount or 0) if target.action == "bet" else 0
    cleared = _cleared(entry)
    won = -cleared if target.action != "bet" else 0
    round_, round_change, held = None, None, 0
    if target.provider_round_id is not None:
        live_bets = sign if target.action == "bet" else 0
        change = RoundChange(live_bets=live_bets, staked=staked, won=won)
        round_, round_change, held = change_round(facts, session, target.provider_round_id, change, stamp)
    happening = Happening(
        cause=f"rollback_{undoing.target.action}",
        occurred_at=undoing.rollback.occurred_at,
        reference=undoing.rollback.reference,
        round_id=target.provider_round_id,
        journal_ids=() if entry is None else (entry.id,),
        change=Change(
            staked=staked,
            won=won,
            contributed=staked - cleared if target.action == "bet" else 0,
            rounds_open=held,
            round=round_change,
        ),
    )
    return happening, round_


def _cleared(entry: Entry | None) -> int:
    """What an entry adds to clearing: a bet's stake less its contribution, minus what was won."""
    return 0 if entry is None else sum(leg.amount for leg in entry.legs if leg.kind == CLEARING)
