"""Answers of GIS: the balance as a number with four decimals, or one of two error codes.

Everything that is not a lack of money is INTERNAL_ERROR. What was certainly not applied is said with HTTP 200; where
that is not known the status is 500, which a caller that reads statuses cannot take for a decision.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from croupier.errors import UNAUTHENTICATED
from croupier.money import render_places
from croupier.moneypath.outcomes import (
    INSUFFICIENT_FUNDS,
    LIMIT_REACHED,
    PLAYER_RESTRICTED,
    ROUND_CLOSED,
    SESSION_NOT_ACTIVE,
    TOMBSTONED,
    Outcome,
)
from croupier.providers.adapters.slotegrator_gis_v1 import wire
from croupier.providers.adapters.slotegrator_gis_v1.manifest import PLACES
from croupier.providers.contract import Context, Decoded, Failure, Reply
from croupier.providers.verification import Headers
from croupier.providers.vocabulary import transaction_id

FINAL: Final = 200
UNDECIDED: Final = 500
NO_FUNDS: Final = "INSUFFICIENT_FUNDS"
OTHER: Final = "INTERNAL_ERROR"

_NOT_DONE: Final = "the request was refused; nothing was applied"
_AGAIN: Final = "the result is not known; repeat the request"

DECLINES: Final[dict[str, tuple[str, str]]] = {
    INSUFFICIENT_FUNDS: (NO_FUNDS, "not enough funds"),
    SESSION_NOT_ACTIVE: (OTHER, "the session is over"),
    ROUND_CLOSED: (OTHER, "the round is over"),
    LIMIT_REACHED: (OTHER, "a limit is reached"),
    PLAYER_RESTRICTED: (OTHER, "the player may not play now"),
    TOMBSTONED: (OTHER, "the transaction was cancelled before"),
}
"""Decline → error_code and the only text that is sent with it."""

ERRORS: Final[dict[str, tuple[int, str]]] = {
    "unauthenticated": (FINAL, "the request could not be authenticated"),
    "forbidden": (FINAL, _NOT_DONE),
    "malformed": (FINAL, "the request is not well formed"),
    "idempotency_key_missing": (FINAL, _NOT_DONE),
    "unknown_path": (FINAL, "there is nothing at this address"),
    "unknown_provider": (FINAL, "there is nothing at this address"),
    "unknown_session": (FINAL, "the session is not known"),
    "unknown_player": (FINAL, "the player is not known"),
    "unknown_round": (FINAL, "the round is not known"),
    "unknown_target": (FINAL, "the transaction is not known"),
    "unknown_game": (FINAL, "the game is not known"),
    "method_not_allowed": (FINAL, "use POST"),
    "request_timeout": (UNDECIDED, _AGAIN),
    "reference_conflict": (FINAL, "the transaction id was used for something else"),
    "session_mismatch": (FINAL, "it does not belong to this session"),
    "delivery_id_reused": (FINAL, _NOT_DONE),
    "target_rolled_back": (FINAL, "the transaction was cancelled before"),
    "target_settled": (FINAL, "the transaction is settled"),
    "token_expired": (FINAL, "the session is not known"),
    "illegal_transition": (FINAL, _NOT_DONE),
    "launch_refused": (FINAL, _NOT_DONE),
    "not_eligible": (FINAL, _NOT_DONE),
    "unknown_restriction": (FINAL, _NOT_DONE),
    "in_flight": (UNDECIDED, _AGAIN),
    "body_too_large": (FINAL, "the request is too large"),
    "unsupported_media_type": (FINAL, "send a form"),
    "amount_not_representable": (FINAL, "the currency cannot hold the amount"),
    "unknown_asset": (FINAL, "the currency is not known"),
    "idempotency_key_reused": (FINAL, _NOT_DONE),
    "contract_missing": (FINAL, _NOT_DONE),
    "backlogged": (UNDECIDED, _AGAIN),
    "overloaded": (UNDECIDED, _AGAIN),
    "provider_unavailable": (UNDECIDED, _AGAIN),
    "eligibility_unanswered": (UNDECIDED, _AGAIN),
    "unavailable": (UNDECIDED, _AGAIN),
    "wallet_unanswered": (UNDECIDED, _AGAIN),
    "wallet_unavailable": (UNDECIDED, _AGAIN),
    "wallet_is_remote": (FINAL, _NOT_DONE),
    "internal": (UNDECIDED, _AGAIN),
}
"""Error kind → HTTP status and the only text that is sent with it."""

LATE: Final = frozenset({"replayed", "stale"})
"""Reasons of authentication that say nothing about what an earlier copy of the request did."""

_JSON: Final[Headers] = ((b"content-type", b"application/json"),)
_ENCODER: Final = msgspec.json.Encoder()


def encode_outcomes(decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
    """The answer to a decided call; a decline is the answer to all of it."""
    stopped = next((outcome for outcome in outcomes if not outcome.is_approved), None)
    if stopped is not None:
        return _refusal(FINAL, *DECLINES.get(stopped.code, (OTHER, _NOT_DONE)))
    name = decoded.operation.name
    balance = _balance(outcomes, context)
    if name == "balance":
        return _reply(FINAL, wire.BalanceReply(balance))
    if name == "rollback":
        # Any one of them would do; the same one in every repeat, in whatever order it lists them.
        first = min(outcomes, key=_reference_of)
        return _reply(FINAL, wire.RollbackReply(balance, transaction_id(first), decoded.echo))
    return _reply(FINAL, wire.TransactionReply(balance, transaction_id(outcomes[0])))


def encode_failure(failure: Failure) -> Reply:
    """INTERNAL_ERROR; total over the catalogue."""
    status, description = ERRORS[failure.error.kind.code]
    if failure.error.kind is UNAUTHENTICATED and failure.error.reason in LATE:
        # The same bytes may have been decided when they came first.
        status, description = UNDECIDED, _AGAIN
    return _refusal(status, OTHER, description)


def _reference_of(outcome: Outcome) -> str:
    return outcome.reference


def _balance(outcomes: tuple[Outcome, ...], context: Context) -> Raw:
    """The balance after the last decision that was new; of repeats alone, the wallet's now."""
    for outcome in reversed(outcomes):
        if not outcome.is_repeat and outcome.balance is not None:
            return _render(outcome.balance, outcome.asset, context)
    last = next((one for one in reversed(outcomes) if one.balance is not None), outcomes[-1])
    now = last.balance if last.current_balance is None else last.current_balance
    return _render(now, last.asset, context)


def _render(minor: int | None, asset: str | None, context: Context) -> Raw:
    if minor is None or asset is None:
        return Raw(b"0.0000")
    return Raw(render_places(minor, context.account.assets.get(asset), PLACES).encode())


def _refusal(status: int, code: str, description: str) -> Reply:
    return _reply(status, wire.ErrorReply(code, description))


def _reply(
    status: int, body: wire.BalanceReply | wire.TransactionReply | wire.RollbackReply | wire.ErrorReply
) -> Reply:
    return Reply(status, _ENCODER.encode(body), _JSON)
