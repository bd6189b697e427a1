"""What a gateway's answer means to a caller, whatever the protocol."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

LONGEST_RETRY_AFTER_S: Final = 3_600


class Meaning(StrEnum):
    """What a reply says about the call."""

    DECIDED = "decided"
    REPEAT = "repeat"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Expected(Struct, frozen=True):
    """A refusal: HTTP status, the protocol's code for it (None: any), and the reason class if it tells one."""

    status: int
    code: str | None
    reason: str | None = None

    def is_met_by(self, got: Expected) -> bool:
        """Whether an answer is this refusal."""
        is_code = self.code is None or self.code == got.code
        return is_code and (self.status, self.reason) == (got.status, got.reason)


class Balance(Struct, frozen=True):
    """A wallet's balance; the amount is text in minor units."""

    amount: str
    asset: str


class Decision(Struct, frozen=True):
    """The decision about one reference, in the words of the native protocol.

    `repeat`: whether it was made before; None where the protocol does not say. `operator_id` is the operator's
    own id of the transaction, where the protocol has one.
    """

    status: str
    code: str
    reference: str
    journal_id: str | None
    balance: Balance | None
    repeat: bool | None
    operator_id: str | None = None


class Received(Struct, frozen=True):
    """An HTTP answer as it came; the time it took is in microseconds."""

    status: int
    body: bytes
    retry_after: str | None = None
    elapsed_us: int = 0

    @property
    def document(self) -> Any:
        """The body as JSON, None if it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None

    @property
    def retry_after_s(self) -> int | None:
        """Seconds the gateway asks to wait, bounded."""
        text = self.retry_after
        if text is None or not text.isascii() or not text.isdigit() or len(text) > 9:
            return None
        return min(int(text), LONGEST_RETRY_AFTER_S)


class Reply(Struct, frozen=True, kw_only=True):
    """One answer, read: what it means, the decisions in it, and its words for a refusal.

    `is_to_undo`: the protocol wants the bet rolled back after this refusal. `findings` say what of the answer
    is not as the protocol says although its meaning is clear. `balance` answers a question about it.
    """

    received: Received
    meaning: Meaning
    document: Any = None
    decisions: tuple[Decision, ...] = ()
    code: str = ""
    reason: str | None = None
    is_to_undo: bool = False
    findings: tuple[str, ...] = ()
    balance: Balance | None = None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.received.status

    @property
    def as_refusal(self) -> Expected:
        """Status, code and reason, to compare with what was expected."""
        return Expected(self.status, self.code, self.reason)
