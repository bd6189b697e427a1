"""Outcomes and errors as Evolution is told them: HTTP 200 with a status in the body; only a wrong token is a 401."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

import croupier.errors as errors
from croupier.errors import CroupierError, ErrorKind
from croupier.money import render_places
from croupier.moneypath.outcomes import (
    DECLINED,
    INSUFFICIENT_FUNDS,
    LIMIT_REACHED,
    NOTHING_TO_ROLL_BACK,
    PLAYER_RESTRICTED,
    ROUND_CLOSED,
    SESSION_NOT_ACTIVE,
    TOMBSTONED,
    Outcome,
)
from croupier.providers.adapters.evolution_v1 import wire
from croupier.providers.adapters.evolution_v1.decode import Echo
from croupier.providers.adapters.evolution_v1.manifest import PLACES
from croupier.providers.contract import Decoded, Failure, ProviderAccount, Reply
from croupier.providers.verification import Headers

OK: Final = "OK"
TEMPORARY_ERROR: Final = "TEMPORARY_ERROR"
OPERATION_IN_PROCESS: Final = "OPERATION_IN_PROCESS"
INVALID_SID: Final = "INVALID_SID"
NO_FUNDS: Final = "INSUFFICIENT_FUNDS"
INVALID_TOKEN_ID: Final = "INVALID_TOKEN_ID"  # noqa: S105 (a status)
INVALID_PARAMETER: Final = "INVALID_PARAMETER"
ALREADY_EXIST: Final = "BET_ALREADY_EXIST"
ALREADY_SETTLED: Final = "BET_ALREADY_SETTLED"
DOES_NOT_EXIST: Final = "BET_DOES_NOT_EXIST"
FINAL_ERROR: Final = "FINAL_ERROR_ACTION_FAILED"

DECLINES: Final = {
    INSUFFICIENT_FUNDS: NO_FUNDS,
    SESSION_NOT_ACTIVE: INVALID_SID,
    ROUND_CLOSED: FINAL_ERROR,
    LIMIT_REACHED: FINAL_ERROR,
    PLAYER_RESTRICTED: FINAL_ERROR,
    TOMBSTONED: FINAL_ERROR,
}
"""Decline → status. A debit after its cancel must not look like one that exists."""

REPEATS: Final = {"debit": ALREADY_EXIST, "credit": ALREADY_SETTLED}
"""What was approved before, under whatever transaction id: nothing moves, so nothing says OK a second time."""

CONFLICTS: Final = {"debit": ALREADY_EXIST, "credit": ALREADY_SETTLED, "cancel": ALREADY_SETTLED}
"""The same bet with other content."""

ERRORS: Final[dict[ErrorKind, str]] = {
    errors.UNAUTHENTICATED: INVALID_TOKEN_ID,
    errors.FORBIDDEN: FINAL_ERROR,
    errors.MALFORMED: INVALID_PARAMETER,
    errors.IDEMPOTENCY_KEY_MISSING: INVALID_PARAMETER,
    errors.IDEMPOTENCY_KEY_REUSED: INVALID_PARAMETER,
    errors.UNKNOWN_PATH: INVALID_PARAMETER,
    errors.METHOD_NOT_ALLOWED: INVALID_PARAMETER,
    errors.BODY_TOO_LARGE: INVALID_PARAMETER,
    errors.UNSUPPORTED_MEDIA_TYPE: INVALID_PARAMETER,
    errors.UNKNOWN_PROVIDER: INVALID_PARAMETER,
    errors.UNKNOWN_SESSION: INVALID_SID,
    errors.UNKNOWN_PLAYER: INVALID_SID,
    errors.UNKNOWN_ROUND: INVALID_PARAMETER,
    errors.UNKNOWN_TARGET: DOES_NOT_EXIST,
    errors.UNKNOWN_GAME: INVALID_PARAMETER,
    errors.UNKNOWN_ASSET: INVALID_PARAMETER,
    errors.REFERENCE_CONFLICT: FINAL_ERROR,
    errors.DELIVERY_ID_REUSED: FINAL_ERROR,
    errors.SESSION_MISMATCH: INVALID_PARAMETER,
    errors.TARGET_ROLLED_BACK: ALREADY_SETTLED,
    errors.TARGET_SETTLED: ALREADY_SETTLED,
    errors.TOKEN_EXPIRED: INVALID_SID,
    errors.ILLEGAL_TRANSITION: INVALID_SID,
    errors.LAUNCH_REFUSED: INVALID_SID,
    errors.NOT_ELIGIBLE: INVALID_SID,
    errors.UNKNOWN_RESTRICTION: INVALID_SID,
    errors.AMOUNT_NOT_REPRESENTABLE: INVALID_PARAMETER,
    errors.CONTRACT_MISSING: FINAL_ERROR,
    errors.REQUEST_TIMEOUT: TEMPORARY_ERROR,
    errors.IN_FLIGHT: OPERATION_IN_PROCESS,
    errors.OVERLOADED: TEMPORARY_ERROR,
    errors.PROVIDER_UNAVAILABLE: TEMPORARY_ERROR,
    errors.ELIGIBILITY_UNANSWERED: TEMPORARY_ERROR,
    errors.BACKLOGGED: TEMPORARY_ERROR,
    errors.UNAVAILABLE: TEMPORARY_ERROR,
    errors.WALLET_UNANSWERED: TEMPORARY_ERROR,
    errors.WALLET_UNAVAILABLE: TEMPORARY_ERROR,
    errors.WALLET_IS_REMOTE: FINAL_ERROR,
    errors.INTERNAL: TEMPORARY_ERROR,
}
"""Error → status. What is unknown to us is temporary, and to be sent again."""

RETRANSMITTED: Final = frozenset({TEMPORARY_ERROR, OPERATION_IN_PROCESS})

_WHOSE: Final = frozenset({"player_id", "session_id"})
_JSON: Final[Headers] = ((b"content-type", b"application/json"),)
_ENCODER: Final = msgspec.json.Encoder()
_NO_BONUS: Final = Raw(b"0.000000")


def render_answer(decoded: Decoded, outcomes: tuple[Outcome, ...], account: ProviderAccount) -> Reply:
    """A session's next token, or a status with the balance as it is now."""
    outcome, echo = outcomes[0], _echo_of(decoded.echo)
    operation = decoded.operation.name
    if operation == "check" and outcome.is_approved:
        return Reply(200, _ENCODER.encode(wire.CheckReplyBody(OK, echo.sid, echo.uuid)), _JSON)
    shown = outcome.current_balance if outcome.is_repeat else None
    minor = outcome.balance if shown is None else shown
    return _reply(_status_of(operation, outcome), _balance(minor, outcome.asset, account), echo.uuid)


def render_failure(failure: Failure) -> Reply:
    """An error's status, with the balance where the money path could tell it."""
    operation = "" if failure.operation is None else failure.operation.name
    status = _status_of_error(operation, failure.error)
    # Whose session it is not, nothing is told of the player.
    minor, asset = (None, None) if status == INVALID_SID else failure.error.balance or (None, None)
    return _reply(status, _balance(minor, asset, failure.account), _echo_of(failure.echo).uuid)


def _status_of(operation: str, outcome: Outcome) -> str:
    if not outcome.is_approved:
        return DECLINES.get(outcome.code, FINAL_ERROR)
    if outcome.code == NOTHING_TO_ROLL_BACK:
        return DOES_NOT_EXIST
    return REPEATS.get(operation, OK) if outcome.is_repeat else OK


def _status_of_error(operation: str, error: CroupierError) -> str:
    if error.kind in (errors.REFERENCE_CONFLICT, errors.SESSION_MISMATCH) and error.field in _WHOSE:
        return INVALID_SID
    if error.kind is errors.REFERENCE_CONFLICT and error.reason == DECLINED:
        # The first debit was refused, so nothing must sound as if a bet stood.
        return FINAL_ERROR
    if error.kind is errors.REFERENCE_CONFLICT:
        return CONFLICTS.get(operation, FINAL_ERROR)
    return ERRORS.get(error.kind, TEMPORARY_ERROR)


def _balance(minor: int | None, code: str | None, account: ProviderAccount) -> Raw | None:
    if minor is None or code is None:
        return None
    return Raw(render_places(minor, account.assets.get(code), PLACES).encode())


def _echo_of(echo: object) -> Echo:
    return echo if isinstance(echo, Echo) else Echo()


def _reply(status: str, balance: Raw | None, uuid: str | None) -> Reply:
    body = wire.ReplyBody(status, status in RETRANSMITTED, _NO_BONUS, balance, uuid)
    return Reply(401 if status == INVALID_TOKEN_ID else 200, _ENCODER.encode(body), _JSON)
