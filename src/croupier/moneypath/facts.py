"""Facts of one batch: what was loaded, as it stands after the decisions made so far. No I/O.

Decisions read facts and return effects; `Facts.apply` takes the effects in, so that the next decision of the same
batch sees them. Everything applied can be undone to a mark, which is how a call with several actions is atomic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from msgspec import Struct, structs

from croupier.errors import Violation
from croupier.ids import IdSource
from croupier.moneypath.outcomes import ALREADY_PAID, APPROVED
from croupier.play.eligibility import PlayTerms, Ruling
from croupier.play.restriction import Restriction
from croupier.play.round import Round, RoundState, settle
from croupier.play.session import Session, SessionEvent
from croupier.play.timeouts import DEFAULT_POLICY, Policy
from croupier.play.unknown import UnknownOutcome
from croupier.wallet.accounts import MATERIALISED, POOL, WALLET, AccountKey, Leg, imbalance, wallet_of
from croupier.wallet.calls import Booked, CallState, WalletCall, WalletTerms

K = TypeVar("K")
V = TypeVar("V")

Fact = tuple[UUID, str, str, int]
"""A win as notices are tied to it: session, round, action, amount in minor units."""

WINS: Final = frozenset({"win", "jackpot_win", "promo_win"})
"""The actions of references that pay a player."""


class Reference(Struct, frozen=True, gc=False):
    """A decided reference: its fingerprint (action to game), its answer, and whether it was rolled back since."""

    provider: str
    reference: str
    bucket: int
    action: str
    target_reference: str | None
    player_id: str
    asset: str | None
    amount: int | None
    session_id: UUID | None
    provider_round_id: str | None
    game_id: str | None
    status: str
    code: str
    journal_id: UUID | None
    balance: int | None
    rolled_back_by: str | None
    request_id: UUID
    recorded_at: datetime


class Entry(Struct, frozen=True, gc=False):
    """A journal entry to write, with its legs. `details` is a JSON text."""

    bucket: int
    id: UUID
    kind: str
    provider: str
    reference: str
    player_id: str
    session_id: UUID | None
    provider_round_id: str | None
    asset: str
    cause: str
    details: str | None
    occurred_at: datetime
    recorded_at: datetime
    correlation_id: str
    trace_id: str | None
    legs: tuple[Leg, ...]


class Break(Struct, frozen=True, gc=False):
    """Work for a person. `subject` names the finding within its kind, so that it is opened once."""

    bucket: int
    id: UUID
    kind: str
    subject: str
    owner: str
    provider: str
    player_id: str
    session_id: UUID | None
    provider_round_id: str | None
    asset: str | None
    amount: str | None
    explanation: str
    opened_at: datetime


class StoredAnswer(Struct, frozen=True, gc=False):
    """An operator answer kept under its Idempotency-Key; `request_id` is the attempt that was answered first."""

    bucket: int
    api_key_id: str
    key: str
    fingerprint: str
    status: int
    body: str
    expires_at: datetime
    request_id: UUID


class Token(Struct, frozen=True, gc=False):
    """A session token by its hash; `replaced_at` is when another took its place."""

    bucket: int
    token_hash: str
    session_id: UUID
    issued_at: datetime
    replaced_at: datetime | None


class Noticed(Struct, frozen=True, gc=False):
    """A win of a round that a notice paid, by its action and amount in minor units.

    `callback` is the reference under which a callback told the same fact; from then on it stands for no other.
    """

    bucket: int
    session_id: UUID
    provider_round_id: str
    action: str
    amount: int
    reference: str
    callback: str | None = None

    @property
    def fact(self) -> Fact:
        """What was won, whatever it is called by."""
        return self.session_id, self.provider_round_id, self.action, self.amount


class Mark(Struct, frozen=True, gc=False):
    """A reference is rolled back `by` another, or stands again (None); `was` is what it said before."""

    provider: str
    reference: str
    was: str | None
    by: str | None


class Opened(Struct, frozen=True, gc=False):
    """The decision that a session was opened on, and the terms it is played on."""

    ruling: Ruling
    terms: PlayTerms


class Posted(Struct, frozen=True, gc=False):
    """A leg as it was posted, with the account's balance after it where that is materialised."""

    leg: Leg
    balance_after: int | None


class Effects(Struct, frozen=True, gc=False):
    """Everything one decision writes.

    `session` and `round` are the states after it.
    """

    reference: Reference | None = None
    tombstone: Reference | None = None
    claim: Reference | None = None
    marks: tuple[Mark, ...] = ()
    entries: tuple[Entry, ...] = ()
    session: Session | None = None
    round: Round | None = None
    events: tuple[SessionEvent, ...] = ()
    settles_rounds: bool = False
    breaks: tuple[Break, ...] = ()
    answer: StoredAnswer | None = None
    tokens: tuple[Token, ...] = ()
    noticed: Noticed | None = None
    restriction: Restriction | None = None
    opened: Opened | None = None
    unknown: UnknownOutcome | None = None
    wallet_calls: tuple[WalletCall, ...] = ()
    shown: Reference | None = None
    """A stored answer whose balance is another one, before anybody has had it."""


class Stamp(Struct, frozen=True):
    """The clock, the source of ids, the grace for a bet that its win overtook and the times of states, as arguments."""

    now: datetime
    ids: IdSource
    bet_due_at: datetime
    timeouts: Policy = DEFAULT_POLICY


_ABSENT: Any = object()
_CHANGING: Final = (
    *("answers", "balances", "legs", "noticed", "paid"),
    *("posted", "references", "restrictions", "rounds", "sessions", "terms", "tokens"),
    *("pending", "told", "wallet_call_ids", "wallet_calls"),
)
"""What decisions change."""


class Facts:
    """The working set of one batch."""

    __slots__ = (
        "_told_before",
        "_undo",
        "_wallet_calls_of",
        "answers",
        "applied",
        "balances",
        "has_notices",
        "legs",
        "noticed",
        "paid",
        "pending",
        "players",
        "posted",
        "references",
        "restrictions",
        "rounds",
        "sessions",
        "terms",
        "tokens",
        "told",
        "wallet",
        "wallet_call_ids",
        "wallet_calls",
    )

    def __init__(self, wallet: WalletTerms | None = None) -> None:
        """Facts of a batch; `wallet` are the terms of the operator's own wallet, None where Croupier's is the one."""
        self.wallet = wallet
        self.told: dict[AccountKey, int] = {}
        self.pending: dict[AccountKey, int] = {}
        self._told_before: dict[AccountKey, int] = {}
        self.wallet_calls: dict[UUID, WalletCall] = {}
        self.wallet_call_ids: dict[tuple[str, str], UUID | None] = {}
        self._wallet_calls_of: defaultdict[str, set[UUID]] = defaultdict(set)
        self.players: set[str] = set()
        self.balances: dict[AccountKey, int] = {}
        self.references: dict[tuple[str, str], Reference] = {}
        self.legs: dict[UUID, tuple[Leg, ...]] = {}
        self.sessions: dict[UUID, Session] = {}
        self.rounds: dict[tuple[UUID, str], Round] = {}
        self.answers: dict[tuple[str, str], StoredAnswer] = {}
        self.tokens: dict[str, Token] = {}
        self.noticed: dict[Fact, str | None] = {}
        self.paid: dict[Fact, str] = {}
        self.restrictions: dict[str, tuple[Restriction, ...]] = {}
        self.terms: dict[UUID, PlayTerms] = {}
        self.has_notices = False
        self.applied: list[Effects] = []
        self.posted: dict[UUID, list[Posted]] = {}
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []

    def balance(self, key: AccountKey) -> int:
        """Balance in minor units; an account that was never used holds nothing.

        Of a player's wallet it is what the player has: where the operator keeps it, what the wallet told last.
        """
        if self.wallet is not None and key.kind == WALLET:
            return self.told.get(key, 0)
        return self.balances.get(key, 0)

    def note_told(self, key: AccountKey, balance: int) -> None:
        """Remember what a player is told to have."""
        self._set(self.told, key, balance)

    def note_said(self, key: AccountKey, balance: int) -> int:
        """Remember what the operator's wallet says that a player has, and what it was not sent yet on top of it."""
        told = balance + self.pending.get(key, 0)
        self._set(self.told, key, told)
        return told

    def changed_told(self) -> dict[AccountKey, int]:
        """What the operator's wallet told last, where that changed since these facts were read."""
        return {key: told for key, told in self.told.items() if self._told_before.get(key) != told}

    def keep_wallet_here(self) -> None:
        """Go on as if what the operator's wallet told last were in a wallet of ours, so that nobody is asked."""
        self.balances.update(self.told)
        self.wallet = None

    def settle_loading(self) -> None:
        """What stands now was loaded: it cannot be undone, and was not changed."""
        self._told_before = dict(self.told)
        self._undo.clear()

    def note_wallet_call(self, call: WalletCall) -> None:
        """Remember how a wallet call stands; a provider's transaction has one that counts."""
        before = self.wallet_calls.get(call.id)
        unsent = call.unsent - (0 if before is None else before.unsent)
        if unsent:
            key = wallet_of(call.player_id, call.asset)
            self._set(self.pending, key, self.pending.get(key, 0) + unsent)
        self._set(self.wallet_calls, call.id, call)
        # Not taken back with the call: what is not among the calls any more is passed over.
        self._wallet_calls_of[call.player_id].add(call.id)
        if call.booked != Booked.NEVER:
            counts = call.state != CallState.UNDONE
            self._set(self.wallet_call_ids, (call.provider, call.reference), call.id if counts else None)

    def wallet_call_of(self, provider: str, reference: str) -> WalletCall | None:
        """The wallet call of a provider's transaction, if one was ever made and counts."""
        call_id = self.wallet_call_ids.get((provider, reference))
        return None if call_id is None else self.wallet_calls[call_id]

    def is_awaiting(self, player_id: str, *, but: tuple[UUID, ...] = ()) -> bool:
        """Whether earlier money of a player is under way with the operator's wallet, `but` for these requests' own."""
        if self.wallet is None:
            return False
        mine = map(self.wallet_calls.get, self._wallet_calls_of.get(player_id, ()))
        return any(call is not None and call.holds_debits and call.request_id not in but for call in mine)

    def restriction_of(self, player_id: str, now: datetime) -> Restriction | None:
        """What keeps a player from staking now, if anything does."""
        standing = self.restrictions.get(player_id, ())
        return next((one for one in standing if one.is_in_force(now)), None)

    def wallets_of(self, player_id: str) -> list[AccountKey]:
        """The wallets loaded for a player."""
        return [key for key in self.balances if key.kind == WALLET and key.owner == player_id]

    def mark(self) -> tuple[int, int]:
        """A point to undo to."""
        return len(self._undo), len(self.applied)

    def undo_to(self, mark: tuple[int, int]) -> None:
        """Forget every effect applied since the mark."""
        while len(self._undo) > mark[0]:
            target, key, before = self._undo.pop()
            if before is _ABSENT:
                del target[key]
            else:
                target[key] = before
        del self.applied[mark[1] :]

    def continue_from(self, earlier: Facts) -> None:
        """Stand as if what was decided on earlier facts of the same players had been written before these were read."""
        for session_id, session in earlier.sessions.items():
            self.sessions.setdefault(session_id, session)
        for effects in earlier.applied:
            if effects.session is not None and effects.settles_rounds:
                self._settle_rounds(effects.session)
        names = {id(getattr(earlier, name)): name for name in _CHANGING}
        changed = {(names[id(target)], key): target[key] for target, key, _ in earlier._undo}
        for (name, key), value in changed.items():
            self._set(getattr(self, name), key, value)
        for call in self.wallet_calls.values():
            self._wallet_calls_of[call.player_id].add(call.id)
        self.applied[:0] = earlier.applied

    def note_paid(self, reference: Reference) -> None:
        """Remember a win of a round, rolled back or not, for the notices that may tell of it."""
        if (
            reference.action in WINS
            and reference.status == APPROVED
            and reference.code != ALREADY_PAID
            and reference.session_id is not None
            and reference.provider_round_id is not None
        ):
            fact = (
                reference.session_id,
                reference.provider_round_id,
                reference.action,
                reference.amount or 0,
            )
            self._set(self.paid, fact, reference.reference)

    def apply(self, effects: Effects) -> None:
        """Take effects in.

        Raises:
            Violation: an entry does not sum to zero, or a wallet would go below zero.
        """
        self.applied.append(effects)
        for reference in (effects.reference, effects.tombstone, effects.claim):
            if reference is not None:
                self._set(self.references, (reference.provider, reference.reference), reference)
        for mark in effects.marks:
            self._mark_rolled_back(mark)
        for token in effects.tokens:
            self._set(self.tokens, token.token_hash, token)
        if effects.noticed is not None:
            is_free = effects.noticed.callback is None
            self._set(self.noticed, effects.noticed.fact, effects.noticed.reference if is_free else None)
        if self.has_notices and effects.reference is not None:
            self.note_paid(effects.reference)
        for call in effects.wallet_calls:
            self.note_wallet_call(call)
        for entry in effects.entries:
            self._post(entry)
        self._take_states(effects)
        if effects.restriction is not None:
            self._take_restriction(effects.restriction)
        if effects.opened is not None and effects.session is not None:
            self._set(self.terms, effects.session.id, effects.opened.terms)
        if effects.answer is not None:
            self._set(self.answers, (effects.answer.api_key_id, effects.answer.key), effects.answer)

    def _take_states(self, effects: Effects) -> None:
        if effects.session is not None:
            self._set(self.sessions, effects.session.id, effects.session)
            if effects.settles_rounds:
                self._settle_rounds(effects.session)
        if effects.round is not None:
            key = (effects.round.session_id, effects.round.provider_round_id)
            self._set(self.rounds, key, effects.round)

    def _take_restriction(self, restriction: Restriction) -> None:
        known = self.restrictions.get(restriction.player_id, ())
        others = tuple(one for one in known if one.id != restriction.id)
        self._set(self.restrictions, restriction.player_id, (*others, restriction))

    def _settle_rounds(self, session: Session) -> None:
        """What `write_effects` does to every round of the session, for those that are loaded."""
        for key, round_ in list(self.rounds.items()):
            if key[0] == session.id and round_.state in (RoundState.OPEN, RoundState.CLOSED):
                self._set(self.rounds, key, settle(round_, session.last_activity_at))

    def _mark_rolled_back(self, mark: Mark) -> None:
        key = (mark.provider, mark.reference)
        self._set(self.references, key, structs.replace(self.references[key], rolled_back_by=mark.by))

    def _post(self, entry: Entry) -> None:
        if not entry.legs or imbalance(entry.legs):
            raise Violation(f"entry {entry.id} of {entry.kind} does not sum to zero: {imbalance(entry.legs)}")
        self._set(self.legs, entry.id, entry.legs)
        posted = [
            Posted(leg, self._move(leg, entry.bucket) if leg.kind in MATERIALISED else None)
            for leg in entry.legs
        ]
        self._set(self.posted, entry.id, posted)

    def _move(self, leg: Leg, bucket: int) -> int:
        key = leg.account_in(bucket)
        if leg.kind == POOL and key not in self.balances:
            raise Violation(
                f"jackpot pool {leg.owner} in {leg.asset} was not loaded, so its balance is not known"
            )
        balance = self.balances.get(key, 0) + leg.amount
        if leg.kind == WALLET:
            if self.wallet is not None:
                self._set(self.told, key, self.told.get(key, 0) + leg.amount)
            elif balance < 0:
                raise Violation(f"a wallet in {leg.asset} would go below zero")
        self._set(self.balances, key, balance)
        return balance

    def _set(self, target: dict[K, V], key: K, value: V) -> None:
        self._undo.append((target, key, target.get(key, _ABSENT)))
        target[key] = value


def as_legs(postings: Iterable[tuple[UUID, Leg]]) -> dict[UUID, tuple[Leg, ...]]:
    """Group loaded postings by entry, in their order."""
    grouped: dict[UUID, list[Leg]] = {}
    for entry_id, leg in postings:
        grouped.setdefault(entry_id, []).append(leg)
    return {entry_id: tuple(legs) for entry_id, legs in grouped.items()}
