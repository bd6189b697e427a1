"""References met again: the stored answer for the same content, a conflict for other content, a tombstone's decline."""

from __future__ import annotations

from typing import Any, Final

from msgspec import structs

from croupier.errors import REFERENCE_CONFLICT, CroupierError
from croupier.moneypath.commands import Call
from croupier.moneypath.decide.verdict import (
    Subject,
    Verdict,
    declined,
    refuse,
    refused_credit,
    render_reference,
)
from croupier.moneypath.decide.wallet import asked_as
from croupier.moneypath.facts import Break, Effects, Facts, Reference, Stamp
from croupier.moneypath.outcomes import DECLINED, TOMBSTONE, TOMBSTONED, Outcome
from croupier.wallet.accounts import wallet_of
from croupier.wallet.calls import Booked

CREDITS: Final = frozenset({"win", "jackpot_win", "promo_win", "rollback", "deposit", "withdrawal_cancel"})
"""Actions that give a player money: their refusal is finance's business."""


DERIVED: Final[dict[str, frozenset[str]]] = {
    "rollback": frozenset({"asset", "round_id"}),
    "close_round": frozenset({"asset"}),
}
"""Fields that a caller may leave out because target or session have them; compared only when both sides do."""


def decide_known(facts: Facts, call: Call, subject: Subject, stamp: Stamp) -> Verdict | None:
    """The verdict for a reference that is known already; None for a new one."""
    stored = facts.references.get((call.provider, subject.reference))
    if stored is None:
        return _decide_asked(facts, call, subject, stamp)
    if stored.status == TOMBSTONE:
        return _claim_tombstone(facts, call, subject, stored, stamp)
    difference = differing_field(stored, subject)
    if difference is not None:
        return _conflict(call, subject, stored, stamp, difference)
    is_repeat = stored.request_id != call.request_id
    is_told = is_repeat and stored.asset is not None
    balance = facts.balance(wallet_of(stored.player_id, stored.asset or "")) if is_told else None
    outcome = render_stored(stored, is_repeat=is_repeat, current_balance=balance)
    if facts.is_awaiting(stored.player_id):
        outcome = structs.replace(outcome, is_expected=True)
    return Verdict(outcome=outcome)


def _decide_asked(facts: Facts, call: Call, subject: Subject, stamp: Stamp) -> Verdict | None:
    """The verdict for a reference that was used to ask the operator's wallet for something else; None otherwise."""
    known = facts.wallet_call_of(call.provider, subject.reference)
    if known is None or known.booked != Booked.AFTER:
        return None
    asked = asked_as(known, subject)
    difference = differing_field(asked, subject)
    return None if difference is None else _conflict(call, subject, asked, stamp, difference)


def render_stored(stored: Reference, *, is_repeat: bool, current_balance: int | None = None) -> Outcome:
    """The original outcome of a reference, with the wallet's balance now beside the one of then."""
    return Outcome(
        stored.status,
        stored.code,
        stored.reference,
        stored.journal_id,
        stored.balance,
        stored.asset,
        is_repeat,
        stored.session_id,
        None,
        stored.request_id,
        current_balance,
    )


def differing_field(stored: Reference, subject: Subject) -> str | None:
    """The first field of the fingerprint in which the two differ; None when they are the same."""
    derived = DERIVED.get(stored.action, frozenset()) if stored.action == subject.action else frozenset()
    pairs: tuple[tuple[str, Any, Any], ...] = (
        ("action", stored.action, subject.action),
        ("player_id", stored.player_id, subject.player_id),
        ("target_reference", stored.target_reference, subject.target_reference),
        ("asset", stored.asset, subject.asset),
        ("amount", stored.amount, subject.amount),
        ("round_id", stored.provider_round_id, subject.provider_round_id),
        ("game_id", stored.game_id, subject.game_id),
    )
    for name, before, now in pairs:
        if before != now and not (name in derived and (before is None or now is None)):
            return name
    return None


def _conflict(call: Call, subject: Subject, stored: Reference, stamp: Stamp, field: str) -> Verdict:
    error = CroupierError(
        REFERENCE_CONFLICT,
        f"reference {subject.reference} was used before with another {field}; nothing moved",
        field=field,
        reason=stored.status if stored.status == DECLINED else None,
    )
    if subject.action not in CREDITS:
        return refuse(error)
    explanation = f"a {subject.action} reuses the reference of a {stored.action} with another {field}"
    subject_of_break = refused_credit(call, stamp, subject, code=f"conflict:{field}", explanation=explanation)
    return refuse(error, (subject_of_break,))


def _claim_tombstone(facts: Facts, call: Call, subject: Subject, stored: Reference, stamp: Stamp) -> Verdict:
    """The transaction whose rollback came first arrives: declined for ever, and the row now says what it was."""
    asset = subject.asset
    balance = facts.balance(wallet_of(subject.player_id, asset)) if asset else None
    outcome = declined(call, subject, code=TOMBSTONED, balance=balance, asset=asset)
    claim = render_reference(call, subject, outcome, stamp, rolled_back_by=stored.rolled_back_by)
    breaks: tuple[Break, ...] = ()
    if subject.action in CREDITS:
        explanation = f"a {subject.action} arrived after its rollback {stored.rolled_back_by}"
        breaks = (refused_credit(call, stamp, subject, code=TOMBSTONED, explanation=explanation),)
    return Verdict(outcome=outcome, effects=Effects(claim=claim, breaks=breaks))
