"""From the Beexar contract's bodies to canonical actions. A refused credit leaves something for finance."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, structs

from croupier.errors import AMOUNT_NOT_REPRESENTABLE, UNKNOWN_SESSION, CroupierError
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
from croupier.providers.adapters.softswiss_v2 import wire
from croupier.providers.contract import Context, Decoded, DecodeRefused
from croupier.providers.strict_json import decode_strict, decode_tolerant
from croupier.providers.verification import Verified
from croupier.providers.vocabulary import MAX_NAME, Name, find_asset, malformed

_AMOUNT: Final = re.compile(r"[0-9]+(?:\.[0-9]{1,16})?")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ANY: Final = msgspec.json.Decoder()


def decode_request(verified: Verified, context: Context) -> Decoded:
    """Read one verified request.

    Raises DecodeRefused: malformed, unknown_session, unknown_asset, amount_not_representable.
    """
    if type(verified) is not Verified:
        raise TypeError("only a verified request is decoded")
    name, raw = context.operation.name, verified.raw
    decoder, read = _READERS[name]
    try:
        body, unknown = decode_tolerant(decoder, raw.body, _KNOWN[name], context.limits)
        decoded = read(body, context, raw.received_at)
    except CroupierError as error:
        raise DecodeRefused(error, _salvage(raw.body, context, error)) from None
    if not unknown:
        return decoded
    return structs.replace(decoded, oddities=tuple(f"{name}.{member}" for member in unknown))


def _read_balance(body: wire.BalanceBody, context: Context, _: datetime) -> Decoded:
    action = ReadBalance(
        session_id=_session(body.session_id),
        player_id=body.account_id,
        asset=find_asset(body.currency, context, field="currency").code,
    )
    return Decoded(operation=context.operation, player_id=body.account_id, actions=(action,))


def _read_betwin(body: wire.BetWinBody, context: Context, received_at: datetime) -> Decoded:
    asset, session_id = find_asset(body.currency, context, field="currency"), _session(body.session_id)
    actions: list[Action] = [
        _stake_or_win(body, position, asset, session_id, received_at)
        for position in range(len(body.transactions))
    ]
    if body.finished:
        last = body.transactions[-1].id_provider
        actions.append(_close(body, asset, session_id, received_at, target=last))
    return Decoded(
        operation=context.operation, player_id=body.account_id, actions=tuple(actions), echo=body.round_id
    )


def _stake_or_win(
    body: wire.BetWinBody, position: int, asset: Asset, session_id: UUID | None, received_at: datetime
) -> Bet | Win:
    transaction, where = body.transactions[position], f"transactions[{position}]"
    reference = transaction.id_provider
    amount = _amount(transaction.amount, asset, f"{where}.amount")
    if transaction.type == "bet":
        return Bet(
            reference=reference,
            player_id=body.account_id,
            asset=asset.code,
            amount=amount,
            occurred_at=received_at,
            session_id=session_id,
            round_id=body.round_id,
            game_id=body.game_id,
        )
    if transaction.type != "win":
        raise malformed(f"{where}.type", "it must be bet or win")
    return Win(
        reference=reference,
        player_id=body.account_id,
        asset=asset.code,
        amount=amount,
        occurred_at=received_at,
        kind=WinKind.WIN,
        session_id=session_id,
        round_id=body.round_id,
        game_id=body.game_id,
    )


def _read_rollback(body: wire.RollbackBody, context: Context, received_at: datetime) -> Decoded:
    """Rollbacks name no session here and close no round, so that neither can make one fail; NOTES.md says why."""
    asset = find_asset(body.currency, context, field="currency")
    actions = [_undoing(body, position, asset, received_at) for position in range(len(body.transactions))]
    return Decoded(
        operation=context.operation,
        player_id=body.account_id,
        actions=tuple(actions),
        echo=body.round_id_provider,
    )


def _undoing(body: wire.RollbackBody, position: int, asset: Asset, received_at: datetime) -> Rollback:
    undoing, where = body.transactions[position], f"transactions[{position}]"
    if undoing.type != "rollback":
        raise malformed(f"{where}.type", "it must be rollback")
    return Rollback(
        reference=undoing.id_provider,
        target_reference=undoing.original_id_provider,
        player_id=body.account_id,
        occurred_at=received_at,
        round_id=body.round_id_provider,
        asset=asset.code,
    )


def _read_finish(body: wire.FinishBody, context: Context, received_at: datetime) -> Decoded:
    if body.transactions is not UNSET:
        # The signature covers no path: a recorded /betwin would otherwise close its round here.
        raise malformed("transactions", "there are none in /finish")
    asset, session_id = find_asset(body.currency, context, field="currency"), _session(body.session_id)
    action = _close(body, asset, session_id, received_at)
    return Decoded(operation=context.operation, player_id=body.account_id, actions=(action,))


def _close(
    body: wire.BetWinBody | wire.FinishBody,
    asset: Asset,
    session_id: UUID | None,
    received_at: datetime,
    target: str | None = None,
) -> CloseRound:
    """The end of a round. It has no id: closing again changes nothing, and never stands in the way of money."""
    return CloseRound(
        reference=None,
        target_reference=target,
        session_id=session_id,
        round_id=body.round_id,
        player_id=body.account_id,
        occurred_at=received_at,
        asset=asset.code,
    )


_Reader = Callable[[Any, Context, datetime], Decoded]
_READERS: Final[dict[str, tuple[msgspec.json.Decoder[Any], _Reader]]] = {
    "balance": (msgspec.json.Decoder(wire.BalanceBody), _read_balance),
    "betwin": (msgspec.json.Decoder(wire.BetWinBody), _read_betwin),
    "rollback": (msgspec.json.Decoder(wire.RollbackBody), _read_rollback),
    "finish": (msgspec.json.Decoder(wire.FinishBody), _read_finish),
}


def _names(*bodies: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for body in bodies for field in structs.fields(body))


_KNOWN: Final = {
    "balance": _names(wire.BalanceBody),
    "betwin": _names(wire.BetWinBody, wire.Transaction),
    "rollback": _names(wire.RollbackBody, wire.Undoing),
    "finish": _names(wire.FinishBody),
}


def _session(text: str | None) -> UUID | None:
    if text is None:
        return None
    if _UUID.fullmatch(text) is None:
        # An id we never gave out is an unknown session, whatever it looks like.
        raise CroupierError(UNKNOWN_SESSION, "no session has this id", field="session_id")
    return UUID(text)


def _amount(text: str, asset: Asset, field: str) -> int:
    """Minor units of an amount greater than zero; leading zeros, which the contract allows, are dropped first."""
    if len(text) > wire.MAX_AMOUNT or _AMOUNT.fullmatch(text) is None:
        raise malformed(field, "it must be digits with at most 16 decimals, 40 characters in all")
    whole, point, fraction = text.partition(".")
    try:
        minor = parse_decimal(f"{whole.lstrip('0') or '0'}{point}{fraction}", asset)
    except MalformedAmount as error:
        raise malformed(field, str(error)) from None
    except AmountNotRepresentable as error:
        raise CroupierError(AMOUNT_NOT_REPRESENTABLE, str(error), field=field) from None
    if minor == 0:
        raise malformed(field, "it must be greater than zero")
    return minor


def _salvage(body: bytes, context: Context, error: CroupierError) -> RefuseCredit | None:
    """What finance must know of a refused credit, the first of a batch; None if there is none or nobody is named."""
    credit = {"betwin": "win", "rollback": "rollback"}.get(context.operation.name)
    try:
        document = decode_strict(_ANY, body, context.limits)
        credits = [one for one in document["transactions"] if one["type"] == credit]
        player_id = msgspec.convert(document["account_id"], Name)
        reference = msgspec.convert(credits[0]["id_provider"], Name)
        amounts = ", ".join(str(one.get("amount", "not given")) for one in credits)
    except (CroupierError, msgspec.ValidationError, LookupError, TypeError, AttributeError):
        return None
    return RefuseCredit(
        player_id=player_id,
        reference=reference,
        code=error.kind.code,
        detail=f"{context.operation.name} with {len(credits)} credits: {error.detail}",
        amount_text=amounts[:MAX_NAME],
    )
