"""Outcomes and errors as Hub88 is told them: always HTTP 200, with a status in the body."""

from __future__ import annotations

from typing import Final

import msgspec

import croupier.errors as errors
from croupier.errors import CroupierError, ErrorKind
from croupier.money import render_scaled
from croupier.moneypath.outcomes import (
    INSUFFICIENT_FUNDS,
    LIMIT_REACHED,
    PLAYER_RESTRICTED,
    ROUND_CLOSED,
    SESSION_NOT_ACTIVE,
    TOMBSTONED,
    Outcome,
)
from croupier.providers.adapters.hub88_v1 import wire
from croupier.providers.adapters.hub88_v1.decode import Echo
from croupier.providers.adapters.hub88_v1.manifest import SCALE
from croupier.providers.contract import Decoded, Failure, ProviderAccount, Reply
from croupier.providers.strict_json import ROOT
from croupier.providers.verification import Headers

OK: Final = "RS_OK"
UNKNOWN: Final = "RS_ERROR_UNKNOWN"
INVALID_PARTNER: Final = "RS_ERROR_INVALID_PARTNER"
INVALID_TOKEN: Final = "RS_ERROR_INVALID_TOKEN"  # noqa: S105 (a status)
INVALID_GAME: Final = "RS_ERROR_INVALID_GAME"
WRONG_CURRENCY: Final = "RS_ERROR_WRONG_CURRENCY"
NOT_ENOUGH_MONEY: Final = "RS_ERROR_NOT_ENOUGH_MONEY"
USER_DISABLED: Final = "RS_ERROR_USER_DISABLED"
INVALID_SIGNATURE: Final = "RS_ERROR_INVALID_SIGNATURE"
TOKEN_EXPIRED: Final = "RS_ERROR_TOKEN_EXPIRED"  # noqa: S105 (a status)
WRONG_SYNTAX: Final = "RS_ERROR_WRONG_SYNTAX"
WRONG_TYPES: Final = "RS_ERROR_WRONG_TYPES"
DUPLICATE: Final = "RS_ERROR_DUPLICATE_TRANSACTION"
DOES_NOT_EXIST: Final = "RS_ERROR_TRANSACTION_DOES_NOT_EXIST"
ROLLED_BACK: Final = "RS_ERROR_TRANSACTION_ROLLED_BACK"
LIMIT: Final = "RS_ERROR_LIMIT_REACHED"

DECLINES: Final = {
    INSUFFICIENT_FUNDS: NOT_ENOUGH_MONEY,
    SESSION_NOT_ACTIVE: TOKEN_EXPIRED,
    ROUND_CLOSED: LIMIT,
    LIMIT_REACHED: LIMIT,
    PLAYER_RESTRICTED: USER_DISABLED,
    TOMBSTONED: ROLLED_BACK,
}
"""Decline → status."""

ERRORS: Final[dict[ErrorKind, str]] = {
    errors.UNAUTHENTICATED: INVALID_SIGNATURE,
    errors.FORBIDDEN: INVALID_PARTNER,
    errors.MALFORMED: WRONG_TYPES,
    errors.IDEMPOTENCY_KEY_MISSING: WRONG_SYNTAX,
    errors.IDEMPOTENCY_KEY_REUSED: WRONG_SYNTAX,
    errors.UNKNOWN_PATH: WRONG_SYNTAX,
    errors.METHOD_NOT_ALLOWED: WRONG_SYNTAX,
    errors.BODY_TOO_LARGE: WRONG_SYNTAX,
    errors.UNSUPPORTED_MEDIA_TYPE: WRONG_SYNTAX,
    errors.UNKNOWN_PROVIDER: INVALID_PARTNER,
    errors.UNKNOWN_SESSION: INVALID_TOKEN,
    errors.UNKNOWN_PLAYER: INVALID_TOKEN,
    errors.UNKNOWN_ROUND: DOES_NOT_EXIST,
    errors.UNKNOWN_TARGET: DOES_NOT_EXIST,
    errors.UNKNOWN_GAME: INVALID_GAME,
    errors.UNKNOWN_ASSET: WRONG_CURRENCY,
    errors.REFERENCE_CONFLICT: DUPLICATE,
    errors.DELIVERY_ID_REUSED: DUPLICATE,
    errors.SESSION_MISMATCH: INVALID_TOKEN,
    errors.TARGET_ROLLED_BACK: ROLLED_BACK,
    errors.TARGET_SETTLED: DUPLICATE,
    errors.TOKEN_EXPIRED: TOKEN_EXPIRED,
    errors.ILLEGAL_TRANSITION: INVALID_TOKEN,
    errors.LAUNCH_REFUSED: INVALID_TOKEN,
    errors.NOT_ELIGIBLE: INVALID_TOKEN,
    errors.UNKNOWN_RESTRICTION: INVALID_TOKEN,
    errors.AMOUNT_NOT_REPRESENTABLE: WRONG_TYPES,
    errors.CONTRACT_MISSING: INVALID_GAME,
    errors.REQUEST_TIMEOUT: UNKNOWN,
    errors.IN_FLIGHT: UNKNOWN,
    errors.OVERLOADED: UNKNOWN,
    errors.PROVIDER_UNAVAILABLE: UNKNOWN,
    errors.ELIGIBILITY_UNANSWERED: UNKNOWN,
    errors.BACKLOGGED: UNKNOWN,
    errors.UNAVAILABLE: UNKNOWN,
    errors.WALLET_UNANSWERED: UNKNOWN,
    errors.WALLET_UNAVAILABLE: UNKNOWN,
    errors.WALLET_IS_REMOTE: WRONG_SYNTAX,
    errors.INTERNAL: UNKNOWN,
}
"""Error → status: what is unknown to us is unknown to Hub88, which then rolls back a bet and repeats the rest."""

MISMATCHES: Final = {
    "asset": WRONG_CURRENCY,
    "game_id": INVALID_GAME,
    "round_id": DOES_NOT_EXIST,
    "target_reference": DOES_NOT_EXIST,
}
"""What does not belong to the rest → status; player and session are INVALID_TOKEN."""

_JSON: Final[Headers] = ((b"content-type", b"application/json"),)
_ENCODER: Final = msgspec.json.Encoder()


def render_answer(decoded: Decoded, outcomes: tuple[Outcome, ...], account: ProviderAccount) -> Reply:
    """The transaction's own outcome; closing its round has no answer of its own."""
    outcome, echo = outcomes[0], _echo_of(decoded.echo)
    status = OK if outcome.is_approved else DECLINES.get(outcome.code, UNKNOWN)
    currency, balance = _balance(outcome, account)
    return _reply(wire.ReplyBody(status, echo.user, echo.request_uuid, currency, balance))


def render_failure(failure: Failure) -> Reply:
    """An error's status, with what a verified request wants repeated and nothing else."""
    echo = _echo_of(failure.echo)
    return _reply(wire.ReplyBody(_status_of(failure.error, echo), echo.user, echo.request_uuid))


def _status_of(error: CroupierError, echo: Echo) -> str:
    if error.kind is errors.MALFORMED and (echo.is_incomplete or error.field in (None, ROOT)):
        return WRONG_SYNTAX
    if error.kind is errors.SESSION_MISMATCH:
        return MISMATCHES.get(error.field or "", INVALID_TOKEN)
    return ERRORS.get(error.kind, UNKNOWN)


def _balance(outcome: Outcome, account: ProviderAccount) -> tuple[str | None, int | None]:
    if outcome.balance is None or outcome.asset is None:
        return None, None
    asset = account.assets.get(outcome.asset)
    return asset.code, render_scaled(outcome.balance, SCALE, asset)


def _echo_of(echo: object) -> Echo:
    return echo if isinstance(echo, Echo) else Echo()


def _reply(body: wire.ReplyBody) -> Reply:
    return Reply(200, _ENCODER.encode(body), _JSON)
