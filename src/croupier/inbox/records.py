"""What the intake tells telemetry of each webhook."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from msgspec import Struct

ACCEPTED: Final = "accepted"
DUPLICATE: Final = "duplicate"
REFUSED: Final = "refused"
SHED: Final = "shed"
FAILED: Final = "failed"
GONE: Final = "gone"
UNKNOWN: Final = "unknown"


class DeliveryRecord(Struct, frozen=True, gc=False, kw_only=True):
    """One webhook for telemetry, whatever became of it.

    `result` is accepted, duplicate, refused (4xx), shed (429 or 503 because of a bound), failed (any other 5xx) or gone
    (no answer was sent, status 0). `provider` is a configured name or `unknown`, so it is safe as a label; `code` is
    the error's, else the result; `reason` is the class of an authentication failure. `delivery_id` is the sender's and
    proven, `id` is ours.
    """

    provider: str
    result: str
    status: int
    code: str
    reason: str | None
    duration_s: float
    correlation_id: str
    trace_id: str | None
    type: str | None = None
    delivery_id: str | None = None
    id: UUID | None = None
    session_id: UUID | None = None
    round_id: str | None = None
    key_id: str | None = None
