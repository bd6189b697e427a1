"""The bodies of the Swipe Games API as they are on the wire.

Unknown members are tolerated and reported: the API grows within a version, and a win or a refund must not fail for it.
"""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from msgspec import Meta, Struct

from croupier.providers.vocabulary import MAX_GAME_URL, MAX_NAME, Name

MAX_AMOUNT: Final = 64
_NAMES: Final = {
    "session_id": "sessionID",
    "tx_id": "txID",
    "orig_tx_id": "origTxID",
    "round_id": "roundID",
    "fr_id": "frID",
    "c_id": "cID",
    "ext_c_id": "extCID",
    "game_id": "gameID",
    "return_url": "returnURL",
    "game_url": "gameURL",
    "gs_id": "gsID",
}

SessionId = Annotated[
    str, Meta(description="As it was given at launch.", extra_json_schema={"pattern": "^ses_[0-9a-f]{32}$"})
]
Amount = Annotated[
    str,
    Meta(
        description="Decimal text in whole units of the session's currency.",
        extra_json_schema={"pattern": r"^(0|[1-9][0-9]*)(\.[0-9]+)?$", "maxLength": MAX_AMOUNT},
        examples=["100.10"],
    ),
]
# The grammar is read by `decode`, once the session has said which currency it is.
Kind = Annotated[str, Meta(extra_json_schema={"enum": ["regular", "free"]})]


class BalanceQuery(Struct, frozen=True, gc=False, rename=_NAMES):
    """`GET …/balance`: the parameters of its query."""

    session_id: SessionId


class BetBody(Struct, frozen=True, gc=False, rename=_NAMES):
    """`POST …/bet`: a free one is a notice."""

    type: Kind
    session_id: SessionId
    amount: Amount
    tx_id: UUID
    round_id: UUID
    fr_id: Annotated[str, Meta(max_length=MAX_NAME)] | None = None


class WinBody(Struct, frozen=True, gc=False, rename=_NAMES):
    """`POST …/win`: a free one is a notice, a regular one with `frID` is the pay-out of free rounds."""

    type: Kind
    session_id: SessionId
    amount: Amount
    tx_id: UUID
    round_id: UUID
    fr_id: Annotated[str, Meta(max_length=MAX_NAME)] | None = None


class RefundBody(Struct, frozen=True, gc=False, rename=_NAMES):
    """`POST …/refund`: always the whole bet."""

    session_id: SessionId
    tx_id: UUID
    orig_tx_id: UUID
    amount: Amount
    round_id: UUID | None = None


class BalanceReply(Struct, frozen=True, gc=False):
    """The answer to `/balance`."""

    balance: str


class MoneyReply(Struct, frozen=True, gc=False, rename=_NAMES):
    """The answer to `/bet`, `/win` and `/refund`; `txID` is ours."""

    balance: str
    tx_id: str


class ErrorReply(Struct, frozen=True, gc=False, omit_defaults=True):
    """Every error: `message` may be shown to the player, `details` never is."""

    message: str
    details: str | None = None
    code: str | None = None
    action: str | None = None


class User(Struct, frozen=True, gc=False):
    """The player of a launch."""

    id: str
    country: str


class LaunchBody(Struct, frozen=True, gc=False, omit_defaults=True, rename=_NAMES):
    """`POST {base_url}/create-new-game`, sent by us in canonical form. Members that are not known are left out."""

    c_id: str
    ext_c_id: str
    game_id: str
    demo: bool
    platform: str
    currency: str
    locale: str
    session_id: str
    user: User
    return_url: str | None = None


class LaunchReply(Struct, frozen=True, gc=False, rename=_NAMES):
    """The 200 to a launch. Other members are ignored."""

    game_url: Annotated[str, Meta(max_length=MAX_GAME_URL)]
    gs_id: UUID


class LaunchRefusal(Struct, frozen=True, gc=False):
    """The refusal of a launch, as far as it is read."""

    message: Annotated[str, Meta(max_length=2048)]
    code: Annotated[str, Meta(pattern=r"^[a-z_]{1,64}(?![\s\S])")] | None = None


class Game(Struct, frozen=True, gc=False):
    """One game of the list, as far as it is read."""

    id: Name
    title: Annotated[str, Meta(max_length=512)]
    currencies: tuple[Name, ...] = ()


GamesReply = tuple[Game, ...]
"""`GET {base_url}/games`"""
