"""Why a signed request was refused."""

from __future__ import annotations

from enum import StrEnum


class RefusalReason(StrEnum):
    """The five classes a caller is told; `replayed` is decided by whoever remembers nonces."""

    MISSING = "missing"
    MALFORMED = "malformed"
    STALE = "stale"
    REPLAYED = "replayed"
    MISMATCH = "mismatch"


class SignatureRefused(Exception):
    """The request is not authenticated: `reason` may be told to the caller, `detail` only to its owner."""

    def __init__(self, reason: RefusalReason, detail: str = "") -> None:
        super().__init__(f"{reason.value}: {detail}" if detail else reason.value)
        self.reason = reason
        self.detail = detail


def malformed(detail: str) -> SignatureRefused:
    """A refusal of class `malformed` that says what is wrong."""
    return SignatureRefused(RefusalReason.MALFORMED, detail)
