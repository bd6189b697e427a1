"""The forms and answers of GIS as they are on the wire.

Every field of a form is text; what is nested is spelled `rollback_transactions[0][action]`. An empty text counts as
left out. Unknown fields are tolerated and reported. Names are 1 to 128 characters without control characters.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Raw, Struct

from croupier.providers.vocabulary import MAX_GAME_URL, Name

MAX_AMOUNT: Final = 40


Amount = Annotated[
    str,
    Meta(
        description="Decimal text in whole units, not negative.",
        extra_json_schema={"pattern": r"^(0|[1-9][0-9]*)(\.[0-9]+)?$", "maxLength": MAX_AMOUNT},
        examples=["1.5000"],
    ),
]
# The grammar is read by `money`, because an amount that the asset cannot hold has a code of its own.

SessionId = Annotated[
    str, Meta(description="As it was given at launch.", extra_json_schema={"pattern": "^ses_[0-9a-f]{32}$"})
]
Flag = Annotated[
    str, Meta(description="As PHP writes it.", extra_json_schema={"enum": ["0", "1", "true", "false"]})
]
BetType = Annotated[str, Meta(extra_json_schema={"enum": ["bet", "tip", "freespin"]})]
WinType = Annotated[str, Meta(extra_json_schema={"enum": ["win", "jackpot", "freespin"]})]
Undone = Annotated[str, Meta(extra_json_schema={"enum": ["bet", "win", "refund"]})]
Money = Annotated[
    Raw, Meta(description="Whole units with four decimals.", extra_json_schema={"type": "number"})
]


class BalanceForm(Struct, frozen=True, gc=False):
    """`action=balance`"""

    player_id: Name
    currency: Name
    session_id: SessionId | None = None
    casino_request_retry_count: str | None = None


class _MoneyForm(Struct, frozen=True, gc=False, kw_only=True):
    amount: Amount
    currency: Name
    game_uuid: Name
    player_id: Name
    transaction_id: Name
    session_id: SessionId
    freespin_id: str | None = None
    quantity: str | None = None
    round_id: Name | None = None
    finished: Flag | None = None
    transaction_datetime: str | None = None
    casino_request_retry_count: str | None = None


class BetForm(_MoneyForm, frozen=True, gc=False, kw_only=True):
    """`action=bet`: the amount of a free spin is nominal and is not taken."""

    type: BetType


class WinForm(_MoneyForm, frozen=True, gc=False, kw_only=True):
    """`action=win`"""

    type: WinType


class RefundForm(_MoneyForm, frozen=True, gc=False, kw_only=True):
    """`action=refund`: one bet is undone."""

    bet_transaction_id: Name
    type: str | None = None


class Undoing(Struct, frozen=True, gc=False, kw_only=True):
    """`rollback_transactions[i]`: one transaction that is reversed."""

    action: Undone
    transaction_id: Name
    amount: Amount | None = None
    type: str | None = None


class RollbackForm(Struct, frozen=True, gc=False, kw_only=True):
    """`action=rollback`: several transactions are reversed, all or none."""

    currency: Name
    game_uuid: Name
    player_id: Name
    transaction_id: Name
    session_id: SessionId
    rollback_transactions: Annotated[tuple[Undoing, ...], Meta(min_length=1)]
    type: str | None = None
    provider_round_id: str | None = None
    round_id: str | None = None
    transaction_datetime: str | None = None
    casino_request_retry_count: str | None = None


class BalanceReply(Struct, frozen=True, gc=False):
    """The answer to `balance`."""

    balance: Money


class TransactionReply(Struct, frozen=True, gc=False):
    """The answer to `bet`, `win` and `refund`; the id is ours."""

    balance: Money
    transaction_id: str


class RollbackReply(Struct, frozen=True, gc=False):
    """The answer to `rollback`: the id is ours, the list names every transaction that was asked for."""

    balance: Money
    transaction_id: str
    rollback_transactions: tuple[str, ...]


class ErrorReply(Struct, frozen=True, gc=False):
    """Every refusal: `error_code` is INSUFFICIENT_FUNDS or INTERNAL_ERROR."""

    error_code: str
    error_description: str


class LaunchForm(Struct, frozen=True, gc=False, omit_defaults=True):
    """`POST {base_url}/games/init`, sent by us as a form. Fields that are not known are left out."""

    game_uuid: str
    player_id: str
    player_name: str
    currency: str
    session_id: str
    device: str | None = None
    return_url: str | None = None
    language: str | None = None


class LaunchReply(Struct, frozen=True, gc=False):
    """The aggregator's 200: where the game is. Other members are ignored."""

    url: Annotated[str, Meta(max_length=MAX_GAME_URL)]


class LaunchRefusal(Struct, frozen=True, gc=False):
    """The aggregator's error: the HTTP status is said again in the body."""

    name: Name
    status: int


class Game(Struct, frozen=True, gc=False):
    """One game of the list, as far as it is read."""

    uuid: Name
    name: Annotated[str, Meta(max_length=512)]


class Pages(Struct, frozen=True, gc=False, rename={"page_count": "pageCount"}):
    """How many pages the list has."""

    page_count: int = 1


class GamesReply(Struct, frozen=True, gc=False, rename={"meta": "_meta"}):
    """`GET {base_url}/games`"""

    items: tuple[Game, ...]
    meta: Pages = Pages()
