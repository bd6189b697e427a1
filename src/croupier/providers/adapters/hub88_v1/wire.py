"""Hub88's bodies as they are on the wire.

Members that decide nothing are named so that they are no oddity, and take any value: none of them may stop a win.
Members that nobody knows are let through and reported. Names are 1 to 128 characters without control characters.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Raw, Struct

from croupier.providers.vocabulary import MAX_GAME_URL, MAX_NAME, NO_CONTROLS, Name

MAX_TOKEN: Final = 255


TransactionId = Annotated[
    str,
    Meta(min_length=1, max_length=MAX_NAME, pattern=NO_CONTROLS, description="Usually a UUID."),
]
Token = Annotated[str, Meta(min_length=1, max_length=MAX_TOKEN, description="As it was given at launch.")]
Amount = Annotated[
    Raw,
    Meta(
        description="Whole hundred-thousandths of one unit of the currency.",
        extra_json_schema={"type": "integer", "minimum": 0},
    ),
]
# Read from its own text, because it may be longer than 64 bits.

Ignored = Annotated[Any, Meta(description="Taken with any value; decides nothing.")]


class UserInfoBody(Struct, frozen=True, gc=False):
    """`POST …/user/info`"""

    user: Name
    request_uuid: Name


class BalanceBody(Struct, frozen=True, gc=False):
    """`POST …/user/balance`"""

    user: Name
    token: Token
    request_uuid: Name
    game_code: Ignored = None


class BetBody(Struct, frozen=True):
    """`POST …/transaction/bet`: a stake, or the notice of a free one."""

    user: Name
    token: Token
    request_uuid: Name
    transaction_uuid: TransactionId
    round: Name
    game_code: Name
    currency: Name
    amount: Amount
    round_closed: bool | None = None
    is_free: bool | None = None
    reference_transaction_uuid: None = None
    supplier_transaction_id: Ignored = None
    supplier_user: Ignored = None
    is_supplier_promo: Ignored = None
    is_aggregated: Ignored = None
    reward_uuid: Ignored = None
    bet: Ignored = None
    meta: Ignored = None


class WinBody(Struct, frozen=True):
    """`POST …/transaction/win`: what a bet won, perhaps nothing. The token decides nothing here."""

    user: Name
    request_uuid: Name
    transaction_uuid: TransactionId
    reference_transaction_uuid: TransactionId
    round: Name
    game_code: Name
    currency: Name
    amount: Amount
    round_closed: bool | None = None
    is_free: bool | None = None
    token: Ignored = None
    supplier_transaction_id: Ignored = None
    supplier_user: Ignored = None
    is_supplier_promo: Ignored = None
    is_aggregated: Ignored = None
    reward_uuid: Ignored = None
    bet: Ignored = None
    meta: Ignored = None


class RollbackBody(Struct, frozen=True):
    """`POST …/transaction/rollback`: undo a bet or win, whose amount we look up. The token decides nothing here."""

    user: Name
    request_uuid: Name
    transaction_uuid: TransactionId
    reference_transaction_uuid: TransactionId
    round: Name
    round_closed: bool | None = None
    amount: None = None
    currency: None = None
    token: Ignored = None
    game_code: Ignored = None
    supplier_transaction_id: Ignored = None
    supplier_user: Ignored = None
    is_free: Ignored = None
    is_supplier_promo: Ignored = None
    is_aggregated: Ignored = None
    reward_uuid: Ignored = None
    bet: Ignored = None
    meta: Ignored = None


class ReplyBody(Struct, frozen=True, gc=False, omit_defaults=True):
    """Every answer, with HTTP status 200. Members that are not known are left out."""

    status: str
    user: str | None = None
    request_uuid: str | None = None
    currency: str | None = None
    balance: int | None = None


class LaunchBody(Struct, frozen=True, gc=False, omit_defaults=True):
    """`POST {base_url}/operator/generic/v2/game/url`, sent by us. Members that are not known are left out."""

    operator_id: int | str
    user: str
    platform: str
    game_code: str
    currency: str
    country: str
    lang: str
    token: str | None = None
    lobby_url: str | None = None
    ip: str | None = None


class LaunchReplyBody(Struct, frozen=True, gc=False):
    """Hub88's 200: where the game is. Other members are ignored."""

    url: Annotated[str, Meta(max_length=MAX_GAME_URL)]


class GameListBody(Struct, frozen=True, gc=False):
    """`POST {base_url}/operator/generic/v2/game/list`, sent by us."""

    operator_id: int | str


class GameBody(Struct, frozen=True, gc=False):
    """One game of Hub88's list. Other members are ignored."""

    game_code: Name
    name: Annotated[str, Meta(max_length=512)] | None = None
    enabled: bool | None = None


class ErrorBody(Struct, frozen=True, gc=False):
    """Hub88's answer to what it refuses, beside an HTTP status that says why."""

    error: str
