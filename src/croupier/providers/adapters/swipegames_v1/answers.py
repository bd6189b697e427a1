"""Answers of the Swipe Games API, where the HTTP status decides about money.

200 is applied. 4xx is final: not applied, and a bet that got it is never refunded. 500 is unknown: a bet is refunded, a
win or refund repeated. So nothing that may have moved money is a 4xx, and nothing that certainly did not is a 500.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

import msgspec

from croupier.errors import AMOUNT_NOT_REPRESENTABLE, MALFORMED, UNKNOWN_SESSION
from croupier.ids import render_id
from croupier.money import render_decimal
from croupier.moneypath.outcomes import (
    INSUFFICIENT_FUNDS,
    LIMIT_REACHED,
    PLAYER_RESTRICTED,
    ROUND_CLOSED,
    SESSION_NOT_ACTIVE,
    TOMBSTONED,
    Outcome,
)
from croupier.providers.adapters.swipegames_v1 import wire
from croupier.providers.contract import Context, Decoded, Failure, ProviderAccount, Reply
from croupier.providers.verification import Headers
from croupier.providers.vocabulary import DECISION, transaction_id

FINAL: Final = 400
UNAUTHORIZED: Final = 401
NOT_FOUND: Final = 404
UNDECIDED: Final = 500

NOBODY: Final = UUID("b6f0c1de-6f0b-5f5e-9d4e-3a0c8f6a7d21")
"""The namespace of the ids under which refunds of nobody's bets are answered."""

REFUSED: Final = wire.ErrorReply("This could not be done.")
FAILED: Final = wire.ErrorReply("Something went wrong. Please try again later.")
OVER: Final = wire.ErrorReply(
    "This game session is over. Please refresh the game.", code="session_expired", action="refresh"
)
NO_SESSION: Final = wire.ErrorReply(
    "This game session was not found. Please refresh the game.", code="session_not_found", action="refresh"
)
NO_GAME: Final = wire.ErrorReply("This game is not available.", code="game_not_found")
NO_CURRENCY: Final = wire.ErrorReply("This currency is not supported.", code="currency_not_supported")
UNSIGNED: Final = wire.ErrorReply("This request is not authorized.")

DECLINES: Final[dict[str, wire.ErrorReply]] = {
    INSUFFICIENT_FUNDS: wire.ErrorReply("There is not enough money for this bet.", code="insufficient_funds"),
    SESSION_NOT_ACTIVE: OVER,
    ROUND_CLOSED: wire.ErrorReply("This round is over.", action="refresh"),
    PLAYER_RESTRICTED: wire.ErrorReply("Betting is not available in this account.", code="account_blocked"),
    LIMIT_REACHED: wire.ErrorReply("A limit is reached.", code="bet_limit"),
    TOMBSTONED: wire.ErrorReply("This bet was cancelled.", action="refresh"),
}
"""Decline → body of a 400; every text may be shown to a player."""

ERRORS: Final[dict[str, tuple[int, wire.ErrorReply]]] = {
    "unauthenticated": (UNAUTHORIZED, UNSIGNED),
    "forbidden": (UNAUTHORIZED, UNSIGNED),
    "malformed": (FINAL, REFUSED),
    "idempotency_key_missing": (FINAL, REFUSED),
    "unknown_path": (NOT_FOUND, REFUSED),
    "unknown_provider": (NOT_FOUND, REFUSED),
    "unknown_session": (NOT_FOUND, NO_SESSION),
    "unknown_player": (NOT_FOUND, NO_SESSION),
    "unknown_round": (FINAL, REFUSED),
    "unknown_target": (FINAL, REFUSED),
    "unknown_game": (FINAL, NO_GAME),
    "method_not_allowed": (FINAL, REFUSED),
    "request_timeout": (UNDECIDED, FAILED),
    "reference_conflict": (FINAL, REFUSED),
    "session_mismatch": (FINAL, REFUSED),
    "delivery_id_reused": (FINAL, REFUSED),
    "target_rolled_back": (FINAL, REFUSED),
    "target_settled": (FINAL, REFUSED),
    "token_expired": (FINAL, OVER),
    "illegal_transition": (FINAL, REFUSED),
    "launch_refused": (FINAL, REFUSED),
    "not_eligible": (FINAL, REFUSED),
    "unknown_restriction": (FINAL, REFUSED),
    "in_flight": (UNDECIDED, FAILED),
    "body_too_large": (FINAL, REFUSED),
    "unsupported_media_type": (FINAL, REFUSED),
    "amount_not_representable": (FINAL, REFUSED),
    "unknown_asset": (FINAL, NO_CURRENCY),
    "idempotency_key_reused": (FINAL, REFUSED),
    "contract_missing": (FINAL, REFUSED),
    "backlogged": (UNDECIDED, FAILED),
    "overloaded": (UNDECIDED, FAILED),
    "provider_unavailable": (UNDECIDED, FAILED),
    "eligibility_unanswered": (UNDECIDED, FAILED),
    "unavailable": (UNDECIDED, FAILED),
    "wallet_unanswered": (UNDECIDED, FAILED),
    "wallet_unavailable": (UNDECIDED, FAILED),
    "wallet_is_remote": (FINAL, REFUSED),
    "internal": (UNDECIDED, FAILED),
}
"""Error kind → HTTP status and body."""

# What is wrong with the request itself is worth telling; the rest would speak of what is stored here.
_TELLING: Final = frozenset({MALFORMED.code, AMOUNT_NOT_REPRESENTABLE.code})
_JSON: Final[Headers] = ((b"content-type", b"application/json"),)
_ENCODER: Final = msgspec.json.Encoder()


def encode_outcomes(decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
    """The answer to a decided call."""
    outcome = outcomes[0]
    if not outcome.is_approved:
        return _reply(FINAL, DECLINES.get(outcome.code, REFUSED))
    balance = _balance(outcome, context.account)
    if decoded.operation.name == "balance":
        return _reply(200, wire.BalanceReply(balance))
    return _reply(200, wire.MoneyReply(balance, transaction_id(outcome)))


def encode_failure(failure: Failure) -> Reply:
    """An error with its status; total over the catalogue.

    A refund of a bet that nobody knows, in a session that nobody knows, is done: there is nothing to give back.
    """
    kind, operation = failure.error.kind, failure.operation
    is_refund = operation is not None and operation.name == "refund"
    if kind is UNKNOWN_SESSION and is_refund and isinstance(failure.echo, UUID):
        return _reply(200, wire.MoneyReply("0", render_id(DECISION, uuid5(NOBODY, str(failure.echo)))))
    status, body = ERRORS[kind.code]
    if kind.code in _TELLING:
        body = msgspec.structs.replace(body, details=failure.error.detail)
    return _reply(status, body)


def _balance(outcome: Outcome, account: ProviderAccount) -> str:
    """The wallet now, also on a repeat."""
    current = outcome.current_balance if outcome.is_repeat else None
    minor = outcome.balance if current is None else current
    if minor is None or outcome.asset is None:
        return "0"
    return render_decimal(minor, account.assets.get(outcome.asset))


def _reply(status: int, body: wire.BalanceReply | wire.MoneyReply | wire.ErrorReply) -> Reply:
    return Reply(status, _ENCODER.encode(body), _JSON)
