"""What the wallet says: answers to movements, questions and pages, as the contract's JSON members."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from croupier.sandbox.wallet.orders import Order
from croupier.sandbox.wallet.trouble import Trouble, conflict


class Said(Struct, frozen=True, gc=False):
    """What the books say about one order, as a row of `reference_wallet.answer`; amounts are texts of minor units.

    `operation`, `player_id` and `asset` are set for what was decided before: they are those of the first time.
    """

    status: str
    code: str | None
    operation: str | None
    player_id: str | None
    asset: str | None
    amount: str | None
    balance: str | None
    number: int | None
    is_repeat: bool | None


Answer = dict[str, Any]


def render_answer(order: Order, said: Said) -> Answer:
    """The body of the answer with status 200. Raises Trouble: 409, 422."""
    whose = {"player_id": said.player_id or order.player_id, "asset": said.asset or order.asset}
    match said.status:
        case "conflict":
            raise conflict("the reference or its target is known with something else")
        case "unrepresentable":
            raise Trouble(422, "amount_not_representable", "the balance would have more than 38 digits")
        case "not_found":
            return {"status": "not_found", "reference": order.reference, **whose}
        case _:
            pass
    if order.operation == "balance":
        return _with_balance({"status": said.status, **_code_of(said), **whose}, said)
    answer: Answer = {"status": said.status, "code": said.code, "reference": order.reference, **whose}
    if order.operation == "status":
        answer["operation"] = said.operation
    if said.status == "approved":
        answer["amount"] = said.amount
        answer["wallet_reference"] = f"w-{said.number}"
    answer["repeat"] = bool(said.is_repeat)
    return _with_balance(answer, said)


def _code_of(said: Said) -> Answer:
    return {} if said.code is None else {"code": said.code}


def _with_balance(answer: Answer, said: Said) -> Answer:
    if said.balance is not None:
        answer["balance"] = said.balance
    return answer


def render_error(reference: str | None, trouble: Trouble) -> Answer:
    """An item's result in a batch, for what a single call would have answered with another status."""
    return {"status": "error", "reference": reference, **trouble.render()}
