"""The cashier: deposits, withdrawals and their cancellation, under the operator's own references."""

from __future__ import annotations

from croupier.errors import MALFORMED, SESSION_MISMATCH, WALLET_IS_REMOTE, CroupierError
from croupier.money import MAX_MINOR
from croupier.moneypath.commands import OPERATOR, Call, CancelWithdrawal, Deposit, Withdrawal
from croupier.moneypath.decide.binding import require_player
from croupier.moneypath.decide.bounds import exceeds_digits
from croupier.moneypath.decide.repeat import decide_known
from croupier.moneypath.decide.verdict import (
    Subject,
    Verdict,
    approved,
    decline,
    entry_for,
    refuse,
    refused_credit,
    render_reference,
    render_tombstone,
)
from croupier.moneypath.facts import Effects, Facts, Mark, Reference, Stamp
from croupier.moneypath.outcomes import (
    ALREADY_ROLLED_BACK,
    DECLINED,
    INSUFFICIENT_FUNDS,
    LIMIT_REACHED,
    NOTHING_TO_ROLL_BACK,
    TOMBSTONE,
)
from croupier.wallet.accounts import WALLET, Leg, mirror, wallet_of
from croupier.wallet.entries import Purse, plan_deposit, plan_withdrawal


def _subject(action: str, command: Deposit | Withdrawal) -> Subject:
    return Subject(
        action=action,
        reference=command.reference,
        player_id=command.player_id,
        asset=command.asset,
        amount=command.amount,
    )


def _refuse_remote() -> Verdict:
    detail = "this deployment has no cashier: the operator's own wallet keeps the money"
    return refuse(CroupierError(WALLET_IS_REMOTE, detail))


def decide_deposit(facts: Facts, call: Call, deposit: Deposit, stamp: Stamp) -> Verdict:
    """Credit a wallet from cash."""
    if facts.wallet is not None:
        return _refuse_remote()
    subject = _subject("deposit", deposit)
    known = decide_known(facts, call, subject, stamp)
    if known is not None:
        return known
    balance = facts.balance(wallet_of(deposit.player_id, deposit.asset, deposit.fund))
    if balance + deposit.amount > MAX_MINOR:
        return _decline_too_long(call, subject, balance, stamp)
    purse = Purse(deposit.player_id, deposit.asset, fund=deposit.fund)
    return _approve(
        call, subject, deposit, plan_deposit(purse, deposit.amount), balance + deposit.amount, stamp
    )


def decide_withdrawal(facts: Facts, call: Call, withdrawal: Withdrawal, stamp: Stamp) -> Verdict:
    """Debit a wallet to cash, or decline it for ever under its reference."""
    if facts.wallet is not None:
        return _refuse_remote()
    subject = _subject("withdrawal", withdrawal)
    known = decide_known(facts, call, subject, stamp)
    if known is not None:
        return known
    error = require_player(facts, withdrawal.player_id)
    if error is not None:
        return refuse(error)
    balance = facts.balance(wallet_of(withdrawal.player_id, withdrawal.asset, withdrawal.fund))
    if balance < withdrawal.amount:
        return decline(call, subject, stamp, code=INSUFFICIENT_FUNDS, balance=balance)
    purse = Purse(withdrawal.player_id, withdrawal.asset, fund=withdrawal.fund)
    legs = plan_withdrawal(purse, withdrawal.amount)
    return _approve(call, subject, withdrawal, legs, balance - withdrawal.amount, stamp)


def _approve(
    call: Call,
    subject: Subject,
    command: Deposit | Withdrawal,
    legs: tuple[Leg, ...],
    balance: int,
    stamp: Stamp,
) -> Verdict:
    entry = entry_for(call, subject, legs, stamp, occurred_at=command.occurred_at)
    journal_id = None if entry is None else entry.id
    outcome = approved(call, subject, journal_id=journal_id, balance=balance, asset=command.asset)
    reference = render_reference(call, subject, outcome, stamp)
    entries = () if entry is None else (entry,)
    return Verdict(outcome=outcome, effects=Effects(reference=reference, entries=entries))


def decide_cancel(facts: Facts, call: Call, cancel: CancelWithdrawal, stamp: Stamp) -> Verdict:
    """Give a withdrawal back, once; before the withdrawal it leaves a tombstone."""
    if facts.wallet is not None:
        return _refuse_remote()
    target = facts.references.get((OPERATOR, cancel.reference))
    subject = Subject(
        action="withdrawal_cancel",
        reference=cancel.reference,
        player_id=cancel.player_id,
        target_reference=cancel.reference,
        asset=cancel.asset,
    )
    known = decide_known(facts, call, subject, stamp)
    if known is not None:
        return known
    error = require_player(facts, cancel.player_id) or _disagreement(cancel, target)
    if error is not None:
        explanation = f"a cancellation was refused: {error.detail}"
        return refuse(
            error, (refused_credit(call, stamp, subject, code=error.kind.code, explanation=explanation),)
        )
    if target is None or target.rolled_back_by is not None or target.status == DECLINED:
        return _nothing_to_cancel(facts, call, cancel, subject, target, stamp)
    legs = mirror(facts.legs[target.journal_id]) if target.journal_id else ()
    wallet = next((leg for leg in legs if leg.kind == WALLET), None)
    key = wallet_of(cancel.player_id, cancel.asset) if wallet is None else wallet.account_in(call.bucket)
    balance = facts.balance(key)
    if exceeds_digits(facts, legs, bucket=call.bucket, session=None):
        return _decline_too_long(call, subject, balance, stamp)
    entry = entry_for(call, subject, legs, stamp, occurred_at=cancel.occurred_at)
    outcome = approved(
        call,
        subject,
        journal_id=None if entry is None else entry.id,
        balance=balance + (target.amount or 0),
        asset=cancel.asset,
    )
    effects = Effects(
        reference=render_reference(call, subject, outcome, stamp),
        marks=(Mark(OPERATOR, cancel.reference, None, cancel.reference),),
        entries=() if entry is None else (entry,),
    )
    return Verdict(outcome=outcome, effects=effects)


def _decline_too_long(call: Call, subject: Subject, balance: int, stamp: Stamp) -> Verdict:
    """A credit that would need more than 38 digits; somebody must look at it."""
    explanation = "the balance would exceed 38 digits"
    refused = refused_credit(call, stamp, subject, code=LIMIT_REACHED, explanation=explanation)
    return decline(call, subject, stamp, code=LIMIT_REACHED, balance=balance, breaks=(refused,))


def _disagreement(cancel: CancelWithdrawal, target: Reference | None) -> CroupierError | None:
    if target is None or target.status == TOMBSTONE:
        return None
    if target.action != "withdrawal":
        return CroupierError(
            MALFORMED, f"{cancel.reference} is a {target.action}, not a withdrawal", field="reference"
        )
    for field, given, stored in (
        ("player_id", cancel.player_id, target.player_id),
        ("asset", cancel.asset, target.asset),
    ):
        if given != stored:
            detail = f"the withdrawal has another {field}; nothing moved"
            return CroupierError(SESSION_MISMATCH, detail, field=field)
    return None


def _nothing_to_cancel(
    facts: Facts,
    call: Call,
    cancel: CancelWithdrawal,
    subject: Subject,
    target: Reference | None,
    stamp: Stamp,
) -> Verdict:
    code = ALREADY_ROLLED_BACK if target and target.rolled_back_by else NOTHING_TO_ROLL_BACK
    balance = facts.balance(wallet_of(cancel.player_id, cancel.asset))
    outcome = approved(call, subject, code=code, balance=balance, asset=cancel.asset)
    tombstone = None
    if target is None:
        late = Subject(
            action="tombstone", reference=cancel.reference, player_id=cancel.player_id, asset=cancel.asset
        )
        tombstone = render_tombstone(call, late, stamp, provider=OPERATOR, by=cancel.reference)
    reference = render_reference(call, subject, outcome, stamp)
    return Verdict(outcome=outcome, effects=Effects(reference=reference, tombstone=tombstone))
