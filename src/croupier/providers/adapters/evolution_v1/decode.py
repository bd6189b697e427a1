"""From Evolution's bodies to canonical actions. A refused credit, cancel or payout leaves something for finance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from croupier.errors import AMOUNT_NOT_REPRESENTABLE, MALFORMED, CroupierError
from croupier.money import AmountNotRepresentable, Asset, MalformedAmount, parse_decimal
from croupier.moneypath.commands import (
    Action,
    Bet,
    IssueToken,
    ReadBalance,
    RefuseCredit,
    Rollback,
    Win,
    WinKind,
)
from croupier.providers.adapters.evolution_v1 import wire
from croupier.providers.contract import Context, Decoded, DecodeRefused
from croupier.providers.strict_json import decode_strict, decode_tolerant
from croupier.providers.verification import Verified
from croupier.providers.vocabulary import MAX_NAME, Name, find_asset
from croupier_signing import hash_api_key

DEBIT: Final = "debit:"
CREDIT: Final = "credit:"
CANCEL: Final = "cancel:"
PROMO: Final = "promo:"
"""One bet's id serves three movements, and payouts have ids of another kind: prefixes keep them apart."""

CREDITS: Final = {"credit": CREDIT, "cancel": CANCEL, "promo_payout": PROMO}
"""Operations that give a player money, with the prefix of their references: finance is told of a refused one."""

JACKPOT: Final = "JackpotWin"
PROMO_TYPES: Final = frozenset({"FreeRoundPlayableSpent", JACKPOT, "RealTimeMonetaryReward"})
"""Payout types that were seen; `RewardGame…` is a family of its own. Others are paid too, and reported."""

_NAME: Final = msgspec.json.Decoder(Name)
_TOP: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Echo(Struct, frozen=True, gc=False, kw_only=True):
    """What the answer repeats, and the session's next token in the answer to a `check`."""

    uuid: str | None = None
    sid: str = ""


class _Reading(Struct, frozen=True, gc=False):
    """A body's one action, what the answer needs again, and values that the protocol's text does not know."""

    action: Action
    sid: str = ""
    oddities: tuple[str, ...] = ()


def decode_request(verified: Verified, context: Context) -> Decoded:
    """Read one verified request.

    Raises DecodeRefused: malformed, unknown_asset, amount_not_representable.
    """
    if type(verified) is not Verified:
        raise TypeError("only a verified request is decoded")
    operation, raw = context.operation, verified.raw
    reader = _READERS[operation.name]
    try:
        body, unknown = decode_tolerant(reader.decoder, raw.body, reader.known, context.limits)
        reading: _Reading = reader.read(body, context, raw.received_at)
    except CroupierError as error:
        document = _readable(raw.body, context)
        echo = Echo(uuid=_name(document, "uuid"))
        raise DecodeRefused(error, _salvage(document, context, error), echo) from None
    return Decoded(
        operation=operation,
        player_id=body.userId,
        actions=(reading.action,),
        token_hash=hash_api_key(body.sid),
        echo=Echo(uuid=body.uuid, sid=reading.sid),
        oddities=(*(f"{operation.name}.{name}" for name in unknown), *reading.oddities),
    )


def _read_check(body: wire.CheckBody, context: Context, _: datetime) -> _Reading:
    fresh = context.fresh_token
    action = IssueToken(
        session_id=None,
        player_id=body.userId,
        token_hash=hash_api_key(fresh),
        replaces=hash_api_key(body.sid),
    )
    return _Reading(action, fresh)


def _read_balance(body: wire.BalanceBody, context: Context, _: datetime) -> _Reading:
    asset = find_asset(body.currency, context, field="currency")
    return _Reading(ReadBalance(session_id=None, player_id=body.userId, asset=asset.code))


def _read_debit(body: wire.MoneyBody, context: Context, received_at: datetime) -> _Reading:
    asset = find_asset(body.currency, context, field="currency")
    bet = Bet(
        reference=DEBIT + body.transaction.refId,
        player_id=body.userId,
        asset=asset.code,
        amount=_amount(body.transaction.amount, asset),
        occurred_at=received_at,
        session_id=None,
        round_id=body.game.id,
        game_id=_game_of(body.game),
    )
    return _Reading(bet)


def _read_credit(body: wire.MoneyBody, context: Context, received_at: datetime) -> _Reading:
    asset = find_asset(body.currency, context, field="currency")
    win = Win(
        reference=CREDIT + body.transaction.refId,
        player_id=body.userId,
        asset=asset.code,
        amount=_amount(body.transaction.amount, asset),
        occurred_at=received_at,
        kind=WinKind.WIN,
        target_reference=DEBIT + body.transaction.refId,
        needs_target=True,
        round_id=body.game.id,
        game_id=_game_of(body.game),
        close_round=True,
    )
    return _Reading(win)


def _read_cancel(body: wire.MoneyBody, context: Context, received_at: datetime) -> _Reading:
    asset = find_asset(body.currency, context, field="currency")
    rollback = Rollback(
        reference=CANCEL + body.transaction.refId,
        target_reference=DEBIT + body.transaction.refId,
        player_id=body.userId,
        occurred_at=received_at,
        round_id=body.game.id,
        asset=asset.code,
        amount=_amount(body.transaction.amount, asset),
        settled_by=CREDIT + body.transaction.refId,
    )
    return _Reading(rollback)


def _read_promo(body: wire.PromoBody, context: Context, received_at: datetime) -> _Reading:
    asset, promo = find_asset(body.currency, context, field="currency"), body.promoTransaction
    win = Win(
        reference=PROMO + promo.id,
        player_id=body.userId,
        asset=asset.code,
        amount=_amount(promo.amount, asset),
        occurred_at=received_at,
        kind=WinKind.JACKPOT if promo.type == JACKPOT else WinKind.PROMO,
        # A round may be named although no bet of it stands behind the payout: it belongs to the session.
        game_id=None if body.game is None else _game_of(body.game),
    )
    return _Reading(win, oddities=_unknown_type(promo.type))


class _Reader(Struct, frozen=True, gc=False):
    """How one operation's body is read, and the members it may have at any depth."""

    decoder: msgspec.json.Decoder[Any]
    known: frozenset[str]
    read: Callable[[Any, Context, datetime], _Reading]


def _members(kind: Any) -> Iterator[str]:
    """Every member's name in a struct and in the structs within it."""
    for part in get_args(kind) or (kind,):
        if isinstance(part, type) and issubclass(part, Struct):
            for field in msgspec.structs.fields(part):
                yield field.encode_name
                yield from _members(field.type)


def _reader(body: type[Struct], read: Callable[[Any, Context, datetime], _Reading]) -> _Reader:
    # `check` says of its channel what `type` it is, and `balance` may name the game: nothing depends on either.
    known = frozenset((*_members(body), *_members(wire.Game)))
    return _Reader(msgspec.json.Decoder(body), known, read)


_READERS: Final[dict[str, _Reader]] = {
    "check": _reader(wire.CheckBody, _read_check),
    "balance": _reader(wire.BalanceBody, _read_balance),
    "debit": _reader(wire.MoneyBody, _read_debit),
    "credit": _reader(wire.MoneyBody, _read_credit),
    "cancel": _reader(wire.MoneyBody, _read_cancel),
    "promo_payout": _reader(wire.PromoBody, _read_promo),
}


def _game_of(game: wire.Game) -> str:
    """What is played: the table, or else the kind of game."""
    table = None if game.details is None else game.details.table
    return table.id if table is not None else game.type or "live"


def _unknown_type(kind: str | None) -> tuple[str, ...]:
    if not kind or kind in PROMO_TYPES or kind.startswith("RewardGame"):
        return ()
    return (f"promo_payout.promoTransaction.type={kind[:MAX_NAME]}",)


def _amount(raw: msgspec.Raw, asset: Asset) -> int:
    try:
        return parse_decimal(bytes(raw).decode(), asset)
    except MalformedAmount as error:
        raise CroupierError(MALFORMED, str(error), field="amount") from None
    except AmountNotRepresentable as error:
        raise CroupierError(AMOUNT_NOT_REPRESENTABLE, str(error), field="amount") from None


def _readable(body: bytes, context: Context) -> dict[str, msgspec.Raw]:
    """A refused body's members, none when it has no one reading."""
    try:
        return decode_strict(_TOP, body, context.limits)
    except CroupierError:
        return {}


def _name(document: dict[str, msgspec.Raw], member: str) -> str | None:
    try:
        return _NAME.decode(document.get(member, b"null"))
    except msgspec.ValidationError:
        return None


def _salvage(document: dict[str, msgspec.Raw], context: Context, error: CroupierError) -> RefuseCredit | None:
    """What finance must know of a refused credit; None if it is no credit or does not say whose it is."""
    operation = context.operation.name
    is_promo = operation == "promo_payout"
    try:
        part = _TOP.decode(document.get("promoTransaction" if is_promo else "transaction", b"{}"))
    except msgspec.ValidationError:
        return None
    player_id, reference = _name(document, "userId"), _name(part, "id" if is_promo else "refId")
    if operation not in CREDITS or player_id is None or reference is None:
        return None
    amount = bytes(part.get("amount", b"not given")).decode()
    return RefuseCredit(
        player_id=player_id,
        reference=CREDITS[operation] + reference,
        code=error.kind.code,
        detail=f"{operation}: {error.detail}",
        amount_text=amount[:MAX_NAME],
    )
