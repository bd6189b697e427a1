"""Notices: what a provider tells by webhook, and the part of an adapter that verifies and reads them.

A notice says what a callback says, later or again; `data.reference` is the callback's reference for the same fact.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from croupier.moneypath.commands import Action
from croupier.providers.contract import Context, ProviderAccount
from croupier.providers.verification import RawRequest, Verified


class NoticeType(StrEnum):
    """What there is to tell."""

    ROUND_COMPLETED = "round.completed"
    ROUND_ROLLED_BACK = "round.rolled_back"
    JACKPOT_WON = "jackpot.won"
    SESSION_CLOSED = "session.closed"
    STATEMENT_READY = "statement.ready"


class Notice(Struct, frozen=True, gc=False, kw_only=True):
    """A notice in canonical words.

    `type` is as it was sent; a type that the protocol's text does not know has no actions. `player_id` is empty when
    nobody is named. `order_key` is what its order is kept for: the round, else the session, else the player. What
    stands behind it is what the body names, to find the delivery by; `amount` is the money at stake in minor units.
    """

    type: str
    occurred_at: datetime | None
    player_id: str
    order_key: str
    actions: tuple[Action, ...]
    session_id: UUID | None = None
    round_id: str | None = None
    reference: str | None = None
    asset: str | None = None
    amount: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the protocol's text knows the type."""
        return bool(self.actions)


class NoticeReader(Protocol):
    """The webhook half of an adapter. Both functions are pure."""

    @property
    def scheme(self) -> str:
        """How its webhooks are signed, in the signer's words; kept with each of them."""
        ...

    def verify(self, raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
        """Prove who sent the request; raises unauthenticated with its reason class.

        `nonce` of the result is the sender's delivery id, `timestamp_s` the time of this attempt.
        """
        ...

    def decode(self, verified: Verified, context: Context) -> Notice:
        """Read a verified notice; raises CroupierError, or DecodeRefused with what finance must know of a lost credit.

        A stored notice is read by the same function, when it is processed and when it is replayed.
        """
        ...
