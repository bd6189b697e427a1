"""From GIS's forms to canonical actions. A refused credit leaves something for finance."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from croupier.errors import AMOUNT_NOT_REPRESENTABLE, CroupierError
from croupier.money import AmountNotRepresentable, Asset, MalformedAmount, parse_decimal
from croupier.moneypath.commands import (
    Action,
    Bet,
    CloseRound,
    ReadBalance,
    RefuseCredit,
    Rollback,
    Win,
    WinKind,
)
from croupier.providers.adapters.slotegrator_gis_v1 import wire
from croupier.providers.adapters.slotegrator_gis_v1.form import (
    LIST,
    Form,
    convert,
    find_oddities,
    read_fields,
)
from croupier.providers.contract import Context, Decoded, DecodeRefused, Operation
from croupier.providers.verification import Verified
from croupier.providers.vocabulary import MAX_NAME, Name, find_asset, malformed, read_session_id

UNDO: Final = "rollback:"
"""What references of ours begin with here; a provider's id that begins so is refused."""
OWN_ROUND: Final = "bet:"
"""What the round of a bet that names none is called by, before the bet's id."""

FREE: Final = "freespin"
BETS: Final = frozenset({"bet", "tip", FREE})
WINS: Final = {"win": WinKind.WIN, "jackpot": WinKind.JACKPOT, FREE: WinKind.PROMO}
FLAGS: Final = {"1": True, "true": True, "0": False, "false": False}
UNDONE: Final = {"refund": 0, "win": 1, "bet": 2}
"""What may be reversed, in the order in which it is: a bet after its refund, and after the wins it led to."""
CREDITS: Final = frozenset({"win", "refund", "rollback"})


def decode_request(verified: Verified, context: Context) -> Decoded:
    """Read one verified request.

    Raises DecodeRefused: malformed, unknown_session, unknown_asset, amount_not_representable.
    """
    if type(verified) is not Verified:
        raise TypeError("only a verified request is decoded")
    raw = verified.raw
    form = read_fields(raw.body)
    try:
        return _decode(form, context, raw.received_at)
    except CroupierError as error:
        raise DecodeRefused(error, _salvage(form, error)) from None


def _decode(form: Form, context: Context, received_at: datetime) -> Decoded:
    known = _READERS.get(form.fields.get("action", ""))
    if known is None:
        raise malformed("action", f"it must be one of {', '.join(_READERS)}")
    operation, kind, read = known
    decoded = read(convert(form, kind), context, received_at, operation)
    odd = find_oddities(form, kind)
    if not odd:
        return decoded
    return structs.replace(decoded, oddities=tuple(f"{operation.name}.{name}" for name in odd))


def _read_balance(body: wire.BalanceForm, context: Context, _: datetime, operation: Operation) -> Decoded:
    action = ReadBalance(
        session_id=None if body.session_id is None else read_session_id(body.session_id),
        player_id=body.player_id,
        asset=find_asset(body.currency, context, field="currency").code,
    )
    return Decoded(operation=operation, player_id=body.player_id, actions=(action,))


def _read_bet(body: wire.BetForm, context: Context, received_at: datetime, operation: Operation) -> Decoded:
    if body.type not in BETS:
        raise malformed("type", "it must be bet, tip or freespin")
    asset = find_asset(body.currency, context, field="currency")
    amount = _amount(body.amount, asset, "amount")
    reference = _reference(body.transaction_id, "transaction_id")
    round_id = body.round_id or f"{OWN_ROUND}{reference}"
    bet = Bet(
        reference=reference,
        player_id=body.player_id,
        asset=asset.code,
        amount=0 if body.type == FREE else amount,
        occurred_at=received_at,
        session_id=read_session_id(body.session_id),
        round_id=round_id,
        game_id=body.game_uuid,
    )
    # No later call can name a round that has no name.
    is_over = _flag(body.finished) or body.round_id is None
    closing = (_close(bet, round_id),) if is_over else ()
    return Decoded(operation=operation, player_id=body.player_id, actions=(bet, *closing))


def _read_win(body: wire.WinForm, context: Context, received_at: datetime, operation: Operation) -> Decoded:
    kind = WINS.get(body.type)
    if kind is None:
        raise malformed("type", "it must be win, jackpot or freespin")
    asset = find_asset(body.currency, context, field="currency")
    win = Win(
        reference=_reference(body.transaction_id, "transaction_id"),
        player_id=body.player_id,
        asset=asset.code,
        amount=_amount(body.amount, asset, "amount"),
        occurred_at=received_at,
        kind=kind,
        session_id=read_session_id(body.session_id),
        round_id=body.round_id,
        game_id=body.game_uuid,
        close_round=_flag(body.finished) and body.round_id is not None,
    )
    return Decoded(operation=operation, player_id=body.player_id, actions=(win,))


def _read_refund(
    body: wire.RefundForm, context: Context, received_at: datetime, operation: Operation
) -> Decoded:
    asset = find_asset(body.currency, context, field="currency")
    amount = _amount(body.amount, asset, "amount")
    is_free = body.type == FREE or body.freespin_id is not None
    refund = Rollback(
        reference=_reference(body.transaction_id, "transaction_id"),
        target_reference=_reference(body.bet_transaction_id, "bet_transaction_id"),
        player_id=body.player_id,
        occurred_at=received_at,
        session_id=read_session_id(body.session_id),
        round_id=body.round_id,
        asset=asset.code,
        # The amount of a free spin is nominal: nothing was taken, and nothing is given back.
        amount=None if is_free else amount,
    )
    closing: tuple[Action, ...] = ()
    if _flag(body.finished) and body.round_id is not None:
        closing = (_close(refund, body.round_id),)
    return Decoded(operation=operation, player_id=body.player_id, actions=(refund, *closing))


def _read_rollback(
    body: wire.RollbackForm, context: Context, received_at: datetime, operation: Operation
) -> Decoded:
    asset, session_id = find_asset(body.currency, context, field="currency"), read_session_id(body.session_id)
    ours = _reference(body.transaction_id, "transaction_id")
    ours = f"{UNDO}{len(ours)}:{ours}"
    undoings = body.rollback_transactions
    for position, undoing in enumerate(undoings):
        if undoing.action not in UNDONE:
            raise malformed(f"{LIST}[{position}].action", "it must be bet, win or refund")
    actions = [
        Rollback(
            reference=f"{ours}:{undoing.transaction_id}",
            target_reference=_reference(undoing.transaction_id, f"{LIST}.transaction_id"),
            player_id=body.player_id,
            occurred_at=received_at,
            session_id=session_id,
            asset=asset.code,
            amount=_undone_amount(undoing, asset),
        )
        for undoing in sorted(undoings, key=lambda one: UNDONE[one.action])
    ]
    listed = tuple(dict.fromkeys(undoing.transaction_id for undoing in undoings))
    # One that is listed twice is reversed once; with two amounts it is a conflict.
    return Decoded(
        operation=operation,
        player_id=body.player_id,
        actions=tuple(dict.fromkeys(actions)),
        echo=listed,
    )


def _undone_amount(undoing: wire.Undoing, asset: Asset) -> int | None:
    if undoing.amount is None:
        return None
    amount = _amount(undoing.amount, asset, f"{LIST}.amount")
    return None if undoing.type == FREE else amount


_Reader = Callable[[Any, Context, datetime, Operation], Decoded]
_READERS: Final[dict[str, tuple[Operation, type[Struct], _Reader]]] = {
    "balance": (Operation(name="balance"), wire.BalanceForm, _read_balance),
    "bet": (Operation(name="bet"), wire.BetForm, _read_bet),
    "win": (Operation(name="win"), wire.WinForm, _read_win),
    "refund": (Operation(name="refund"), wire.RefundForm, _read_refund),
    "rollback": (Operation(name="rollback"), wire.RollbackForm, _read_rollback),
}


def _close(of: Bet | Rollback, round_id: str) -> CloseRound:
    return CloseRound(
        reference=None,
        session_id=of.session_id,
        round_id=round_id,
        player_id=of.player_id,
        occurred_at=of.occurred_at,
        asset=of.asset,
        target_reference=of.target_reference if isinstance(of, Rollback) else of.reference,
    )


def _reference(text: str, field: str) -> str:
    if text.startswith(UNDO):
        raise malformed(field, f"an id cannot begin with {UNDO}")
    return text


def _amount(text: str, asset: Asset, field: str) -> int:
    if len(text) > wire.MAX_AMOUNT:
        raise malformed(field, f"it has at most {wire.MAX_AMOUNT} characters")
    try:
        return parse_decimal(text, asset)
    except MalformedAmount as error:
        raise malformed(field, str(error)) from None
    except AmountNotRepresentable as error:
        raise CroupierError(AMOUNT_NOT_REPRESENTABLE, str(error), field=field) from None


def _flag(text: str | None) -> bool:
    if text is None:
        return False
    flag = FLAGS.get(text)
    if flag is None:
        raise malformed("finished", "it must be 1, 0, true or false")
    return flag


def _salvage(form: Form, error: CroupierError) -> RefuseCredit | None:
    """What finance must know of a refused credit; None if it is no credit or does not say whose it is."""
    fields = form.fields
    action = fields.get("action")
    if action not in CREDITS:
        return None
    try:
        player_id = msgspec.convert(fields.get("player_id"), Name)
        reference = msgspec.convert(fields.get("transaction_id"), Name)
    except msgspec.ValidationError:
        return None
    amounts = [element.get("amount", "not given") for element in form.elements]
    return RefuseCredit(
        player_id=player_id,
        reference=reference,
        code=error.kind.code,
        detail=_printable(f"{action}: {error.detail}"),
        amount_text=_printable(fields.get("amount", ", ".join(amounts) or "not given"))[:MAX_NAME],
    )


def _printable(text: str) -> str:
    """Without control characters: a database keeps no NUL, and a work item is read by people."""
    return "".join(one if one.isprintable() else "?" for one in text)
