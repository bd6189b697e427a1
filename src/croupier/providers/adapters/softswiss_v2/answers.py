"""Answers of the Beexar contract: HTTP 200, or an envelope whose `meta.api_code` says what happened.

HTTP 400 is final: nothing was applied and the platform does not repeat. HTTP 500 is unknown: it repeats with the same
ids. An error about which money is unknown is therefore never a 400, with one exception that the contract demands: a
wrong signature.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from croupier.errors import AMOUNT_NOT_REPRESENTABLE, MALFORMED, UNKNOWN_ASSET
from croupier.money import render_places
from croupier.moneypath.commands import CloseRound
from croupier.moneypath.outcomes import (
    ALREADY_ROLLED_BACK,
    INSUFFICIENT_FUNDS,
    LIMIT_REACHED,
    NOTHING_TO_ROLL_BACK,
    PLAYER_RESTRICTED,
    ROUND_CLOSED,
    SESSION_NOT_ACTIVE,
    TOMBSTONED,
    Outcome,
)
from croupier.providers.adapters.softswiss_v2 import wire
from croupier.providers.contract import Context, Decoded, Failure, ProviderAccount, Reply
from croupier.providers.verification import Headers
from croupier.providers.vocabulary import transaction_id

FINAL: Final = 400
UNDECIDED: Final = 500
MAX_PLACES: Final = 16

NEEDS_BALANCE: Final = frozenset({"100", "105", "106"})

MESSAGES: Final[dict[str, str]] = {
    "100": "not enough funds",
    "101": "the player is not known",
    "105": "a bet limit is reached",
    "107": "the game is not open to the player now",
    "110": "the player is disabled",
    "154": "the currency is not allowed",
    "155": "it differs from what is stored",
    "400": "bad request",
    "403": "the signature does not match",
    "404": "not found",
    "405": "the game is not available",
    "409": "the action was rolled back already",
    "500": "internal error",
    "503": "the service is unavailable",
    "504": "the request timed out",
}
"""api_code → the only text that is sent with it."""

DECLINES: Final[dict[str, str]] = {
    INSUFFICIENT_FUNDS: "100",
    LIMIT_REACHED: "105",
    SESSION_NOT_ACTIVE: "107",
    PLAYER_RESTRICTED: "110",
    ROUND_CLOSED: "400",
    TOMBSTONED: "409",
}
"""Decline → api_code; NOTES.md says why."""

ERRORS: Final[dict[str, tuple[int, str]]] = {
    "unauthenticated": (FINAL, "403"),
    "forbidden": (FINAL, "403"),
    "malformed": (FINAL, "400"),
    "idempotency_key_missing": (FINAL, "400"),
    "unknown_path": (FINAL, "404"),
    "unknown_provider": (FINAL, "404"),
    "unknown_session": (FINAL, "404"),
    "unknown_player": (FINAL, "101"),
    "unknown_round": (FINAL, "404"),
    "unknown_target": (FINAL, "404"),
    "unknown_game": (FINAL, "405"),
    "method_not_allowed": (FINAL, "400"),
    "request_timeout": (UNDECIDED, "504"),
    "reference_conflict": (FINAL, "155"),
    "session_mismatch": (FINAL, "155"),
    "delivery_id_reused": (FINAL, "155"),
    "target_rolled_back": (FINAL, "409"),
    "target_settled": (FINAL, "400"),
    "token_expired": (FINAL, "404"),
    "illegal_transition": (FINAL, "400"),
    "launch_refused": (FINAL, "400"),
    "not_eligible": (FINAL, "400"),
    "unknown_restriction": (FINAL, "400"),
    "in_flight": (UNDECIDED, "503"),
    "body_too_large": (FINAL, "400"),
    "unsupported_media_type": (FINAL, "400"),
    "amount_not_representable": (FINAL, "400"),
    "unknown_asset": (FINAL, "154"),
    "idempotency_key_reused": (FINAL, "155"),
    "contract_missing": (FINAL, "405"),
    "backlogged": (UNDECIDED, "503"),
    "overloaded": (UNDECIDED, "503"),
    "provider_unavailable": (UNDECIDED, "503"),
    "eligibility_unanswered": (UNDECIDED, "503"),
    "unavailable": (UNDECIDED, "503"),
    "wallet_unanswered": (UNDECIDED, "503"),
    "wallet_unavailable": (UNDECIDED, "503"),
    "wallet_is_remote": (FINAL, "400"),
    "internal": (UNDECIDED, "500"),
}
"""Error kind → HTTP status and api_code."""

# What is wrong with the request itself is worth telling; the rest would speak of what is stored here.
_TELLING: Final = frozenset({MALFORMED.code, AMOUNT_NOT_REPRESENTABLE.code, UNKNOWN_ASSET.code})
_NOTHING_REVERSED: Final = frozenset({NOTHING_TO_ROLL_BACK, ALREADY_ROLLED_BACK})
_JSON: Final[Headers] = ((b"content-type", b"application/json"),)
_ENCODER: Final = msgspec.json.Encoder()


def encode_outcomes(decoded: Decoded, outcomes: tuple[Outcome, ...], context: Context) -> Reply:
    """The answer to a decided call; the first decline, which stopped it, is the answer to all of it."""
    account = context.account
    stopped = next((outcome for outcome in outcomes if not outcome.is_approved), None)
    if stopped is not None:
        return _declined(stopped, account)
    operation = decoded.operation.name
    # The close of a round comes with its transactions and is none itself.
    told = [
        outcome
        for action, outcome in zip(decoded.actions, outcomes, strict=True)
        if not isinstance(action, CloseRound)
    ]
    if operation == "betwin":
        return _ok(_betwin(decoded, told, account))
    if operation == "rollback":
        return _ok(_rollback(decoded, told, account))
    return _ok(wire.BalanceReply(_now(outcomes[-1], account)))


def encode_failure(failure: Failure) -> Reply:
    """An error's envelope; total over the catalogue."""
    kind = failure.error.kind
    status, api_code = ERRORS[kind.code]
    message = MESSAGES[api_code]
    msg = failure.error.detail if kind.code in _TELLING else message
    return _refusal(status, wire.Meaning(api_code, message), msg)


def _betwin(decoded: Decoded, outcomes: list[Outcome], account: ProviderAccount) -> wire.BetWinReply:
    return wire.BetWinReply(
        round_id=decoded.echo,
        balance=_resulting(outcomes, account),
        transactions=tuple(
            wire.TransactionReply(outcome.reference, transaction_id(outcome)) for outcome in outcomes
        ),
    )


def _rollback(decoded: Decoded, outcomes: list[Outcome], account: ProviderAccount) -> wire.RollbackReply:
    return wire.RollbackReply(
        balance=_resulting(outcomes, account),
        round_id=decoded.echo,
        transactions=tuple(
            wire.UndoingReply(
                outcome.reference, "" if outcome.code in _NOTHING_REVERSED else transaction_id(outcome)
            )
            for outcome in outcomes
        ),
    )


def _resulting(outcomes: list[Outcome], account: ProviderAccount) -> str:
    """The balance after the last transaction that was new; of repeats alone, the one stored with the last."""
    last = next(reversed(list(_new(outcomes))), outcomes[-1])
    return _render(last.balance, last.asset, account)


def _new(outcomes: Iterable[Outcome]) -> Iterable[Outcome]:
    seen: set[str] = set()
    for outcome in outcomes:
        # An id that is given twice in one batch is decided once; its second answer tells the balance of the first.
        if not outcome.is_repeat and outcome.reference not in seen:
            yield outcome
        seen.add(outcome.reference)


def _now(outcome: Outcome, account: ProviderAccount) -> str:
    current = outcome.current_balance if outcome.is_repeat else None
    return _render(outcome.balance if current is None else current, outcome.asset, account)


def _render(minor: int | None, asset: str | None, account: ProviderAccount) -> str:
    if minor is None or asset is None:
        return "0"
    known = account.assets.get(asset)
    return render_places(minor, known, min(known.exponent, MAX_PLACES))


def _declined(outcome: Outcome, account: ProviderAccount) -> Reply:
    api_code = DECLINES.get(outcome.code, "400")
    balance = _render(outcome.balance, outcome.asset, account) if api_code in NEEDS_BALANCE else None
    return _refusal(FINAL, wire.Meaning(api_code, MESSAGES[api_code], balance), MESSAGES[api_code])


def _refusal(status: int, meaning: wire.Meaning, msg: str) -> Reply:
    code = "invalid_argument" if status == FINAL else "internal"
    return Reply(status, _ENCODER.encode(wire.ErrorReply(code, msg, meaning)), _JSON)


def _ok(body: wire.BetWinReply | wire.RollbackReply | wire.BalanceReply) -> Reply:
    return Reply(200, _ENCODER.encode(body), _JSON)
