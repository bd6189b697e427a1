"""Canonical commands: what callers ask for, in our words, once it is verified and decoded.

A `Call` is the unit that is decided: one or several actions, in order, all or none.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from msgspec import Struct

from croupier.moneypath.outcomes import Outcome
from croupier.play.eligibility import Grant
from croupier.play.session import Opening
from croupier.wallet.accounts import CASH_FUND
from croupier.wallet.port import Word

OPERATOR: Final = "operator"
"""The operator's own namespace of references; no provider account may have this id."""

OPERATOR_CANCEL: Final = "operator:cancel"
"""References of cancelled withdrawals: the withdrawal's reference in a namespace that nothing else writes."""


class WinKind(StrEnum):
    """What is won, and so where it is paid from."""

    WIN = "win"
    JACKPOT = "jackpot"
    PROMO = "promo"


class SpentWin(StrEnum):
    """What happens to the part of a rolled-back win that the player has spent."""

    RECEIVABLE = "receivable"
    CLAMP = "clamp"
    REFUSE = "refuse"


class Rules(Struct, frozen=True, gc=False, kw_only=True):
    """Where a protocol's rules differ from the native ones (`money.md`); an adapter's manifest says so.

    `game_may_change`: a session may be played in another game than it was opened for. `undoes_rollbacks`: a rollback
    may itself be rolled back, and the bet or win stands again. `strict_tokens`: credits and rollbacks too are refused
    under a token that this player never had. `bets_after_close`: a closed round takes bets all the same, for protocols
    that have no word for the end of a round.
    """

    spent_win: SpentWin = SpentWin.RECEIVABLE
    game_may_change: bool = False
    undoes_rollbacks: bool = False
    strict_tokens: bool = False
    bets_after_close: bool = False


NATIVE_RULES: Final = Rules()


class Nonce(Struct, frozen=True, gc=False):
    """A verified request's nonce, spent whatever follows."""

    bucket: int
    key_id: str
    nonce: str
    expires_at: datetime


class Idempotency(Struct, frozen=True, gc=False):
    """An operator request's key, scoped to its API key, and how its outcomes become the stored answer."""

    bucket: int
    api_key_id: str
    key: str
    fingerprint: str
    expires_at: datetime
    render: Callable[[tuple[Outcome, ...]], tuple[int, str]]


class Contract(Struct, frozen=True, gc=False):
    """The contract in force now for a provider and asset, for wins that belong to no session."""

    jackpot_pool: str | None
    promo_source: str


class _Money(Struct, frozen=True, gc=False, kw_only=True):
    reference: str
    player_id: str
    asset: str
    amount: int
    occurred_at: datetime


class Bet(_Money, frozen=True, gc=False, kw_only=True):
    """A stake. `contribution` is in minor units when the asset can hold it; `contribution_text` as it was sent.

    Without `session_id` the bet belongs to the session of the call's token, of its round, or to the player's newest
    open session at the provider.
    """

    session_id: UUID | None
    round_id: str
    game_id: str
    contribution: int = 0
    contribution_text: str | None = None


class Win(_Money, frozen=True, gc=False, kw_only=True):
    """A win of any kind. Session and round may be absent for jackpot and promo wins; `contract` stands in then.

    `target_reference` is the bet it settles where the protocol says so; with `needs_target` a win whose bet is
    unknown, declined or rolled back is refused instead of paid.
    """

    kind: WinKind
    target_reference: str | None = None
    needs_target: bool = False
    session_id: UUID | None = None
    round_id: str | None = None
    game_id: str | None = None
    close_round: bool = False
    contract: Contract | None = None


class Rollback(Struct, frozen=True, gc=False, kw_only=True):
    """Undo one earlier transaction of the same provider. What is given besides the target must agree with it.

    `settled_by` is the reference of the win that settles the target; once that is paid, the rollback is refused.
    """

    reference: str
    target_reference: str
    player_id: str
    occurred_at: datetime
    session_id: UUID | None = None
    round_id: str | None = None
    asset: str | None = None
    amount: int | None = None
    settled_by: str | None = None
    reason: str | None = None


class CloseRound(Struct, frozen=True, gc=False, kw_only=True):
    """A round is over. `outcome` and `fairness` are JSON texts, kept as evidence.

    Without `reference` the end is only a remark of another action, `target_reference`, or of a call whose protocol has
    no id for it: closing again is no decision to remember, and a round that cannot be found stops nothing.
    """

    reference: str | None
    session_id: UUID | None
    round_id: str
    player_id: str
    occurred_at: datetime
    asset: str | None = None
    target_reference: str | None = None
    outcome: str | None = None
    fairness: str | None = None


class ReadBalance(Struct, frozen=True, gc=False, kw_only=True):
    """A player's balance as the provider asks for it; without asset, only whether there is such a player.

    Decides nothing, moves nothing.
    """

    session_id: UUID | None
    player_id: str
    asset: str | None


class Deposit(_Money, frozen=True, gc=False, kw_only=True):
    """Money comes in through the cashier."""

    fund: str = CASH_FUND


class Withdrawal(_Money, frozen=True, gc=False, kw_only=True):
    """Money goes out through the cashier."""

    fund: str = CASH_FUND


class CancelWithdrawal(Struct, frozen=True, gc=False, kw_only=True):
    """A withdrawal did not leave the house after all, or must not any more."""

    reference: str
    player_id: str
    asset: str
    occurred_at: datetime


class OpenSession(Struct, frozen=True, gc=False, kw_only=True):
    """A session begins, in state created. The id is made by the caller, so that a redo is recognised.

    Nobody opens one without the grant that says that its player may play.
    """

    session_id: UUID
    opening: Opening
    grant: Grant


class ConfirmLaunch(Struct, frozen=True, gc=False, kw_only=True):
    """The provider confirmed the launch and said where the game is."""

    session_id: UUID
    player_id: str
    launch_url: str


class FailLaunch(Struct, frozen=True, gc=False, kw_only=True):
    """The provider certainly refused the launch."""

    session_id: UUID
    player_id: str
    reason: str


class IssueToken(Struct, frozen=True, gc=False, kw_only=True):
    """A token that stands for a session at its provider; only its hash is kept.

    With `replaces`, that token must still be good, or must have been replaced only now; it is refused from then on.
    """

    session_id: UUID | None
    player_id: str
    token_hash: str
    replaces: str | None = None


class NoteUnknown(Struct, frozen=True, gc=False, kw_only=True):
    """Nobody can tell whether the provider opened the game: the launch's outcome is unknown, and why."""

    session_id: UUID
    player_id: str
    reason: str


class Standing(Struct, frozen=True, gc=False):
    """How a session was seen: its state, and the last event of its history, which no clock can confuse."""

    state: str
    seq: int


class CloseSession(Struct, frozen=True, gc=False, kw_only=True):
    """Play ends: unplayed sessions are cancelled, played ones settle when their rounds are closed.

    With `expected`, a session to which anything has happened since it was seen is left alone.
    """

    session_id: UUID
    player_id: str
    reason: str
    expected: Standing | None = None


class Restrict(Struct, frozen=True, gc=False, kw_only=True):
    """A player may not stake from now on, until a time or until it is lifted. Credits are never touched.

    The id is made by the caller, so that a redo is recognised; `placed_by` is the API key that asks.
    """

    restriction_id: UUID
    player_id: str
    kind: str
    reason: str
    placed_by: str
    until: datetime | None = None


class LiftRestriction(Struct, frozen=True, gc=False, kw_only=True):
    """A restriction that is in force ends now; `lifted_by` is the API key that asks."""

    restriction_id: UUID
    player_id: str
    reason: str
    lifted_by: str


class SpendNonce(Struct, frozen=True, gc=False, kw_only=True):
    """A verified request that could not be decoded: only its nonce counts."""

    player_id: str


class RefuseCredit(Struct, frozen=True, gc=False, kw_only=True):
    """A verified credit that cannot be booked as it is. A player may be owed money, so finance is told."""

    player_id: str
    reference: str
    code: str
    detail: str
    amount_text: str


class Report(Struct, frozen=True, gc=False, kw_only=True):
    """Work for a person that no decision about money opens by itself, such as a notice without its fact.

    `subject` names the finding within its kind, so that it is opened once; `amount` is in minor units.
    """

    player_id: str
    kind: str
    subject: str
    explanation: str
    owner: str = "finance"
    session_id: UUID | None = None
    round_id: str | None = None
    asset: str | None = None
    amount: int | None = None


class TellWallet(Struct, frozen=True, gc=False, kw_only=True):
    """What the operator's wallet said about a call whose booking does not wait for it.

    `reference` is the transaction that the call serves. `is_awaited`: its caller has not been answered yet, and gets
    the balance that came with it.
    """

    wallet_call_id: UUID
    player_id: str
    reference: str
    word: Word
    is_awaited: bool = False


Action = (
    Bet
    | Win
    | Rollback
    | CloseRound
    | ReadBalance
    | Deposit
    | Withdrawal
    | CancelWithdrawal
    | OpenSession
    | ConfirmLaunch
    | FailLaunch
    | NoteUnknown
    | IssueToken
    | CloseSession
    | Restrict
    | LiftRestriction
    | SpendNonce
    | RefuseCredit
    | Report
    | TellWallet
)


class NoticeTerms(Struct, frozen=True, gc=False, kw_only=True):
    """That a call is a notice, and how it came: `webhook` or `replay`.

    `may_wait`: what it refers to may still come, so an unknown session, player or round is no finding yet.
    """

    via: str = "webhook"
    may_wait: bool = False


class Call(Struct, frozen=True, gc=False, kw_only=True):
    """One request: actions in order, decided all or none, for one player.

    `request_id` is this attempt's own, so that a redo after a lost commit is told from a repeat by the caller.
    `provider` is the provider account, or the operator's namespace; `time_source` names whose clock `occurred_at` is.
    `token_hash` is the session token the caller presented, where the protocol has one. `notice` marks what came by
    webhook: it may repeat what a callback said, and must be tied to it.

    Where the operator keeps the wallet: `words` are its answers to what this call asked, by wallet call; `told` are
    balances it told beforehand, by asset in minor units; `is_wallet_away` says that it is not asked for the moment, and
    `is_late` that the caller was told already that nobody knows. `answer_by_s` is until when the caller waits, by the
    monotonic clock.
    """

    provider: str
    player_id: str
    bucket: int
    request_id: UUID
    correlation_id: str
    actions: tuple[Action, ...]
    nonce: Nonce | None = None
    idempotency: Idempotency | None = None
    trace_id: str | None = None
    time_source: str = "provider"
    pools: tuple[str, ...] = ()
    rules: Rules = NATIVE_RULES
    token_hash: str | None = None
    notice: NoticeTerms | None = None
    words: tuple[tuple[UUID, Word], ...] = ()
    told: tuple[tuple[str, int], ...] = ()
    is_wallet_away: bool = False
    is_late: bool = False
    answer_by_s: float | None = None


def nonce_alone(call: Call) -> Call | None:
    """The call that spends the nonce of one which goes no further, so that it cannot be replayed; None without a nonce.

    It goes by the nonce's own name: the player's may be what could not be written.
    """
    nonce = call.nonce
    if nonce is None:
        return None
    return Call(
        provider=call.provider,
        player_id=nonce.nonce,
        bucket=nonce.bucket,
        request_id=call.request_id,
        correlation_id=call.correlation_id,
        nonce=nonce,
        actions=(SpendNonce(player_id=nonce.nonce),),
    )
