"""Wallet calls: what was asked of the operator's wallet, what became of it, and what is done next. Pure.

A debit is asked first and booked afterwards, under the same row: `after`. A credit is booked at once and delivered
until the wallet has it: `before`. An undoing takes back what the wallet may have applied and nobody booked: `never`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID

from msgspec import Struct, structs

from croupier.ids import SESSION, WALLET_CALL, render_id
from croupier.wallet.port import (
    BREAKER_OPEN,
    Approved,
    IfSpent,
    NotApplied,
    Operation,
    Refused,
    Unknown,
    WalletOrder,
    Word,
)


class CallState(StrEnum):
    """Where a wallet call stands."""

    ASKED = "asked"
    """Somebody is asking, and has until `next_at`; after that nobody can tell how far it came."""
    QUEUED = "queued"
    """Certainly not applied, and to be sent."""
    UNKNOWN = "unknown"
    APPROVED = "approved"
    REFUSED = "refused"
    NOT_APPLIED = "not_applied"
    """Certainly not applied, and nobody sends it by himself; the same reference may be asked again."""
    UNDONE = "undone"
    """Another call takes back whatever the wallet made of it."""


OPEN: Final = frozenset({CallState.ASKED, CallState.QUEUED, CallState.UNKNOWN})
"""What is not settled."""


class Booked(StrEnum):
    """When the ledger books what a wallet call moves."""

    BEFORE = "before"
    AFTER = "after"
    NEVER = "never"


BET: Final = "bet"
UNDO: Final = "undo"
"""The action of a call that undoes another which was never booked."""


class WalletTerms(Struct, frozen=True, kw_only=True):
    """How long things may take with the operator's wallet, and whose unknown outcomes are.

    `lease` is how long whoever asks is waited for; `deadline` when an open call becomes a person's; `stale_after`
    when no signature of an attempt can be good any more, so that a wallet which does not know it never will;
    `late_grace` how long a provider has to come back for a bet that it was told nothing about.
    """

    lease: timedelta = timedelta(seconds=10)
    deadline: timedelta = timedelta(minutes=10)
    stale_after: timedelta = timedelta(seconds=90)
    late_grace: timedelta = timedelta(hours=1)
    owner: str = "finance"


FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(seconds=15)
"""How long at most an unknown call rests: no longer than the breaker, which spares a wallet that is away."""
LONGEST_WAIT: Final = timedelta(seconds=4)
"""How long at most that rests of which the wallet was not asked: the breaker spares it, and a player waits."""


class WalletCall(Struct, frozen=True, gc=False, kw_only=True):
    """One movement asked of the wallet, under an id that is its reference there for ever. Amounts in minor units.

    `provider` and `reference` are whose transaction it serves, `target_reference` what that undoes; `target_id` is the
    wallet call that a rollback undoes. `kind` tells the wallet why. `next_at` is when an open call is looked at next.
    `moved`, `balance` and `wallet_reference` are what the wallet said. `request` is the call to decide when the answer
    is there, as JSON, where the ledger books afterwards. `is_late`: it was approved after its provider was told that
    nobody knows. `is_overdue`: a person has been told.
    """

    bucket: int
    id: UUID
    player_id: str
    asset: str
    operation: str
    amount: int
    action: str
    kind: str
    provider: str
    reference: str
    target_reference: str | None
    target_id: UUID | None
    if_spent: str | None
    session_id: UUID | None
    round_id: str | None
    game_id: str | None
    occurred_at: datetime
    correlation_id: str
    booked: str
    request: str | None
    request_id: UUID
    asked_at: datetime
    deadline: datetime
    owner: str
    state: str
    reason: str | None
    attempts: int
    sent_at: datetime | None
    next_at: datetime | None
    settled_at: datetime | None
    moved: int | None
    balance: int | None
    wallet_reference: str | None
    is_late: bool
    is_overdue: bool

    @property
    def is_open(self) -> bool:
        """Whether it is not settled yet."""
        return self.state in OPEN

    @property
    def unsent(self) -> int:
        """What of it is booked for the player and certainly not at the wallet yet, in minor units."""
        return self.amount if self.booked == Booked.BEFORE and self.state == CallState.QUEUED else 0

    @property
    def name(self) -> str:
        """Its reference at the wallet."""
        return render_id(WALLET_CALL, self.id)

    @property
    def holds_debits(self) -> bool:
        """Whether a later debit of the player must wait for it: money that is on its way must arrive first.

        A bet that nobody can clear up holds nothing any more once it is a person's.
        """
        return self.is_open and not (self.is_overdue and self.action == BET)


def order_of(call: WalletCall) -> WalletOrder:
    """The call as it is asked of the wallet."""
    return WalletOrder(
        reference=call.name,
        operation=Operation(call.operation),
        player_id=call.player_id,
        asset=call.asset,
        amount=call.amount,
        kind=call.kind,
        provider=call.provider,
        provider_reference=call.reference,
        occurred_at=call.occurred_at,
        correlation_id=call.correlation_id,
        target_reference=None if call.target_id is None else render_id(WALLET_CALL, call.target_id),
        if_spent=None if call.if_spent is None else IfSpent(call.if_spent),
        session_id=None if call.session_id is None else render_id(SESSION, call.session_id),
        round_id=call.round_id,
        game_id=call.game_id,
    )


def take(call: WalletCall, now: datetime, terms: WalletTerms) -> WalletCall:
    """The call as somebody begins to ask."""
    return structs.replace(
        call, state=CallState.ASKED.value, next_at=now + terms.lease, settled_at=None, sent_at=now
    )


def hear(call: WalletCall, word: Word, now: datetime) -> WalletCall:
    """The call after an answer. What was undone meanwhile stays so, and remembers what the wallet said.

    `NotApplied` is taken at its word: whoever asked again after an attempt that nobody knows of must not say so.
    """
    attempts = call.attempts + 1
    match word:
        case Approved():
            said = structs.replace(
                call,
                attempts=attempts,
                moved=word.amount,
                balance=word.balance,
                wallet_reference=word.wallet_reference,
                reason=word.code,
            )
            return _settled(said, CallState.APPROVED, now)
        case Refused():
            said = structs.replace(call, attempts=attempts, balance=word.balance, reason=word.code)
            return _settled(said, CallState.REFUSED, now)
        case NotApplied():
            said = structs.replace(call, attempts=attempts, reason=word.reason)
            if call.operation == Operation.DEBIT and call.booked == Booked.AFTER:
                return _settled(said, CallState.NOT_APPLIED, now)
            return _open(said, CallState.QUEUED, now, at_most=LONGEST_WAIT)
        case Unknown():
            said = structs.replace(call, attempts=attempts, reason=word.reason)
            # Where nobody was asked it is the breaker that spares the wallet.
            at_most = LONGEST_WAIT if word.reason == BREAKER_OPEN else LONGEST_PAUSE
            return _open(said, CallState.UNKNOWN, now, at_most=at_most)
        case _:
            assert_never(word)


def undo(call: WalletCall, now: datetime) -> WalletCall:
    """The call once another one takes back whatever becomes of it."""
    return _settled(call, CallState.UNDONE, now)


def pause_after(attempts: int) -> timedelta:
    """How long after so many attempts the next one comes."""
    doublings: int = min(max(attempts - 1, 0), 10)
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << doublings))


def _settled(call: WalletCall, state: CallState, now: datetime) -> WalletCall:
    stays = call.state == CallState.UNDONE
    return structs.replace(
        call,
        state=call.state if stays else state.value,
        next_at=None,
        settled_at=call.settled_at if stays else now,
    )


def _open(call: WalletCall, state: CallState, now: datetime, *, at_most: timedelta) -> WalletCall:
    if call.state == CallState.UNDONE:
        return call
    return structs.replace(
        call, state=state.value, next_at=now + min(at_most, pause_after(call.attempts)), settled_at=None
    )
