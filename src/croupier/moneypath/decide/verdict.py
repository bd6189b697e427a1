"""What a decision returns, and the small pieces every decision is made of."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from croupier.errors import CroupierError
from croupier.moneypath.commands import Call
from croupier.moneypath.facts import Break, Effects, Entry, Facts, Reference, Stamp
from croupier.moneypath.outcomes import APPROVED, DECLINED, OK, TOMBSTONE, TOMBSTONED, Outcome
from croupier.wallet.accounts import Leg
from croupier.wallet.calls import WalletCall

FINANCE: Final = "finance"


class Sending(Struct, frozen=True, gc=False):
    """A wallet call that is made now; of a doubtful one nobody knows what became of the attempt before."""

    call: WalletCall
    is_doubtful: bool = False


class Verdict(Struct, frozen=True, gc=False):
    """An outcome or an error, with what it writes. An error writes breaks at most.

    With `asks` it is neither yet: the operator's wallet must be asked first.
    """

    outcome: Outcome | None = None
    error: CroupierError | None = None
    effects: Effects | None = None
    asks: tuple[Sending, ...] = ()

    @property
    def is_approved(self) -> bool:
        """Whether the action stands, so that the next action of an atomic call may be decided."""
        return self.outcome is not None and self.outcome.status == APPROVED


class Subject(Struct, frozen=True, gc=False, kw_only=True):
    """What a reference is about: the fields of its fingerprint, and the session it belongs to."""

    action: str
    reference: str
    player_id: str
    target_reference: str | None = None
    asset: str | None = None
    amount: int | None = None
    session_id: UUID | None = None
    provider_round_id: str | None = None
    game_id: str | None = None


def render_reference(
    call: Call, subject: Subject, outcome: Outcome, stamp: Stamp, *, rolled_back_by: str | None = None
) -> Reference:
    """The row that keeps an outcome under its reference."""
    return Reference(
        call.provider,
        subject.reference,
        call.bucket,
        subject.action,
        subject.target_reference,
        subject.player_id,
        outcome.asset or subject.asset,
        subject.amount,
        subject.session_id,
        subject.provider_round_id,
        subject.game_id,
        outcome.status,
        outcome.code,
        outcome.journal_id,
        outcome.balance,
        rolled_back_by,
        call.request_id,
        stamp.now,
    )


def render_tombstone(call: Call, target: Subject, stamp: Stamp, *, provider: str, by: str) -> Reference:
    """The row that makes a late transaction refuse because its rollback came first."""
    return Reference(
        provider,
        target.reference,
        call.bucket,
        TOMBSTONE,
        None,
        target.player_id,
        target.asset,
        None,
        target.session_id,
        None,
        None,
        TOMBSTONE,
        TOMBSTONED,
        None,
        None,
        by,
        call.request_id,
        stamp.now,
    )


def approved(
    call: Call,
    subject: Subject,
    *,
    code: str = OK,
    journal_id: UUID | None = None,
    balance: int | None = None,
    asset: str | None,
    moved: int = 0,
) -> Outcome:
    """The caller gets what was asked; `balance` is the wallet's afterwards."""
    return Outcome(
        APPROVED,
        code,
        subject.reference,
        journal_id,
        balance,
        asset,
        session_id=subject.session_id,
        decision_id=call.request_id,
        moved=moved,
    )


def declined(call: Call, subject: Subject, *, code: str, balance: int | None, asset: str | None) -> Outcome:
    """The caller does not get it, now and for ever under this reference."""
    return Outcome(
        DECLINED,
        code,
        subject.reference,
        None,
        balance,
        asset,
        session_id=subject.session_id,
        decision_id=call.request_id,
    )


def decline(
    call: Call, subject: Subject, stamp: Stamp, *, code: str, balance: int, breaks: tuple[Break, ...] = ()
) -> Verdict:
    """A stored decline: nothing moves, the reference is used up."""
    outcome = declined(call, subject, code=code, balance=balance, asset=subject.asset)
    reference = render_reference(call, subject, outcome, stamp)
    return Verdict(outcome=outcome, effects=Effects(reference=reference, breaks=breaks))


def entry_for(
    call: Call,
    subject: Subject,
    legs: tuple[Leg, ...],
    stamp: Stamp,
    *,
    occurred_at: datetime,
    details: str | None = None,
) -> Entry | None:
    """The journal entry of an effect; None when nothing moves."""
    if not legs:
        return None
    return Entry(
        call.bucket,
        stamp.ids.new(call.bucket),
        subject.action,
        call.provider,
        subject.reference,
        subject.player_id,
        subject.session_id,
        subject.provider_round_id,
        legs[0].asset,
        _cause_of(call),
        details,
        occurred_at,
        stamp.now,
        call.correlation_id,
        call.trace_id,
        legs,
    )


def _cause_of(call: Call) -> str:
    """How the call came: by callback, by webhook, in a replay, from the operator."""
    if call.notice is not None:
        return call.notice.via
    return "callback" if call.time_source == "provider" else call.time_source


def finding(
    call: Call,
    stamp: Stamp,
    *,
    kind: str,
    subject: str,
    explanation: str,
    about: Subject,
    owner: str = FINANCE,
) -> Break:
    """A break about one reference, round or player; `owner` is the team that resolves it."""
    return Break(
        call.bucket,
        stamp.ids.new(call.bucket),
        kind,
        subject,
        owner,
        call.provider,
        about.player_id,
        about.session_id,
        about.provider_round_id,
        about.asset,
        None if about.amount is None else str(about.amount),
        explanation,
        stamp.now,
    )


def refused_credit(call: Call, stamp: Stamp, subject: Subject, *, code: str, explanation: str) -> Break:
    """A verified credit was refused: a player may be owed money."""
    return finding(
        call,
        stamp,
        kind="refused_credit",
        subject=f"{subject.reference}:{code}",
        explanation=explanation,
        about=subject,
    )


def refuse(error: CroupierError, breaks: tuple[Break, ...] = ()) -> Verdict:
    """An error, with the breaks it opens."""
    return Verdict(error=error, effects=Effects(breaks=breaks) if breaks else None)


def only_wallet(facts: Facts, player_id: str) -> str | None:
    """The asset of a player's only wallet, for answers to calls that name no asset."""
    wallets = facts.wallets_of(player_id)
    return wallets[0].asset if len(wallets) == 1 else None
