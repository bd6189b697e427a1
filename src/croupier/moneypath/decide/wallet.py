"""The wallet port in decisions: who keeps the players' money says whether it can be moved.

Where Croupier's wallet is the one, its balance is a fact and the port answers at once. Where the operator keeps it, a
debit is decided in two turns: the first asks, the second has the answer. A credit is booked at once and delivered.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct, structs

from croupier.errors import WALLET_UNANSWERED, WALLET_UNAVAILABLE, CroupierError
from croupier.moneypath.commands import Action, Call, TellWallet
from croupier.moneypath.decide.verdict import Sending, Subject, Verdict, finding, refuse
from croupier.moneypath.facts import Break, Effects, Facts, Reference, Stamp
from croupier.moneypath.keeping import render_call
from croupier.moneypath.outcomes import (
    APPROVED,
    INSUFFICIENT_FUNDS,
    LIMIT_REACHED,
    OK,
    PLAYER_RESTRICTED,
    TOMBSTONED,
    Outcome,
)
from croupier.play.unknown import WALLET_OUTCOME, UnknownOutcome
from croupier.wallet.accounts import WALLET, Leg, wallet_of
from croupier.wallet.calls import (
    BET,
    UNDO,
    Booked,
    CallState,
    WalletCall,
    hear,
    take,
    undo,
)
from croupier.wallet.port import Approved, IfSpent, Operation, Refused, Unknown, Word

BEHIND: Final = "behind"
"""Why a debit is not asked yet: earlier money of the player is under way."""
CREDIT_REFUSED: Final = "wallet_refused_credit"
OTHER_AMOUNT: Final = "wallet_moved_another_amount"
CONTRADICTED: Final = "wallet_contradicts_itself"
UNSETTLED: Final = "wallet_call_unsettled"

_CODES: Final = {
    "insufficient_funds": INSUFFICIENT_FUNDS,
    "limit_reached": LIMIT_REACHED,
    "tombstoned": TOMBSTONED,
}


class Ask(Struct, frozen=True, gc=False):
    """What a call still needs of the operator's wallet.

    Without outcomes or an error the call is decided when the answers are there; with them it is decided already.
    """

    sendings: tuple[Sending, ...]
    outcomes: tuple[Outcome, ...] | None = None
    error: CroupierError | None = None


class Movement(Struct, frozen=True, gc=False, kw_only=True):
    """What is asked of the wallet for a transaction; `amount` in minor units, `kind` as the contract names it."""

    operation: Operation
    amount: int
    kind: str
    target: WalletCall | None = None
    if_spent: IfSpent | None = None


def code_of(refused: Refused) -> str:
    """What a refusal by the wallet is among our own declines."""
    return _CODES.get(refused.code, PLAYER_RESTRICTED)


def pending_call(facts: Facts, call: Call, reference: str) -> WalletCall | None:
    """What was asked of the wallet for a transaction before and may have been applied; None when there is nothing."""
    known = facts.wallet_call_of(call.provider, reference)
    return None if known is None or known.state == CallState.NOT_APPLIED else known


def asked_as(known: WalletCall, subject: Subject) -> Reference:
    """What was asked, as far as the fingerprint of its transaction goes; a rollback's amount is its target's."""
    return Reference(
        known.provider,
        known.reference,
        known.bucket,
        known.action,
        known.target_reference,
        known.player_id,
        known.asset,
        subject.amount if known.action == "rollback" else known.amount,
        known.session_id,
        known.round_id,
        None if known.action == "rollback" else known.game_id,
        known.state,
        known.reason or "",
        None,
        None,
        None,
        known.request_id,
        known.asked_at,
    )


def ask_wallet(
    facts: Facts, call: Call, subject: Subject, movement: Movement, action: Action, stamp: Stamp
) -> Approved | Refused | Verdict:
    """The wallet's answer to a debit, or the verdict that it is to be asked or did not answer."""
    terms = facts.wallet
    assert terms is not None, "only the operator's own wallet is asked"  # noqa: S101 (narrowing)
    known = facts.wallet_call_of(call.provider, subject.reference)
    if known is None:
        return _ask_anew(facts, call, subject, movement, action, stamp)
    if known.state == CallState.APPROVED:
        moved, balance = known.moved or 0, known.balance or 0
        facts.note_said(wallet_of(known.player_id, known.asset), balance + moved)
        return Approved(amount=moved, balance=balance, code=known.reason or OK)
    if known.state == CallState.REFUSED:
        if known.balance is not None:
            facts.note_said(wallet_of(known.player_id, known.asset), known.balance)
        return Refused(code=known.reason or "", balance=known.balance)
    if any(known.id == heard for heard, _ in call.words):
        return refuse(unanswered(known))
    is_held = known.state == CallState.ASKED and known.next_at is not None and known.next_at > stamp.now
    if is_held and known.request_id != call.request_id:
        detail = "the same reference is with the operator's wallet; repeat it"
        return refuse(CroupierError(WALLET_UNANSWERED, detail, reason=BEHIND, retry_after_s=1))
    if known.state == CallState.NOT_APPLIED:
        return _why_not_now(facts, call, known.player_id) or _sent(take(known, stamp.now, terms))
    is_doubtful = known.state in (CallState.ASKED, CallState.UNKNOWN)
    return _sent(take(known, stamp.now, terms), is_doubtful=is_doubtful)


def unanswered(known: WalletCall) -> CroupierError:
    """The error of a debit about which the wallet has not said anything usable."""
    if known.state == CallState.NOT_APPLIED:
        detail = f"the operator's wallet was not reached ({known.reason}); repeat the same reference"
        return CroupierError(WALLET_UNAVAILABLE, detail, reason=known.reason, retry_after_s=1)
    detail = f"the operator's wallet has not answered ({known.reason}); repeat the same reference"
    return CroupierError(WALLET_UNANSWERED, detail, reason=known.reason, retry_after_s=1)


def _ask_anew(
    facts: Facts, call: Call, subject: Subject, movement: Movement, action: Action, stamp: Stamp
) -> Verdict:
    refused = _why_not_now(facts, call, subject.player_id)
    if refused is not None:
        return refused
    made = _make(facts, call, subject, movement, stamp, booked=Booked.AFTER)
    kept = structs.replace(made, request=render_call(call), occurred_at=_occurred_at(action, stamp))
    assert facts.wallet is not None, "only the operator's own wallet is asked"  # noqa: S101 (narrowing)
    return _sent(take(kept, stamp.now, facts.wallet))


def _why_not_now(facts: Facts, call: Call, player_id: str) -> Verdict | None:
    """Why a debit is not asked now: it overtakes nothing, and a wallet that is away is left alone."""
    if facts.is_awaiting(player_id):
        return refuse(behind())
    if call.is_wallet_away:
        detail = "the operator's wallet is not asked for the moment; repeat the same reference later"
        return refuse(CroupierError(WALLET_UNAVAILABLE, detail, retry_after_s=1))
    return None


def behind() -> CroupierError:
    """The error of what must wait for earlier money of its player."""
    detail = "earlier money of this player is on its way to the operator's wallet; repeat the same reference"
    return CroupierError(WALLET_UNANSWERED, detail, reason=BEHIND, retry_after_s=1)


def _occurred_at(action: Action, stamp: Stamp) -> datetime:
    at: datetime = getattr(action, "occurred_at", stamp.now)
    return at


def _sent(taken: WalletCall, *, is_doubtful: bool = False) -> Verdict:
    return Verdict(effects=Effects(wallet_calls=(taken,)), asks=(Sending(taken, is_doubtful),))


def _make(
    facts: Facts, call: Call, subject: Subject, movement: Movement, stamp: Stamp, *, booked: Booked
) -> WalletCall:
    """A wallet call that nobody has made yet."""
    assert facts.wallet is not None, "only the operator's own wallet is called"  # noqa: S101 (narrowing)
    target = movement.target
    return WalletCall(
        bucket=call.bucket,
        id=stamp.ids.new(call.bucket),
        player_id=subject.player_id,
        asset=subject.asset or "",
        operation=movement.operation.value,
        amount=movement.amount,
        action=subject.action,
        kind=movement.kind,
        provider=call.provider,
        reference=subject.reference,
        target_reference=subject.target_reference,
        target_id=None if target is None else target.id,
        if_spent=None if movement.if_spent is None else movement.if_spent.value,
        session_id=subject.session_id,
        round_id=subject.provider_round_id,
        game_id=subject.game_id,
        occurred_at=stamp.now,
        correlation_id=call.correlation_id,
        booked=booked.value,
        request=None,
        request_id=call.request_id,
        asked_at=stamp.now,
        deadline=stamp.now + facts.wallet.deadline,
        owner=facts.wallet.owner,
        state=CallState.QUEUED.value,
        reason=None,
        attempts=0,
        sent_at=None,
        next_at=stamp.now,
        settled_at=None,
        moved=None,
        balance=None,
        wallet_reference=None,
        is_late=False,
        is_overdue=False,
    )


def deliver(
    facts: Facts, call: Call, subject: Subject, movement: Movement, stamp: Stamp
) -> tuple[WalletCall, ...]:
    """The wallet call that brings the player what is booked now; none where Croupier's wallet is the one.

    It is made at once, unless earlier money of the player is under way or the wallet is away: then it waits its turn.
    """
    if facts.wallet is None:
        return ()
    made = _make(facts, call, subject, movement, stamp, booked=Booked.BEFORE)
    return (_start(facts, call, made, stamp, but=(call.request_id,)),)


def _start(facts: Facts, call: Call, made: WalletCall, stamp: Stamp, *, but: tuple[UUID, ...]) -> WalletCall:
    assert facts.wallet is not None, "only the operator's own wallet is called"  # noqa: S101 (narrowing)
    must_wait = call.is_wallet_away or facts.is_awaiting(made.player_id, but=but)
    return made if must_wait else take(made, stamp.now, facts.wallet)


def take_back(
    facts: Facts, call: Call, known: WalletCall, stamp: Stamp, *, because: str
) -> tuple[WalletCall, ...]:
    """Undo at the wallet what was asked and never booked: whatever became of it, nothing is left of it afterwards."""
    subject = Subject(
        action=UNDO,
        reference=known.reference,
        player_id=known.player_id,
        target_reference=because,
        asset=known.asset,
        session_id=known.session_id,
        provider_round_id=known.round_id,
        game_id=known.game_id,
    )
    movement = Movement(operation=Operation.ROLLBACK, amount=known.amount, kind=known.kind, target=known)
    made = _make(facts, call, subject, movement, stamp, booked=Booked.NEVER)
    # What is undone is settled by that: nothing is left of it to wait for.
    started = _start(facts, call, made, stamp, but=(call.request_id, known.request_id))
    return undo(known, stamp.now), started


def wallet_amount(legs: tuple[Leg, ...]) -> int:
    """By how much legs change the player's wallet, in minor units."""
    return sum(leg.amount for leg in legs if leg.kind == WALLET)


def hear_words(facts: Facts, call: Call, stamp: Stamp) -> None:
    """Take in what the wallet said to this call, before anything is decided: it stands whatever becomes of the call."""
    for asset, balance in call.told:
        facts.note_told(wallet_of(call.player_id, asset), balance)
    for wallet_call_id, word in call.words:
        known = facts.wallet_calls[wallet_call_id]
        if known.state in (CallState.APPROVED, CallState.REFUSED):
            facts.apply(Effects(breaks=_contradictions(call, known, word, stamp)))
            continue
        after = hear(known, word, stamp.now)
        is_late = call.is_late and known.action == BET and after.state == CallState.APPROVED
        facts.apply(_heard(call, structs.replace(after, is_late=is_late), word, stamp))


def decide_tell(facts: Facts, call: Call, command: TellWallet, stamp: Stamp) -> Verdict:
    """Take in what the wallet said where the booking did not wait for it; what does not fit is work for a person."""
    known = facts.wallet_calls[command.wallet_call_id]
    word = command.word
    if not known.is_open and known.state != CallState.UNDONE:
        return Verdict(
            outcome=Outcome(APPROVED, OK, known.reference, balance=known.balance, is_repeat=True),
            effects=Effects(breaks=_contradictions(call, known, word, stamp)),
        )
    effects = _heard(call, hear(known, word, stamp.now), word, stamp)
    if isinstance(word, Refused) or (isinstance(word, Approved) and known.booked == Booked.BEFORE):
        effects = structs.replace(effects, breaks=(*effects.breaks, *_misfits(call, known, word, stamp)))
    balance = None
    if isinstance(word, Approved):
        key = wallet_of(known.player_id, known.asset)
        # This one is not on its way any more.
        balance = facts.note_said(key, word.balance - known.unsent)
        effects = structs.replace(effects, shown=_shown(facts, command, known, balance))
    return Verdict(
        outcome=Outcome(APPROVED, OK, known.reference, balance=balance, asset=known.asset), effects=effects
    )


def _shown(facts: Facts, command: TellWallet, known: WalletCall, balance: int) -> Reference | None:
    stored = facts.references.get((known.provider, known.reference))
    if not command.is_awaited or stored is None or known.booked != Booked.BEFORE:
        return None
    return structs.replace(stored, balance=balance)


def _heard(call: Call, after: WalletCall, word: Word, stamp: Stamp) -> Effects:
    """What is written of an answer: the call after it, an outcome it leaves unknown, a person's work once overdue."""
    unknown: UnknownOutcome | None = None
    breaks: tuple[Break, ...] = ()
    if isinstance(word, Unknown) and after.is_open:
        unknown = _unknown_of(after, stamp)
    if after.is_open and not after.is_overdue and stamp.now >= after.deadline:
        after = structs.replace(after, is_overdue=True)
        breaks = (_overdue(call, after, stamp),)
    return Effects(wallet_calls=(after,), unknown=unknown, breaks=breaks)


def _unknown_of(after: WalletCall, stamp: Stamp) -> UnknownOutcome:
    return UnknownOutcome(
        bucket=after.bucket,
        id=stamp.ids.new(after.bucket),
        kind=WALLET_OUTCOME,
        subject=after.name,
        provider=after.provider,
        player_id=after.player_id,
        session_id=after.session_id,
        reason=after.reason or "",
        since=stamp.now,
        attempts=1,
        next_probe_at=after.next_at,
        deadline=after.deadline,
        owner=after.owner,
    )


def _about(known: WalletCall) -> Subject:
    return Subject(
        action=known.action,
        reference=known.reference,
        player_id=known.player_id,
        asset=known.asset,
        amount=known.amount,
        session_id=known.session_id,
        provider_round_id=known.round_id,
    )


def _overdue(call: Call, after: WalletCall, stamp: Stamp) -> Break:
    explanation = (
        f"the operator's wallet was asked for a {after.operation} of {after.amount} minor units under {after.name} at "
        f"{after.asked_at:%Y-%m-%dT%H:%M:%SZ} and what became of it is still not settled ({after.reason}): "
        "look the reference up in the wallet; it is asked on until it answers"
    )
    return finding(
        call,
        stamp,
        kind=UNSETTLED,
        subject=after.name,
        explanation=explanation,
        about=_about(after),
        owner=after.owner,
    )


def _contradictions(call: Call, known: WalletCall, word: Word, stamp: Stamp) -> tuple[Break, ...]:
    """The break about a wallet that says another thing than before under the same reference; its first word stands."""
    is_same = (
        known.state == CallState.APPROVED if isinstance(word, Approved) else known.state == CallState.REFUSED
    )
    is_same = is_same and (not isinstance(word, Approved) or word.amount == known.moved)
    if is_same or not isinstance(word, Approved | Refused):
        return ()
    said = f"approved {word.amount}" if isinstance(word, Approved) else f"refused ({word.code})"
    explanation = (
        f"the operator's wallet, or who settled it by hand, said {known.state} about {known.name} first, and {said} "
        "later: what was said first is booked; look the reference up in the wallet"
    )
    return (
        finding(
            call,
            stamp,
            kind=CONTRADICTED,
            subject=known.name,
            explanation=explanation,
            about=_about(known),
            owner=known.owner,
        ),
    )


def _misfits(call: Call, known: WalletCall, word: Approved | Refused, stamp: Stamp) -> tuple[Break, ...]:
    if isinstance(word, Refused):
        kind = CREDIT_REFUSED
        explanation = (
            f"the operator's wallet refused the {known.operation} {known.name} ({word.code}), which is booked here: "
            f"the player is owed {known.amount} minor units there"
        )
    elif word.amount != known.amount:
        kind = OTHER_AMOUNT
        explanation = (
            f"the operator's wallet moved {word.amount} minor units under {known.name} ({word.code}), and "
            f"{known.amount} are booked here"
        )
    else:
        return ()
    return (
        finding(
            call,
            stamp,
            kind=kind,
            subject=known.name,
            explanation=explanation,
            about=_about(known),
            owner=known.owner,
        ),
    )


def unbooked(facts: Facts, call: Call) -> tuple[WalletCall, ...]:
    """What the wallet approved for a call and is not booked; nothing while another part of it is not settled."""
    mine = [
        known
        for action in call.actions
        if (known := facts.wallet_call_of(call.provider, getattr(action, "reference", None) or ""))
        is not None
        and known.booked == Booked.AFTER
    ]
    if any(known.is_open for known in mine):
        return ()
    return tuple(
        known
        for known in mine
        if known.state == CallState.APPROVED and (known.provider, known.reference) not in facts.references
    )
