"""The bodies of the Beexar contract as they are on the wire.

Unknown members are tolerated and reported, because the platform probes operators with an extra one. Names are 1 to 128
characters without control characters, compared code point by code point.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from croupier.providers.vocabulary import MAX_GAME_URL, Name

MAX_AMOUNT: Final = 40


Currency = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{2,31}(?![\s\S])", examples=["EUR", "CUSTOM_WIN"])]

Amount = Annotated[
    str,
    Meta(
        description="Decimal text in whole units, greater than zero; leading and trailing zeros are allowed.",
        extra_json_schema={"pattern": r"^[0-9]+(\.[0-9]{1,16})?$", "maxLength": MAX_AMOUNT},
        examples=["0.90"],
    ),
]
# The grammar is read by `decode`, because an amount that the asset cannot hold has a code of its own.

SessionId = Annotated[
    str, Meta(description="Our session as a UUID, given at launch.", extra_json_schema={"format": "uuid"})
]
Kind = Annotated[str, Meta(extra_json_schema={"enum": ["bet", "win"]})]
RollbackKind = Annotated[str, Meta(extra_json_schema={"enum": ["rollback"]})]
NoBatch = Annotated[
    Raw,
    Meta(
        description="Never here: a body with it was signed for another call.", extra_json_schema={"not": {}}
    ),
]


class BalanceBody(Struct, frozen=True, gc=False):
    """`POST …/balance`"""

    account_id: Name
    currency: Currency
    game_id: Name
    session_id: SessionId | None = None


class Transaction(Struct, frozen=True, gc=False):
    """One stake or win of a batch."""

    id_provider: Name
    type: Kind
    amount: Amount


class BetWinBody(Struct, frozen=True, gc=False):
    """`POST …/betwin`: all of it or nothing, in order."""

    account_id: Name
    currency: Currency
    game_id: Name
    round_id: Name
    transactions: Annotated[tuple[Transaction, ...], Meta(min_length=1)]
    finished: bool = False
    session_id: SessionId | None = None


class Undoing(Struct, frozen=True, gc=False):
    """One element of a rollback; the amount is the one we remember."""

    id_provider: Name
    type: RollbackKind
    original_id_provider: Name


class RollbackBody(Struct, frozen=True, gc=False):
    """`POST …/rollback`: the round has another name than in the other calls."""

    account_id: Name
    currency: Currency
    game_id: Name
    round_id_provider: Name
    finished: bool
    transactions: Annotated[tuple[Undoing, ...], Meta(min_length=1)]
    session_id: SessionId | None = None


class FinishBody(Struct, frozen=True, gc=False):
    """`POST …/finish`: without a game."""

    account_id: Name
    currency: Currency
    round_id: Name
    session_id: SessionId | None = None
    transactions: NoBatch | UnsetType = UNSET


class BalanceReply(Struct, frozen=True, gc=False):
    """The answer to `/balance` and `/finish`."""

    balance: str


class TransactionReply(Struct, frozen=True, gc=False):
    """The answer to one transaction; `id` is ours."""

    id_provider: str
    id: str
    bonus_amount: str = "0.00"


class BetWinReply(Struct, frozen=True, gc=False):
    """The answer to `/betwin`."""

    round_id: str
    balance: str
    transactions: tuple[TransactionReply, ...]


class UndoingReply(Struct, frozen=True, gc=False):
    """The answer to one element of a rollback; `id` is empty when there was nothing to reverse."""

    id_provider: str
    id: str


class RollbackReply(Struct, frozen=True, gc=False):
    """The answer to `/rollback`."""

    balance: str
    round_id: str
    transactions: tuple[UndoingReply, ...]


class Meaning(Struct, frozen=True, gc=False, omit_defaults=True):
    """What an error means; `balance` where the code requires it."""

    api_code: str
    api_message: str
    balance: str | None = None


class ErrorReply(Struct, frozen=True, gc=False):
    """Every error: `code` is invalid_argument (HTTP 400) or internal (HTTP 500)."""

    code: str
    msg: str
    meta: Meaning


class Account(Struct, frozen=True, gc=False):
    """The player of a launch."""

    id: str
    currency: str
    country: str


class Urls(Struct, frozen=True, gc=False):
    """Where the player goes from the game."""

    return_url: str


class LaunchBody(Struct, frozen=True, gc=False, omit_defaults=True):
    """`POST {base_url}/api/v1/softswiss/launcher/real`, sent by us. Members that are not known are left out."""

    casino_id: str
    game: str
    account: Account
    session_id: str
    locale: str | None = None
    ip: str | None = None
    client_type: str | None = None
    urls: Urls | None = None


class LaunchReply(Struct, frozen=True, gc=False):
    """The launcher's 200. Other members are ignored."""

    launch_url: Annotated[str, Meta(max_length=MAX_GAME_URL)]


class LaunchMeaning(Struct, frozen=True, gc=False):
    """The part of a launcher's refusal that says why."""

    api_code: Annotated[str, Meta(pattern=r"^[0-9]{3}(?![\s\S])")]


class LaunchRefusal(Struct, frozen=True, gc=False):
    """The launcher's 400 or 403."""

    meta: LaunchMeaning


class Game(Struct, frozen=True, gc=False):
    """One game of the list, as far as it is read."""

    identifier: Name
    title: Annotated[str, Meta(max_length=512)]
    currencies: tuple[Name, ...] = ()


class GamesReply(Struct, frozen=True, gc=False):
    """`GET {base_url}/api/v1/operator/games`"""

    games: tuple[Game, ...]
