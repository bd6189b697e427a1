"""What the gateway's answers mean to a caller: what may be concluded from a status. Pure."""

from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

from croupier.sandbox.plan import Expected

LONGEST_RETRY_AFTER_S: Final = 3_600


class Meaning(StrEnum):
    """What a reply says about the call."""

    DECIDED = "decided"
    REPEAT = "repeat"
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Balance(Struct, frozen=True):
    """A wallet's balance; the amount is text in minor units."""

    amount: str
    asset: str


class Decision(Struct, frozen=True):
    """The decision about one reference."""

    status: str
    code: str
    reference: str
    journal_id: str | None
    balance: Balance | None
    repeat: bool


class Reply(Struct, frozen=True):
    """One HTTP answer; `document` is its body as JSON, None if it is not JSON."""

    status: int
    document: Any
    decisions: tuple[Decision, ...]
    elapsed_us: int
    retry_after_s: int | None = None

    @property
    def code(self) -> str:
        """The problem's code, or empty text."""
        return self._text("code")

    @property
    def as_refusal(self) -> Expected:
        """Status, code and reason, to compare with what was expected."""
        return Expected(self.status, self.code, self._text("reason") or None)

    @property
    def meaning(self) -> Meaning:
        """What the caller may conclude; 401 is left to a person: signing anew would not mend a key."""
        if self.status == 200:
            return Meaning.DECIDED if self.decisions else Meaning.REPEAT
        if self.status in (408, 429) or self.status >= 500:
            return Meaning.REPEAT
        if self.status == 409 and self.code == "in_flight":
            return Meaning.REPEAT
        is_final = 400 <= self.status < 500 and self.status != 401
        return Meaning.REFUSED if is_final else Meaning.UNKNOWN

    def _text(self, name: str) -> str:
        value = self.document.get(name) if isinstance(self.document, dict) else None
        return value if isinstance(value, str) else ""


def parse_reply(status: int, body: bytes, *, retry_after: str | None, elapsed_us: int) -> Reply:
    """Read an answer; total: a body that is not what the protocol says has no decisions."""
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError:
        document = None
    decisions = _decisions(document) if status == 200 else ()
    return Reply(status, document, decisions, elapsed_us, _seconds(retry_after))


def difference_apart_from_repeat(one: Any, other: Any) -> bool:
    """Whether two answers differ in anything but `repeat` (native protocol: a repeat equals the original)."""
    return bool(_without_repeat(one) != _without_repeat(other))


def _without_repeat(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: _without_repeat(value) for name, value in document.items() if name != "repeat"}
    return [_without_repeat(value) for value in document] if isinstance(document, list) else document


def _decisions(document: Any) -> tuple[Decision, ...]:
    parts = document.get("results", [document]) if isinstance(document, dict) else []
    try:
        return msgspec.convert(parts, tuple[Decision, ...])
    except msgspec.ValidationError:
        return ()


def _seconds(text: str | None) -> int | None:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 9:
        return None
    return min(int(text), LONGEST_RETRY_AFTER_S)
