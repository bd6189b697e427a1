"""What can go wrong, in one table: every error has one stable code and exactly one retry class.

An *outcome* is a business decision and never appears here. An *error* means Croupier could not decide or deliver;
its kind alone says whether money moved and what the caller may do. A *violation* is a fault of Croupier's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Retry(StrEnum):
    """What the caller may do next."""

    SAME_KEY_NOW = "same_key_now"
    AFTER_WAIT = "after_wait"
    PROBE_FIRST = "probe_first"
    NEVER = "never"
    HUMAN = "human"


class MoneyMoved(StrEnum):
    """What an error says about money (`money.md`, "What the caller may conclude")."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the catalogue: stable code, HTTP status, retry class, what it says about money, short title.

    `player_message` is what a player may be shown; None where no player is concerned.
    """

    code: str
    status: int
    retry: Retry
    money_moved: MoneyMoved
    title: str
    player_message: str | None = None

    @property
    def retryable(self) -> bool:
        """Whether repeating the same request, signed anew, may succeed."""
        return self.retry in (Retry.SAME_KEY_NOW, Retry.AFTER_WAIT)


class CroupierError(Exception):
    """An error of the catalogue with what was wrong this time.

    `detail` says what is wrong and what would be right; `field` names the offending member of the request;
    `reason` is a class within the kind: of authentication, or `declined` when a conflicting reference was declined.
    `retry_after_s` is in seconds. `balance` is the wallet's (minor units, asset) where it is known, for protocols whose
    refusals must carry it. `player_message` is what a player may be told this time, unless the kind's own fits.
    """

    def __init__(
        self,
        kind: ErrorKind,
        detail: str,
        *,
        field: str | None = None,
        reason: str | None = None,
        retry_after_s: int | None = None,
        balance: tuple[int, str] | None = None,
        player_message: str | None = None,
    ) -> None:
        super().__init__(f"{kind.code}: {detail}")
        self.kind = kind
        self.detail = detail
        self.field = field
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.balance = balance
        self.player_message = player_message or kind.player_message


class Violation(Exception):
    """A fault of Croupier's own, such as books that do not sum to zero. Rolls back and alerts; never a decision."""


def _final(code: str, status: int, title: str) -> ErrorKind:
    return ErrorKind(code, status, Retry.NEVER, MoneyMoved.NO, title)


def _later(code: str, status: int, title: str) -> ErrorKind:
    return ErrorKind(code, status, Retry.AFTER_WAIT, MoneyMoved.UNKNOWN, title)


UNAUTHENTICATED: Final = ErrorKind(
    "unauthenticated", 401, Retry.SAME_KEY_NOW, MoneyMoved.UNKNOWN, "The request could not be authenticated"
)
FORBIDDEN: Final = _final("forbidden", 403, "This key may not do that")
NOT_ELIGIBLE: Final = ErrorKind(
    "not_eligible",
    403,
    Retry.NEVER,
    MoneyMoved.NO,
    "This player may not open this game now",
    player_message="You cannot play this game at the moment. If you think this is wrong, please contact support.",
)
ELIGIBILITY_UNANSWERED: Final = ErrorKind(
    "eligibility_unanswered",
    503,
    Retry.AFTER_WAIT,
    MoneyMoved.UNKNOWN,
    "A check that must come before play gave no answer",
    player_message="We could not complete a check that is needed before you play. "
    "Please try again in a few minutes.",
)
MALFORMED: Final = _final("malformed", 400, "The request is not well formed")
IDEMPOTENCY_KEY_MISSING: Final = _final(
    "idempotency_key_missing", 400, "This request needs an Idempotency-Key"
)
UNKNOWN_PATH: Final = _final("unknown_path", 404, "There is nothing at this path")
UNKNOWN_PROVIDER: Final = _final("unknown_provider", 404, "No provider account has this id")
UNKNOWN_SESSION: Final = _final("unknown_session", 404, "No session has this id")
UNKNOWN_PLAYER: Final = _final("unknown_player", 404, "No player has this id")
UNKNOWN_ROUND: Final = _final("unknown_round", 404, "No round has this id")
UNKNOWN_TARGET: Final = _final("unknown_target", 404, "The bet this belongs to is not known")
UNKNOWN_RESTRICTION: Final = _final("unknown_restriction", 404, "No such restriction is in force")
UNKNOWN_GAME: Final = _final("unknown_game", 404, "No game has this id")
METHOD_NOT_ALLOWED: Final = _final("method_not_allowed", 405, "This path does not take that method")
REQUEST_TIMEOUT: Final = ErrorKind(
    "request_timeout", 408, Retry.SAME_KEY_NOW, MoneyMoved.UNKNOWN, "The request body did not arrive in time"
)
REFERENCE_CONFLICT: Final = _final("reference_conflict", 409, "This reference was used for something else")
SESSION_MISMATCH: Final = _final(
    "session_mismatch", 409, "Session, player, asset, game and key do not belong together"
)
DELIVERY_ID_REUSED: Final = _final("delivery_id_reused", 409, "This webhook id was used for another body")
TARGET_ROLLED_BACK: Final = _final("target_rolled_back", 409, "The bet this belongs to was rolled back")
TARGET_SETTLED: Final = _final("target_settled", 409, "The bet this belongs to is settled already")
TOKEN_EXPIRED: Final = _final("token_expired", 409, "This session token is not good any more")
ILLEGAL_TRANSITION: Final = _final("illegal_transition", 409, "The session's state does not allow this")
LAUNCH_REFUSED: Final = _final("launch_refused", 409, "The provider refused to open this session")
IN_FLIGHT: Final = _later("in_flight", 409, "The same request is still being worked on")
BODY_TOO_LARGE: Final = _final("body_too_large", 413, "The request body is too large")
UNSUPPORTED_MEDIA_TYPE: Final = _final("unsupported_media_type", 415, "The body must be application/json")
AMOUNT_NOT_REPRESENTABLE: Final = _final(
    "amount_not_representable", 422, "The amount does not fit the asset exactly"
)
UNKNOWN_ASSET: Final = _final("unknown_asset", 422, "No asset has this code")
IDEMPOTENCY_KEY_REUSED: Final = _final(
    "idempotency_key_reused", 422, "This Idempotency-Key was used for another request"
)
CONTRACT_MISSING: Final = ErrorKind(
    "contract_missing", 409, Retry.HUMAN, MoneyMoved.NO, "No contract covers this provider, game and asset"
)
PROVIDER_UNAVAILABLE: Final = ErrorKind(
    "provider_unavailable",
    503,
    Retry.AFTER_WAIT,
    MoneyMoved.UNKNOWN,
    "The provider is not called for the moment",
    player_message="This game is taking a short break. Your money is safe. "
    "Please try again in a few minutes, or choose another game.",
)
WALLET_UNANSWERED: Final = _later("wallet_unanswered", 503, "The operator's wallet gave no answer in time")
WALLET_UNAVAILABLE: Final = ErrorKind(
    "wallet_unavailable",
    503,
    Retry.AFTER_WAIT,
    MoneyMoved.UNKNOWN,
    "The operator's wallet is not called for the moment",
    player_message="We cannot reach your wallet at the moment. Your money is safe. Please try again in a few minutes.",
)
WALLET_IS_REMOTE: Final = _final(
    "wallet_is_remote", 409, "The operator's own wallet keeps the money; deposit and withdraw there"
)
BACKLOGGED: Final = _later("backlogged", 429, "Too many of this provider's webhooks wait already")
OVERLOADED: Final = _later("overloaded", 503, "Croupier is at its limit; repeat the request")
UNAVAILABLE: Final = _later("unavailable", 503, "The database could not be reached in time")
INTERNAL: Final = ErrorKind(
    "internal", 500, Retry.SAME_KEY_NOW, MoneyMoved.UNKNOWN, "Croupier failed; repeat the same reference"
)

CATALOGUE: Final[dict[str, ErrorKind]] = {
    kind.code: kind for kind in list(globals().values()) if isinstance(kind, ErrorKind)
}
"""Every error kind by its code."""
