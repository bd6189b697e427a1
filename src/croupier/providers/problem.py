"""Errors as `application/problem+json` (RFC 9457), with what the caller may conclude about money."""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from croupier.errors import CroupierError, Retry
from croupier.providers.contract import Reply
from croupier.providers.verification import Headers

CONTENT_TYPE: Final = (b"content-type", b"application/problem+json")
DEFAULT_RETRY_AFTER_S: Final = 1
_WAIT_STATUSES: Final = (429, 503)
_ENCODER: Final = msgspec.json.Encoder()


class Problem(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The body. `type` is a path of the documentation; what is empty is left out.

    `player_message` may be shown to a player, everything else is for whoever runs the casino.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    money_moved: str
    correlation_id: str
    field: str | None = None
    reason: str | None = None
    player_message: str | None = None


def render_problem(error: CroupierError, correlation_id: str, headers: Headers = ()) -> Reply:
    """Write an error as a problem; `Retry-After` in whole seconds where waiting is what helps."""
    kind = error.kind
    problem = Problem(
        type=f"/docs/errors/{kind.code}",
        title=kind.title,
        status=kind.status,
        detail=error.detail,
        code=kind.code,
        retryable=kind.retryable,
        money_moved=kind.money_moved.value,
        correlation_id=correlation_id,
        field=error.field,
        reason=error.reason,
        player_message=error.player_message,
    )
    return Reply(kind.status, _ENCODER.encode(problem), (CONTENT_TYPE, *_retry_after(error), *headers))


def _retry_after(error: CroupierError) -> Headers:
    is_wait = error.kind.retry is Retry.AFTER_WAIT or error.kind.status in _WAIT_STATUSES
    if error.retry_after_s is None and not is_wait:
        return ()
    seconds = DEFAULT_RETRY_AFTER_S if error.retry_after_s is None else max(0, error.retry_after_s)
    return ((b"retry-after", b"%d" % seconds),)
