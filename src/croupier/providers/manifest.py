"""The data half of an adapter: what a protocol promises and asks, so that nothing has to guess."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from croupier.moneypath.commands import Rules as Rules
from croupier.moneypath.commands import SpentWin as SpentWin


class Capability(StrEnum):
    """What can be done through a protocol; every one has conformance scenarios."""

    BALANCE = "balance"
    BET = "bet"
    WIN = "win"
    BET_WIN = "bet_win"
    ROLLBACK = "rollback"
    CLOSE_ROUND = "close_round"
    JACKPOT_WIN = "jackpot_win"
    PROMO_WIN = "promo_win"
    CONTRIBUTION = "contribution"
    FREE_ROUNDS = "free_rounds"
    LAUNCH = "launch"
    WEBHOOKS = "webhooks"
    STATEMENT = "statement"
    FAIRNESS = "fairness"
    GAME_LIST = "game_list"
    ROUND_DETAILS = "round_details"
    SESSION_CLOSE = "session_close"
    SESSION_CHECK = "session_check"
    BATCH = "batch"


class Notation(StrEnum):
    """How amounts are written."""

    MINOR_TEXT = "minor_text"
    DECIMAL_TEXT = "decimal_text"
    DECIMAL_NUMBER = "decimal_number"
    SCALED_INTEGER = "scaled_integer"
    MULTIPLIER_TABLE = "multiplier_table"


class Freshness(StrEnum):
    """What tells an old request from a new one."""

    NONE = "none"
    TIMESTAMP = "timestamp"
    TIMESTAMP_AND_NONCE = "timestamp_and_nonce"


class IssuedBy(StrEnum):
    """Where an id comes from."""

    US = "us"
    PROVIDER = "provider"
    BOTH = "both"


class Declines(StrEnum):
    """What a repeat of a declined reference gets."""

    STICKY = "sticky"
    DECIDE_AGAIN = "decide_again"


class RepeatBalance(StrEnum):
    """Which balance a repeat shows."""

    STORED = "stored"
    CURRENT = "current"


class RollbackReference(StrEnum):
    """Whether a rollback has a reference of its own."""

    OWN = "own"
    SHARES_THE_TARGETS = "shares_the_targets"


class UnknownTarget(StrEnum):
    """What a rollback of an unknown reference gets; a tombstone is written in every case but `no_effect`."""

    APPROVED = "approved"
    ERROR = "error"
    NO_EFFECT = "no_effect"


class LateDebit(StrEnum):
    """What a debit gets that comes after its rollback."""

    DECLINED = "declined"
    APPROVED_AS_NO_OP = "approved_as_no_op"


class KeyKind(StrEnum):
    """What the keys of one direction are."""

    SHARED = "shared"
    TOKEN = "token"  # noqa: S105 (a kind of key)
    RSA_PUBLIC = "rsa_public"
    RSA_PRIVATE = "rsa_private"


class StatusMeaning(StrEnum):
    """Where the provider looks for the result: in the HTTP status, or in the body of a 200."""

    HTTP_STATUS = "http_status"
    BODY = "body"


class Setting(Struct, frozen=True):
    """What the protocol calls the operator or account by; `description` is for whoever fills it in."""

    name: str
    description: str
    default: str | None = None


class OptOut(Struct, frozen=True):
    """A conformance scenario that does not apply, and why."""

    scenario: str
    reason: str


class Deadline(Struct, frozen=True):
    """How long a call may take, in seconds: inbound, until the provider gives up; outbound, until we do."""

    operation: str
    seconds: float


class Manifest(Struct, frozen=True, kw_only=True):
    """What one protocol in one version is like.

    `amount_scale` is how many wire units one unit of the asset has (None: the asset's own minor units).
    `unsigned_parts` names what the signature leaves uncovered. `request_id` names the member that identifies
    an attempt whose answer is stored as sent, if there is one. `balance_on_refusals` are the codes whose
    answer carries the balance. `retries` are the operations the provider repeats by itself until they are
    answered. `signing` is the profile of inbound requests (docs/explanation/signing-profiles.md), `body_bytes` the
    protocol's own bound on a body. `session_token`: calls present a token that is given at launch.
    """

    protocol: str
    version: int
    title: str
    capabilities: frozenset[Capability]
    amount_notation: Notation
    amount_scale: int | None
    session_ids: IssuedBy
    round_ids: IssuedBy
    references: IssuedBy
    unsigned_parts: tuple[str, ...]
    freshness: Freshness
    timestamp_window_s: int | None
    answers_signed: bool
    declines: Declines
    repeat_balance: RepeatBalance
    request_id: str | None
    rollback_reference: RollbackReference
    unknown_target: UnknownTarget
    late_debit: LateDebit
    spent_win: SpentWin
    game_may_change: bool
    balance_on_refusals: frozenset[str]
    status_meaning: StatusMeaning
    retries: tuple[str, ...]
    deadlines: tuple[Deadline, ...]
    opt_outs: tuple[OptOut, ...] = ()
    signing: str = "native"
    inbound_key: KeyKind = KeyKind.SHARED
    outbound_key: KeyKind = KeyKind.SHARED
    undoes_rollbacks: bool = False
    strict_tokens: bool = False
    bets_after_close: bool = False
    session_token: bool = False
    body_bytes: int | None = None
    settings: tuple[Setting, ...] = ()

    @property
    def rules(self) -> Rules:
        """What decisions must know of the protocol."""
        return Rules(
            spent_win=self.spent_win,
            game_may_change=self.game_may_change,
            undoes_rollbacks=self.undoes_rollbacks,
            strict_tokens=self.strict_tokens,
            bets_after_close=self.bets_after_close,
        )

    @property
    def id(self) -> str:
        """Protocol and version, as configured under `adapter` and as the folder is called."""
        return f"{self.protocol}_v{self.version}"

    def deadline_s(self, operation: str) -> float | None:
        """The deadline of an operation in seconds; None when the protocol names none."""
        return next((item.seconds for item in self.deadlines if item.operation == operation), None)
