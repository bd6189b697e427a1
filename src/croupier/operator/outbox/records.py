"""What the delivery of events tells about itself: values, for metrics and tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct


class AttemptRecord(Struct, frozen=True):
    """One attempt to hand an event to a consumer and how it ended: delivered, failed or given_up; seconds."""

    consumer: str
    type: str
    result: str
    duration_s: float


class LevelRecord(Struct, frozen=True):
    """How many events wait for a consumer, for how many seconds the oldest has, and whether it is switched off."""

    consumer: str
    pending: int
    oldest_s: float
    is_disabled: bool


class LagRecord(Struct, frozen=True):
    """For how many seconds the oldest event has waited to be given to the consumers."""

    oldest_s: float


Record: TypeAlias = AttemptRecord | LevelRecord | LagRecord
Observe: TypeAlias = Callable[[Record], None]
