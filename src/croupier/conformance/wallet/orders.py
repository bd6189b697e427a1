"""Movements as the contract writes them, and the bodies of every request."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

DEBIT: Final = "debit"
CREDIT: Final = "credit"
ROLLBACK: Final = "rollback"
TAKE_WHAT_IS_LEFT: Final = "take_what_is_left"
REFUSE: Final = "refuse"

_RUN: Final = secrets.token_hex(6)
_COUNT = itertools.count(1)


class Player(Struct, frozen=True):
    """Whose money, in what."""

    id: str
    asset: str


class Order(Struct, frozen=True, kw_only=True):
    """One movement. `amount` is in minor units; `others` are members that replace or join those of the body."""

    operation: str
    reference: str
    player: Player
    amount: int
    kind: str
    target: str | None = None
    if_spent: str = REFUSE
    others: Mapping[str, Any] = {}

    @property
    def path(self) -> str:
        return f"/{self.operation}"

    @property
    def change(self) -> int:
        """What an approval does to the balance; a rollback's depends on its target."""
        return -self.amount if self.operation == DEBIT else self.amount


def fresh_reference() -> str:
    """A reference that nobody used before: `wtx_`, the run, a number and chance."""
    return f"wtx_kit_{_RUN}_{next(_COUNT)}_{secrets.token_hex(4)}"


def debit(player: Player, amount: int, *, kind: str = "bet", reference: str | None = None) -> Order:
    """Take money."""
    return Order(
        operation=DEBIT, reference=reference or fresh_reference(), player=player, amount=amount, kind=kind
    )


def credit(player: Player, amount: int, *, kind: str = "win", reference: str | None = None) -> Order:
    """Give money."""
    return Order(
        operation=CREDIT, reference=reference or fresh_reference(), player=player, amount=amount, kind=kind
    )


def rollback(of: Order, *, if_spent: str = REFUSE, reference: str | None = None) -> Order:
    """Undo one movement."""
    kind = of.kind if of.kind != "rollback" else "bet"
    return Order(
        operation=ROLLBACK,
        reference=reference or fresh_reference(),
        player=of.player,
        amount=of.amount,
        kind=kind,
        target=of.reference,
        if_spent=if_spent,
    )


def with_members(order: Order, **members: Any) -> Order:
    """The same movement with these members in its body, whatever the kit would have written."""
    return replace(order, others={**order.others, **members})


def render_time(at: datetime) -> str:
    """RFC 3339 in UTC with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def render_body(order: Order) -> dict[str, Any]:
    """The body of the single call."""
    body: dict[str, Any] = {"reference": order.reference}
    if order.operation == ROLLBACK:
        body |= {"target_reference": order.target, "if_spent": order.if_spent}
    body |= {
        "player_id": order.player.id,
        "asset": order.player.asset,
        "amount": str(order.amount),
        "kind": order.kind,
        "provider": "conformance",
        "provider_reference": f"kit-{order.reference}",
        "session_id": "ses_conformance",
        "round_id": "round-1",
        "game_id": "game-1",
        "occurred_at": render_time(datetime.now(UTC)),
    }
    return body | dict(order.others)


def render_item(order: Order) -> dict[str, Any]:
    """The same as an item of a batch."""
    return {"operation": order.operation, **render_body(order)}
