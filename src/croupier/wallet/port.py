"""The wallet port: what is asked of whoever keeps the players' money, and the four answers there are.

The wallet that is built in answers from the balance that the money path has locked; the operator's own answers over
HTTP (docs/reference/wallet-contract.md). Nobody guesses between the two: what is not one of the first three is unknown.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct


class Operation(StrEnum):
    """What moves a player's money."""

    DEBIT = "debit"
    CREDIT = "credit"
    ROLLBACK = "rollback"


class IfSpent(StrEnum):
    """What becomes of a credit that is taken back after the player has spent it."""

    TAKE_WHAT_IS_LEFT = "take_what_is_left"
    REFUSE = "refuse"


class WalletOrder(Struct, frozen=True, gc=False, kw_only=True):
    """One movement that is asked of a wallet. `amount` is in minor units, and more than zero.

    `reference` is ours and names the movement for ever; `target_reference` is the movement that a rollback undoes.
    `kind` says why; provider, session, round and game say where it belongs, each as that side knows it.
    """

    reference: str
    operation: Operation
    player_id: str
    asset: str
    amount: int
    kind: str
    provider: str
    provider_reference: str
    occurred_at: datetime
    correlation_id: str
    target_reference: str | None = None
    if_spent: IfSpent | None = None
    session_id: str | None = None
    round_id: str | None = None
    game_id: str | None = None


class Approved(Struct, frozen=True, gc=False, kw_only=True):
    """It was applied: `amount` was moved, and `balance` is what the player has after it, both in minor units.

    `code` is `ok`, or says why a rollback moved nothing. `wallet_reference` is the wallet's own id of the movement.
    """

    amount: int
    balance: int
    code: str = "ok"
    wallet_reference: str | None = None


class Refused(Struct, frozen=True, gc=False, kw_only=True):
    """It will never be applied, and the code says why; `balance` is what the player has, if anybody knows."""

    code: str
    balance: int | None = None


class NotApplied(Struct, frozen=True, gc=False):
    """It was certainly not applied so far: the same reference may be asked again. `reason` is a stable word."""

    reason: str


class Unknown(Struct, frozen=True, gc=False):
    """Nobody can tell; `reason` is a stable word. Only asking for its status settles it."""

    reason: str


Word = Approved | Refused | NotApplied | Unknown
"""The four answers."""


class Balance(Struct, frozen=True, gc=False):
    """What a player has in one asset, in minor units."""

    amount: int


BREAKER_OPEN: Final = "breaker_open"
"""Why nobody was asked: the wallet is spared for the moment."""
NOT_FOUND: Final = "not_found"
"""Why a movement was not applied as far as its status tells: the wallet never heard of it."""
