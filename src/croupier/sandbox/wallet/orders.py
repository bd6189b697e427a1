"""Requests of the contract, read strictly: what each body must hold, and how it becomes an order for the books."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from croupier.sandbox.wallet.trouble import Trouble, conflict, malformed

T = TypeVar("T")

Operation = Literal["debit", "credit", "rollback", "status", "balance", "deposit", "withdraw"]
MOVEMENTS: Final = ("debit", "credit", "rollback")
MOST_ITEMS: Final = 256
LARGEST_PAGE: Final = 1_000
MOST_DIGITS: Final = 38

_AMOUNT: Final = re.compile(r"[1-9][0-9]*")
_MEMBER: Final = re.compile(rb'"\s*:')

Reference = Annotated[str, Meta(pattern=r"^wtx_[A-Za-z0-9_]{1,60}\Z")]
CashierReference = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^(?!wtx_)[^\x00]*\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00]*\Z")]
Moment = Annotated[datetime, Meta(tz=True)]


class Movement(Struct, frozen=True, gc=False):
    """The body of `/debit` and `/credit`."""

    reference: Reference
    player_id: Name
    asset: Name
    amount: str
    kind: Literal["bet", "win", "jackpot_win", "promo_win", "rollback"]
    provider: Name
    provider_reference: Name
    occurred_at: Moment
    session_id: str | None = None
    round_id: str | None = None
    game_id: str | None = None


class Rollback(Movement, frozen=True, gc=False, kw_only=True):
    """The body of `/rollback`."""

    target_reference: Reference
    if_spent: Literal["take_what_is_left", "refuse"]


class StatusQuestion(Struct, frozen=True, gc=False):
    """The body of `/status`."""

    reference: Reference
    player_id: Name
    asset: Name


class BalanceQuestion(Struct, frozen=True, gc=False):
    """The body of `/balance`."""

    player_id: Name
    asset: Name


class Batch(Struct, frozen=True):
    """The body of `/batch`."""

    items: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MOST_ITEMS)]


class Period(Struct, frozen=True):
    """The body of `/statement`."""

    starts_at: Moment = msgspec.field(name="from")
    ends_at: Moment = msgspec.field(name="to")
    limit: Annotated[int, Meta(ge=1, le=LARGEST_PAGE)]
    cursor: str | None = None


class Cash(Struct, frozen=True, gc=False):
    """The body of the cashier's two calls."""

    reference: CashierReference
    player_id: Name
    asset: Name
    amount: str


class Order(Struct, frozen=True, gc=False, kw_only=True):
    """What the books are asked to decide, or to tell. `told` is the request word for word."""

    operation: Operation
    player_id: str
    asset: str
    reference: str = ""
    amount: str | None = None
    target_reference: str | None = None
    if_spent: str | None = None
    told: str | None = None
    correlation_id: str | None = None


_DEBIT: Final = msgspec.json.Decoder(Movement)
_ROLLBACK: Final = msgspec.json.Decoder(Rollback)
_STATUS: Final = msgspec.json.Decoder(StatusQuestion)
_BALANCE: Final = msgspec.json.Decoder(BalanceQuestion)
_CASH: Final = msgspec.json.Decoder(Cash)
BATCH: Final = msgspec.json.Decoder(Batch)
PERIOD: Final = msgspec.json.Decoder(Period)


def parse_order(operation: Operation, body: bytes, correlation_id: str | None) -> Order:
    """The order in a request's body, or in one item of a batch. Raises Trouble: 400, 409, 422."""
    match operation:
        case "status":
            about = parse_body(_STATUS, body)
            return Order(
                operation=operation, player_id=about.player_id, asset=about.asset, reference=about.reference
            )
        case "balance":
            whose = parse_body(_BALANCE, body)
            return Order(operation=operation, player_id=whose.player_id, asset=whose.asset)
        case "deposit" | "withdraw":
            return _order_of(operation, parse_body(_CASH, body), body, correlation_id)
        case "debit" | "credit":
            return _order_of(operation, parse_body(_DEBIT, body), body, correlation_id)
        case "rollback":
            asked = parse_body(_ROLLBACK, body)
            if asked.target_reference == asked.reference:
                raise conflict("a rollback cannot be its own target")
            order = _order_of(operation, asked, body, correlation_id)
            return msgspec.structs.replace(
                order, target_reference=asked.target_reference, if_spent=asked.if_spent
            )


def _order_of(operation: Operation, asked: Movement | Cash, body: bytes, correlation_id: str | None) -> Order:
    return Order(
        operation=operation,
        player_id=asked.player_id,
        asset=asked.asset,
        reference=asked.reference,
        amount=parse_amount(asked.amount),
        told=body.decode(),
        correlation_id=correlation_id,
    )


def parse_item(item: bytes) -> Operation:
    """Which operation an item of a batch asks for. Raises Trouble (400)."""
    try:
        return msgspec.json.decode(item, type=_Item).operation
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(str(error)) from None


def parse_reference(item: bytes) -> str | None:
    """The reference of an item that cannot be read as a whole, if it has one."""
    try:
        return msgspec.json.decode(item, type=_Named).reference
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class _Item(Struct, frozen=True):
    operation: Literal["debit", "credit", "rollback"]


class _Named(Struct, frozen=True):
    reference: str


def parse_amount(text: str) -> str:
    """The amount itself: digits without a leading zero, more than zero. Raises Trouble: 400, or 422 for too many."""
    if _AMOUNT.fullmatch(text) is None:
        raise malformed("an amount is a text of digits, more than zero, without sign or leading zero")
    if len(text) > MOST_DIGITS:
        raise Trouble(422, "amount_not_representable", f"amounts have at most {MOST_DIGITS} digits")
    return text


def parse_body(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """A JSON object in UTF-8 that names no member twice. Raises Trouble (400)."""
    try:
        document = decoder.decode(body)
        _require_single_names(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise malformed(str(error)) from None
    return document


def _require_single_names(body: bytes) -> None:
    """Raises ValueError for a repeated name, which two readers could understand differently."""
    # Of a flat object without repeats the members are as many as the colons after quotes; anything else is read again.
    if len(_MEMBER.findall(body)) != len(msgspec.json.decode(body)):
        json.loads(body, object_pairs_hook=_unrepeated)


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is given twice")
    return found
