"""Identifiers and buckets: prefixed, time-ordered, and always saying where their rows live."""

from __future__ import annotations

import random
import time
import zlib
from datetime import datetime
from typing import Final
from uuid import UUID

BUCKETS: Final = 256
"""How many buckets players are spread over. Stored with every row, never changed."""

SESSION: Final = "ses"
ROUND: Final = "rnd"
JOURNAL: Final = "jrn"
BREAK: Final = "brk"
DELIVERY: Final = "dlv"
REQUEST: Final = "req"
EVENT: Final = "evt"
RESTRICTION: Final = "rst"
ELIGIBILITY: Final = "elg"
UNKNOWN: Final = "unk"
WALLET_CALL: Final = "wtx"

_HEX_DIGITS: Final = 32
_SOURCE: Final = random.Random()  # noqa: S311 (ids are never credentials)


class MalformedId(ValueError):
    """The text is not an id of the expected kind."""


def bucket_of(text: str) -> int:
    """The bucket, 0 to 255, of a player id (or of any other text spread the same way).

    CRC-32 of the UTF-8 bytes: stable across processes, hosts and versions. Not a security property.
    """
    return zlib.crc32(text.encode()) & 0xFF


def bucket_of_id(value: UUID) -> int:
    """The bucket an id was made for: its last byte."""
    return value.int & 0xFF


class IdSource:
    """Makes time-ordered ids (RFC 9562 version 7) whose last byte is the owner's bucket.

    Ids of one source increase strictly: 48 bits of milliseconds, then 12 bits counting within the millisecond.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def new(self, bucket: int) -> UUID:
        """A new id for `bucket`."""
        tick = (time.time_ns() // 1_000_000) << 12
        if tick <= self._last:
            tick = self._last + 1
        self._last = tick
        return UUID(int=_layout(tick, _SOURCE.getrandbits(54), bucket))


def _layout(tick: int, noise: int, bucket: int) -> int:
    milliseconds, counter = tick >> 12, tick & 0xFFF
    return (milliseconds << 80) | (0x7 << 76) | (counter << 64) | (0b10 << 62) | (noise << 8) | bucket


def first_id(at: datetime) -> UUID:
    """A value that no id made before this instant exceeds, and every id made after it does."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def render_id(prefix: str, value: UUID) -> str:
    """The public text of an id, such as `ses_0190c6f6…`."""
    return f"{prefix}_{value.hex}"


def parse_id(prefix: str, text: str) -> UUID:
    """Read a public id back.

    Raises:
        MalformedId: another prefix, another length, or anything but lower-case hex digits.
    """
    head, _, digits = text.partition("_")
    if head != prefix or len(digits) != _HEX_DIGITS or not set(digits) <= set("0123456789abcdef"):
        raise MalformedId(
            f"not an id of this kind: expected {prefix}_ and {_HEX_DIGITS} lower-case hex digits"
        )
    return UUID(hex=digits)
