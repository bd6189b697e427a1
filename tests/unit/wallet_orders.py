"""Orders to the operator's wallet, and the answers that agree with them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from croupier.operator.wallet.replies import Answer
from croupier.wallet.port import IfSpent, Operation, WalletOrder

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
JSON = {"content-type": "application/json"}


def order(operation: Operation = Operation.DEBIT, **changes: Any) -> WalletOrder:
    """An order of 250 cents, with other members."""
    members: dict[str, Any] = {
        "reference": "wtx_1",
        "operation": operation,
        "player_id": "p-1",
        "asset": "EUR",
        "amount": 250,
        "kind": "win" if operation is Operation.CREDIT else "bet",
        "provider": "studio",
        "provider_reference": "t-1",
        "occurred_at": AT,
        "correlation_id": "cor-1",
        "session_id": "ses_1",
        "round_id": "r-1",
        "game_id": "dice",
    }
    if operation is Operation.ROLLBACK:
        members |= {"target_reference": "wtx_0", "kind": "win", "if_spent": IfSpent.TAKE_WHAT_IS_LEFT}
    return WalletOrder(**(members | changes))


DEBIT = order()
CREDIT = order(Operation.CREDIT)
ROLLBACK = order(Operation.ROLLBACK)
UNDOING = order(Operation.ROLLBACK, kind="bet", if_spent=None)
EACH = (DEBIT, CREDIT, ROLLBACK)


def approved(asked: WalletOrder, **changes: Any) -> dict[str, Any]:
    """What an honest wallet says of an order that it has applied."""
    return {
        "status": "approved",
        "code": "ok",
        "reference": asked.reference,
        "player_id": asked.player_id,
        "asset": asked.asset,
        "amount": str(asked.amount),
        "balance": "9750",
        "wallet_reference": "w-81",
        "repeat": False,
    } | changes


def refused(asked: WalletOrder, **changes: Any) -> dict[str, Any]:
    """What an honest wallet says of an order that it will never apply."""
    return {
        "status": "refused",
        "code": "insufficient_funds",
        "reference": asked.reference,
        "player_id": asked.player_id,
        "asset": asked.asset,
        "balance": "120",
        "repeat": False,
    } | changes


def error(code: str, applied: str, **changes: Any) -> dict[str, Any]:
    """The body of an answer that is no decision."""
    return {"code": code, "detail": "because", "applied": applied} | changes


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    """A whole answer; a body that is no bytes is written as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, JSON | {name.replace("_", "-"): value for name, value in headers.items()}, raw)
