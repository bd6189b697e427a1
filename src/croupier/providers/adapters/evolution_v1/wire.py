"""Evolution's bodies as they are on the wire.

Members that nobody knows are let through and reported. Names are 1 to 128 characters without control characters.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct

from croupier.providers.vocabulary import MAX_NAME, Name

MAX_TOKEN: Final = 255


SessionToken = Annotated[
    str, Meta(min_length=1, max_length=MAX_TOKEN, description="Given at launch, or by the last `check`.")
]
Amount = Annotated[
    Raw,
    Meta(
        description="Whole units of the currency with decimals; no exponent, not negative.",
        extra_json_schema={"type": "number", "minimum": 0},
    ),
]
# Read from its own text, because a double cannot hold every amount.

SixDecimals = Annotated[
    Raw,
    Meta(
        description="Whole units of the currency, always with six decimals.",
        extra_json_schema={"type": "number"},
    ),
]
Ignored = Annotated[Any, Meta(description="Taken with any value; decides nothing.")]


class Table(Struct, frozen=True, gc=False):
    """A table of the live casino."""

    id: Name
    vid: Ignored = None


class Details(Struct, frozen=True, gc=False):
    """Where a game is played."""

    table: Table | None = None


class Game(Struct, frozen=True, gc=False):
    """A game round: `id` is the round, the table is what is played."""

    id: Name
    type: Name | None = None
    details: Details | None = None


class Transaction(Struct, frozen=True, gc=False):
    """A movement; `refId` names the bet that debit, credit and cancel are about."""

    id: Name
    refId: Name
    amount: Amount


class PromoTransaction(Struct, frozen=True, gc=False):
    """A payout that no bet stands behind."""

    id: Name
    amount: Amount
    type: str | None = None
    voucherId: Ignored = None
    remainingRounds: Ignored = None


class CheckBody(Struct, frozen=True, gc=False, kw_only=True):
    """`POST …/check`: is this session good? The answer carries its next token."""

    sid: SessionToken
    userId: Name
    uuid: Name | None = None
    channel: Ignored = None


class BalanceBody(Struct, frozen=True, gc=False, kw_only=True):
    """`POST …/balance`"""

    sid: SessionToken
    userId: Name
    currency: Name
    uuid: Name | None = None
    game: Ignored = None


class MoneyBody(Struct, frozen=True, gc=False, kw_only=True):
    """`POST …/debit`, `…/credit`, `…/cancel`; a cancel names the transaction of its debit."""

    sid: SessionToken
    userId: Name
    currency: Name
    game: Game
    transaction: Transaction
    uuid: Name | None = None


class PromoBody(Struct, frozen=True, gc=False, kw_only=True):
    """`POST …/promo_payout`"""

    sid: SessionToken
    userId: Name
    currency: Name
    promoTransaction: PromoTransaction
    game: Game | None = None
    uuid: Name | None = None


class ReplyBody(Struct, frozen=True, gc=False, omit_defaults=True):
    """Every answer but that of a good `check`. Members that are not known are left out."""

    status: str
    retransmission: bool
    bonus: SixDecimals
    balance: SixDecimals | None = None
    uuid: str | None = None


class CheckReplyBody(Struct, frozen=True, gc=False, omit_defaults=True):
    """A good `check`: from now on the session has another token, and the old one is refused."""

    status: str
    sid: str
    uuid: str | None = None


class LaunchSession(Struct, frozen=True, gc=False, omit_defaults=True):
    """The session's first token, and the player's address where it is known."""

    id: str
    ip: str | None = None


class LaunchPlayer(Struct, frozen=True, gc=False):
    """Who plays. `update`: take over what is said here."""

    id: str
    update: bool
    country: str
    language: str
    currency: str
    session: LaunchSession


class LaunchTable(Struct, frozen=True, gc=False):
    """Which table to open."""

    id: str


class LaunchGame(Struct, frozen=True, gc=False):
    """What to open."""

    table: LaunchTable


class LaunchChannel(Struct, frozen=True, gc=False):
    """In what it is opened."""

    wrapped: bool
    mobile: bool


class LaunchBrand(Struct, frozen=True, gc=False):
    """For which brand it is opened."""

    id: str


class LaunchUrls(Struct, frozen=True, gc=False):
    """Where the player goes back to."""

    lobby: str


class LaunchConfig(Struct, frozen=True, gc=False, omit_defaults=True):
    """What the game is like."""

    game: LaunchGame
    channel: LaunchChannel
    brand: LaunchBrand | None = None
    urls: LaunchUrls | None = None


class LaunchBody(Struct, frozen=True, gc=False):
    """`POST {base_url}/ua/v1/{casino_key}/{casino_token}`, sent by us."""

    uuid: str
    player: LaunchPlayer
    config: LaunchConfig


class LaunchReplyBody(Struct, frozen=True, gc=False):
    """Evolution's answer: where the game is, relative to the base address. Other members are ignored."""

    entry: Annotated[str, Meta(min_length=1, max_length=8192)]


class LaunchError(Struct, frozen=True, gc=False):
    """One reason why a launch did not work."""

    code: Annotated[str, Meta(max_length=MAX_NAME)]


class LaunchErrorsBody(Struct, frozen=True, gc=False):
    """Evolution's answer to a launch that did not work."""

    errors: Annotated[list[LaunchError], Meta(min_length=1, max_length=32)]
