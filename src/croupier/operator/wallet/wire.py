"""What is sent to the operator's wallet, member by member (docs/reference/wallet-contract.md). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from msgspec import Struct

from croupier.wallet.port import IfSpent, Operation, WalletOrder

BATCH_ITEMS: Final = 256
"""Most movements of one batch."""
BATCH_BYTES: Final = 192 * 1024
"""Most bytes of one batch: a wallet need not take a body of more than 256 KiB."""
STATEMENT_ROWS: Final = 1000
"""Most movements of one page of a statement."""
PATHS: Final[Mapping[Operation, str]] = {one: f"/{one.value}" for one in Operation}
STATUS: Final = "/status"
BALANCE: Final = "/balance"
BATCH: Final = "/batch"
STATEMENT: Final = "/statement"
CALLS: Final = (*PATHS.values(), STATUS, BALANCE, BATCH, STATEMENT)
"""Every path of the contract."""


class _Movement(Struct, frozen=True, gc=False):
    reference: str
    player_id: str
    asset: str
    amount: str
    kind: str
    provider: str
    provider_reference: str
    session_id: str | None
    round_id: str | None
    game_id: str | None
    occurred_at: datetime


class _Rollback(Struct, frozen=True, gc=False):
    reference: str
    target_reference: str | None
    player_id: str
    asset: str
    amount: str
    kind: str
    if_spent: str
    provider: str
    provider_reference: str
    session_id: str | None
    round_id: str | None
    game_id: str | None
    occurred_at: datetime


class _Question(Struct, frozen=True, gc=False):
    reference: str
    player_id: str
    asset: str


class _BalanceQuestion(Struct, frozen=True, gc=False):
    player_id: str
    asset: str


class _Period(Struct, frozen=True, gc=False):
    starts_at: datetime = msgspec.field(name="from")
    ends_at: datetime = msgspec.field(name="to")
    limit: int
    cursor: str | None


_ENCODE: Final = msgspec.json.Encoder().encode
_BEGINNINGS: Final[Mapping[Operation, bytes]] = {
    one: f'{{"operation":"{one.value}",'.encode() for one in Operation
}


def render_movement(order: WalletOrder) -> bytes:
    """The body of `/debit`, `/credit` or `/rollback`."""
    if order.operation is not Operation.ROLLBACK:
        return _ENCODE(
            _Movement(
                order.reference,
                order.player_id,
                order.asset,
                str(order.amount),
                order.kind,
                order.provider,
                order.provider_reference,
                order.session_id,
                order.round_id,
                order.game_id,
                order.occurred_at.astimezone(UTC),
            )
        )
    return _ENCODE(
        _Rollback(
            order.reference,
            order.target_reference,
            order.player_id,
            order.asset,
            str(order.amount),
            order.kind,
            if_spent_of(order).value,
            order.provider,
            order.provider_reference,
            order.session_id,
            order.round_id,
            order.game_id,
            order.occurred_at.astimezone(UTC),
        )
    )


def if_spent_of(order: WalletOrder) -> IfSpent:
    """What a rollback says of spent money; one of a debit gives back, so that it matters to nobody."""
    return order.if_spent or IfSpent.TAKE_WHAT_IS_LEFT


def render_batch(items: Sequence[tuple[Operation, bytes]]) -> bytes:
    """The body of `/batch`, of bodies that `render_movement` made."""
    return b'{"items":[' + b",".join([_BEGINNINGS[one] + body[1:] for one, body in items]) + b"]}"


def render_status(order: WalletOrder) -> bytes:
    """The body of `/status`."""
    return _ENCODE(_Question(order.reference, order.player_id, order.asset))


def render_balance(player_id: str, asset: str) -> bytes:
    """The body of `/balance`."""
    return _ENCODE(_BalanceQuestion(player_id, asset))


def render_statement(starts_at: datetime, ends_at: datetime, cursor: str | None) -> bytes:
    """The body of `/statement`, for one page."""
    return _ENCODE(_Period(starts_at.astimezone(UTC), ends_at.astimezone(UTC), STATEMENT_ROWS, cursor))
