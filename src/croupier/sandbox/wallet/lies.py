"""Replies that say something else than the books do."""

from __future__ import annotations

from typing import Final

from croupier.sandbox.wallet.answers import Answer
from croupier.sandbox.wallet.orders import Order

GARBAGE: Final = (
    b"<!doctype html><title>Service Unavailable</title><h1>Please come back later</h1>",
    b'{"status": "approved", "code": "ok", "refer',
    b"status=approved&code=ok",
    b"",
    b"\xff\xfe\x00{",
    b"[]",
)
"""Bodies that come with status 200 and application/json, and are no answer."""


def lie_about(answer: Answer, order: Order, fault: str) -> Answer | None:
    """The answer with one thing wrong; None where there is nothing to be wrong about."""
    match fault:
        case "wrong_amount":
            return _off_by_one(answer, "amount")
        case "wrong_balance":
            return _off_by_one(answer, "balance")
        case "wrong_player":
            return answer | {"player_id": f"{answer['player_id']}-other"}
        case "wrong_asset":
            return answer | {"asset": f"{answer['asset']}X"}
        case "wrong_reference" if "reference" in answer:
            return answer | {"reference": f"wtx_other_{answer['reference'].removeprefix('wtx_')}"[:64]}
        case "contradict":
            return _contradict(answer, order)
        case _:
            return None


def _off_by_one(answer: Answer, member: str) -> Answer | None:
    if member not in answer:
        return None
    return answer | {member: str(int(answer[member]) + 1)}


def _contradict(answer: Answer, order: Order) -> Answer | None:
    """A decision of before turned round; a first answer, and what was never decided, stays."""
    if not answer.get("repeat"):
        return None
    kept = {name: value for name, value in answer.items() if name not in ("amount", "wallet_reference")}
    if answer["status"] == "approved":
        return kept | {"status": "refused", "code": "insufficient_funds"}
    amount = order.amount or "1"
    return {"balance": "0"} | kept | {
        "status": "approved", "code": "ok", "amount": amount, "wallet_reference": "w-0",
    }  # fmt: skip
