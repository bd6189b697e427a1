"""What the operator's wallet says, read strictly: one of the four answers, and approved only when all of it agrees.

Replies are untrusted. What does not agree with the order, or cannot be read in one way, is unknown, with a stable word
for why. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from croupier.errors import CroupierError
from croupier.operator.wallet.wire import if_spent_of
from croupier.providers.strict_json import JsonLimits, decode_part, decode_strict
from croupier.wallet.port import (
    NOT_FOUND,
    Approved,
    Balance,
    IfSpent,
    NotApplied,
    Operation,
    Refused,
    Unknown,
    WalletOrder,
    Word,
)

PLAYER_BLOCKED: Final = "player_blocked"
REFUSALS: Final = frozenset(
    {
        "insufficient_funds",
        "limit_reached",
        PLAYER_BLOCKED,
        "unknown_player",
        "unknown_asset",
        "tombstoned",
    }
)
NOTHING_MOVED: Final = frozenset({"nothing_to_roll_back", "already_rolled_back"})
BET: Final = "bet"

MALFORMED: Final = "malformed"
OTHER_REFERENCE: Final = "other_reference"
OTHER_PLAYER: Final = "other_player"
OTHER_ASSET: Final = "other_asset"
OTHER_OPERATION: Final = "other_operation"
OTHER_AMOUNT: Final = "other_amount"
OTHER_CODE: Final = "other_code"
OTHER_STATUS: Final = "other_status"
OTHER_COUNT: Final = "other_count"
CONTENT_TYPE: Final = "content_type"
COMPRESSED: Final = "compressed"
REDIRECTED: Final = "redirected"

FAULTS: Final = frozenset({401, 403, 404, 405, 408, 421, 425, 429})
"""Statuses below 500 that say that the wallet does not serve us, whatever we ask."""

Digits = Annotated[str, Meta(pattern=r"^(?:0|[1-9][0-9]{0,37})\Z")]
SignedDigits = Annotated[str, Meta(pattern=r"^(?:0|-?[1-9][0-9]{0,37})\Z")]
CodeWord = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}\Z")]
Name = Annotated[str, Meta(max_length=512)]
WalletId = Annotated[str, Meta(min_length=1, max_length=128)]

T = TypeVar("T", covariant=True)


class Answer(Struct, frozen=True, gc=False):
    """A whole reply as it came; the names of `headers` are in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Heard(Struct, Generic[T], frozen=True, gc=False, kw_only=True):
    """What an exchange comes to.

    `has_failed` is for the breaker: None where it says nothing about the wallet. `may_pass`: the same may succeed a
    little later; `fits`: the reply was about what was asked, so that its connection can be trusted with another call.
    """

    word: T
    has_failed: bool | None = False
    may_pass: bool = False
    fits: bool = True
    status: int | None = None
    retry_after: str | None = None


class Movement(Struct, frozen=True, gc=False, kw_only=True):
    """One line of a statement: what was moved in the wallet, in minor units; `change` is that of the balance."""

    reference: str
    operation: Operation
    target_reference: str | None
    player_id: str
    asset: str
    amount: int
    change: int
    wallet_reference: str | None
    recorded_at: datetime


class Page(Struct, frozen=True, gc=False):
    """A page of a statement, and where the next one begins."""

    movements: tuple[Movement, ...]
    next_cursor: str | None


class _Said(Struct, frozen=True, gc=False, kw_only=True):
    status: str
    code: CodeWord | None = None
    reference: Name | None = None
    player_id: Name | None = None
    asset: Name | None = None
    operation: Name | None = None
    amount: Digits | None = None
    balance: SignedDigits | None = None
    wallet_reference: WalletId | None = None
    repeat: bool | None = None
    applied: Literal["no", "unknown"] | None = None


class _Error(Struct, frozen=True, gc=False, kw_only=True):
    code: CodeWord
    applied: Literal["no", "unknown"]
    reference: Name | None = None
    detail: str | None = None


class _Results(Struct, frozen=True, gc=False):
    results: list[msgspec.Raw]


class _Line(Struct, frozen=True, gc=False, kw_only=True):
    reference: Name
    operation: Operation
    player_id: Name
    asset: Name
    amount: Digits
    change: SignedDigits
    recorded_at: Annotated[datetime, Meta(tz=True)]
    target_reference: Name | None = None
    wallet_reference: WalletId | None = None


class _Lines(Struct, frozen=True, gc=False):
    movements: list[_Line]
    next_cursor: Annotated[str, Meta(min_length=1, max_length=1024)] | None


_SINGLE: Final = JsonLimits(max_depth=8, max_keys=128)
_MANY: Final = JsonLimits(max_depth=8, max_keys=32_768)
_READ_SAID: Final = msgspec.json.Decoder(_Said)
_READ_ERROR: Final = msgspec.json.Decoder(_Error)
_READ_RESULTS: Final = msgspec.json.Decoder(_Results)
_READ_LINES: Final = msgspec.json.Decoder(_Lines)


def read_movement(order: WalletOrder, answer: Answer) -> Heard[Word]:
    """What the answer to a debit, credit or rollback says of it."""
    said = _read_said(answer, order.reference)
    return said if isinstance(said, Heard) else _judge(order, said)


def read_status(order: WalletOrder, answer: Answer) -> Heard[Word]:
    """What `/status` says became of an order: approved, refused, not applied (`not_found`), or unknown.

    That the question itself was not taken says nothing about the order.
    """
    said = _read_said(answer, order.reference)
    if isinstance(said, Heard):
        return msgspec.structs.replace(said, word=Unknown(said.word.reason))
    if said.status != NOT_FOUND:
        return _judge(order, said, is_status=True)
    other = _find_other(order, said)
    return Heard(word=NotApplied(NOT_FOUND)) if other is None else _unfit(other)


def read_batch(orders: Sequence[WalletOrder], answer: Answer) -> tuple[Heard[Word], ...]:
    """What the answer to a batch says of each of its items, in their order; each is told by place and reference."""
    refused = _find_fault(answer, None)
    if refused is not None:
        return (refused,) * len(orders)
    try:
        results = decode_strict(_READ_RESULTS, answer.body, _MANY).results
    except CroupierError:
        return (_unfit(MALFORMED),) * len(orders)
    if len(results) != len(orders):
        return (_unfit(OTHER_COUNT),) * len(orders)
    return tuple([_read_item(order, raw) for order, raw in zip(orders, results, strict=True)])


def read_balance(player_id: str, asset: str, answer: Answer) -> Heard[Balance | Refused | Unknown]:
    """What a player has in an asset, or why there is no such wallet."""
    said = _read_said(answer, None)
    if isinstance(said, Heard):
        return Heard(word=Unknown(said.word.reason), has_failed=said.has_failed, fits=said.fits)
    if said.player_id != player_id:
        return _unfit(OTHER_PLAYER)
    if said.asset != asset:
        return _unfit(OTHER_ASSET)
    if said.status == "approved" and said.balance is not None:
        return Heard(word=Balance(int(said.balance)))
    if said.status == "refused" and said.code is not None:
        return Heard(word=_refusal(said.code, said.balance))
    return _unfit(MALFORMED if said.status in ("approved", "refused") else OTHER_STATUS)


def read_statement(answer: Answer) -> tuple[Heard[Page | NotApplied | Unknown]]:
    """A page of a statement, or the word for why it cannot be read: one line that is wrong spoils all of it."""
    fault = _find_fault(answer, None)
    if fault is not None:
        return (fault,)
    try:
        lines = decode_strict(_READ_LINES, answer.body, _MANY)
    except CroupierError:
        return (_unfit(MALFORMED),)
    movements = tuple([_movement_of(line) for line in lines.movements])
    if not all(map(_adds_up, movements)):
        return (_unfit(OTHER_AMOUNT),)
    return (Heard(word=Page(movements, lines.next_cursor)),)


def _read_said(answer: Answer, reference: str | None) -> _Said | Heard[NotApplied | Unknown]:
    fault = _find_fault(answer, reference)
    if fault is not None:
        return fault
    try:
        return decode_strict(_READ_SAID, answer.body, _SINGLE)
    except CroupierError:
        return _unfit(MALFORMED)


def _find_fault(answer: Answer, reference: str | None) -> Heard[NotApplied | Unknown] | None:
    """What an answer comes to that is no decision; None for one that may be read."""
    headers, status = answer.headers, answer.status
    if 300 <= status < 400:
        return _unfit(REDIRECTED)
    if headers.get("content-encoding", "identity").lower() != "identity":
        return _unfit(COMPRESSED)
    is_json = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    if status == 200:
        return None if is_json else _unfit(CONTENT_TYPE)
    if status < 400 or not is_json:
        return _unfit(f"status_{status}")
    try:
        error = decode_strict(_READ_ERROR, answer.body, _SINGLE)
    except CroupierError:
        return _unfit(f"status_{status}")
    if reference is not None and error.reference not in (None, reference):
        return _unfit(OTHER_REFERENCE)
    may_pass = status == 429 or status >= 500
    is_no = error.applied == "no"
    return Heard(
        word=NotApplied(error.code) if is_no else Unknown(error.code),
        has_failed=may_pass or status in FAULTS,
        may_pass=may_pass,
        status=status,
        retry_after=headers.get("retry-after") if may_pass else None,
    )


def _read_item(order: WalletOrder, raw: msgspec.Raw) -> Heard[Word]:
    try:
        said = decode_part(_READ_SAID, raw)
    except CroupierError:
        return _unfit(MALFORMED)
    if said.status != "error":
        return _judge(order, said)
    if said.reference != order.reference:
        return _unfit(OTHER_REFERENCE)
    if said.code is None or said.applied is None:
        return _unfit(MALFORMED)
    may_pass = said.code in ("overloaded", "unavailable", "internal")
    word: Word = NotApplied(said.code) if said.applied == "no" else Unknown(said.code)
    return Heard(word=word, has_failed=may_pass, may_pass=may_pass)


def _judge(order: WalletOrder, said: _Said, *, is_status: bool = False) -> Heard[Word]:
    """A decision about an order. A status must name the operation, a movement's own answer may."""
    other = _find_other(order, said)
    if other is not None:
        return _unfit(other)
    if said.operation != order.operation and (is_status or said.operation is not None):
        return _unfit(OTHER_OPERATION)
    if said.code is None:
        return _unfit(MALFORMED)
    if said.status == "refused":
        return Heard(word=_refusal(said.code, said.balance))
    if said.status != "approved":
        return _unfit(OTHER_STATUS)
    if said.amount is None or said.balance is None:
        return _unfit(MALFORMED)
    amount = int(said.amount)
    if said.code != "ok" and not (order.operation is Operation.ROLLBACK and said.code in NOTHING_MOVED):
        return _unfit(OTHER_CODE)
    if not _is_amount_of(order, said.code, amount):
        return _unfit(OTHER_AMOUNT)
    approved = Approved(
        amount=amount, balance=int(said.balance), code=said.code, wallet_reference=said.wallet_reference
    )
    return Heard(word=approved)


def _find_other(order: WalletOrder, said: _Said) -> str | None:
    if said.reference != order.reference:
        return OTHER_REFERENCE
    if said.player_id != order.player_id:
        return OTHER_PLAYER
    return None if said.asset == order.asset else OTHER_ASSET


def _is_amount_of(order: WalletOrder, code: str, amount: int) -> bool:
    """Whether an order may have moved so much: all of it, but for a spent credit, of which what is left is taken."""
    if code in NOTHING_MOVED:
        return amount == 0
    may_be_spent = (
        order.operation is Operation.ROLLBACK
        and order.kind != BET
        and if_spent_of(order) is IfSpent.TAKE_WHAT_IS_LEFT
    )
    return amount <= order.amount if may_be_spent else amount == order.amount


def _refusal(code: str, balance: str | None) -> Refused:
    # Words that we do not know are the house's own; that the player may not is true of all of them.
    known = code if code in REFUSALS else PLAYER_BLOCKED
    return Refused(code=known, balance=None if balance is None else int(balance))


def _movement_of(line: _Line) -> Movement:
    return Movement(
        reference=line.reference,
        operation=line.operation,
        target_reference=line.target_reference,
        player_id=line.player_id,
        asset=line.asset,
        amount=int(line.amount),
        change=int(line.change),
        wallet_reference=line.wallet_reference,
        recorded_at=line.recorded_at,
    )


def _adds_up(movement: Movement) -> bool:
    """Whether sign, amount and target of a line agree."""
    if movement.amount == 0:
        return False
    if movement.operation is Operation.ROLLBACK:
        return movement.target_reference is not None and abs(movement.change) == movement.amount
    sign = -1 if movement.operation is Operation.DEBIT else 1
    return movement.target_reference is None and movement.change == sign * movement.amount


def _unfit(reason: str) -> Heard[Unknown]:
    return Heard(word=Unknown(reason), has_failed=True, fits=False)
