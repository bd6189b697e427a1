"""What an answer means to the provider that gets it, read by the protocol's own text."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import Struct

_DECIMAL: Final = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?")

Headers = tuple[tuple[bytes, bytes], ...]


class Request(Struct, frozen=True, kw_only=True):
    """One HTTP request, byte by byte; `path` is the whole public path."""

    method: str
    path: bytes
    query: bytes = b""
    headers: Headers = ()
    body: bytes = b""

    @property
    def target(self) -> bytes:
        """What stands in the request line."""
        return self.path + (b"?" + self.query if self.query else b"")


class Response(Struct, frozen=True, kw_only=True):
    """One HTTP answer; header names are in lower case. Status 0: no answer came."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: bytes) -> bytes | None:
        """The first header of this name, in lower case."""
        return next((value for key, value in self.headers if key == name), None)


NO_ANSWER: Final = Response(status=0)


class Verdict(StrEnum):
    """What the provider may conclude."""

    APPROVED = "approved"
    DECLINED = "declined"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    SENSELESS = "senseless"


class Cause(StrEnum):
    """Why something is not approved: a speaker says which of its protocol's codes may tell it."""

    SIGNATURE = "signature"
    MALFORMED = "malformed"
    AMOUNT = "amount"
    FUNDS = "funds"
    ROLLED_BACK = "rolled back"
    CONFLICT = "conflict"
    PLAYER = "player"
    SESSION = "session"
    ASSET = "asset"
    GAME = "game"
    TARGET = "target"
    SETTLED = "settled"
    SESSION_OVER = "session over"
    ROUND_CLOSED = "round closed"
    TOO_LARGE = "too large"
    PATH = "path"
    TEMPORARY = "temporary"


class Reading(Struct, frozen=True, kw_only=True):
    """An answer in neutral words: what it means, the protocol's code, the balance in minor units.

    `operator_ids` are the operator's transaction ids in the order of the moves. `token` is a new session token.
    `finding` says what about the answer is not as the protocol says.
    """

    verdict: Verdict
    code: str = ""
    balance: int | None = None
    operator_ids: tuple[str, ...] = ()
    token: str | None = None
    finding: str = ""
    request: Request
    response: Response

    @property
    def is_final_no(self) -> bool:
        """Whether the provider takes it that nothing moved and nothing will."""
        return self.verdict in (Verdict.DECLINED, Verdict.REFUSED)


class Exact(str):
    """A JSON number as it was written."""

    __slots__ = ()


class Unreadable(Exception):
    """The answer is not what the protocol says; the text says how."""


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object whose numbers keep their text; raises Unreadable."""
    try:
        document = msgspec.json.Decoder(dict[str, Any], float_hook=Exact).decode(body)
    except msgspec.MsgspecError as error:
        raise Unreadable(f"no JSON object: {error}") from None
    return document


def require(document: dict[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    """A member of a type; raises Unreadable."""
    value = document.get(name)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Unreadable(f"{name} is {value!r}")
    return value


def read_decimal(text: object, exponent: int) -> int:
    """Decimal text (or a number's text) as minor units; decimals beyond the asset must be zeros. Raises Unreadable."""
    given = str(text)
    if _DECIMAL.fullmatch(given) is None:
        raise Unreadable(f"{given!r} is no amount")
    whole, _, fraction = given.partition(".")
    if fraction[exponent:].strip("0"):
        raise Unreadable(f"{given!r} is finer than the asset")
    return int(whole + fraction[:exponent].ljust(exponent, "0"))


def write_decimal(minor: int, exponent: int) -> str:
    """Minor units as decimal text with all the asset's decimals."""
    digits = str(minor).rjust(exponent + 1, "0")
    return f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent else digits
