"""From Hub88's bodies to canonical actions. A refused win or rollback leaves something for finance."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from croupier.errors import AMOUNT_NOT_REPRESENTABLE, MALFORMED, CroupierError
from croupier.money import AmountNotRepresentable, Asset, parse_scaled
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
from croupier.providers.adapters.hub88_v1 import wire
from croupier.providers.adapters.hub88_v1.manifest import SCALE
from croupier.providers.contract import Context, Decoded, DecodeRefused
from croupier.providers.strict_json import ROOT, JsonLimits, decode_strict, decode_tolerant
from croupier.providers.verification import Verified
from croupier.providers.vocabulary import MAX_NAME, Name, find_asset
from croupier_signing import hash_api_key

CREDITS: Final = frozenset({"win", "rollback"})
"""Operations that give a player money: when one is refused, finance is told."""

_NAME: Final = msgspec.json.Decoder(Name)
_TOP: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WHOLE: Final = re.compile(rb"0|[1-9][0-9]*")


class Echo(Struct, frozen=True, gc=False, kw_only=True):
    """What every answer repeats. `is_incomplete`: a member is missing or twice there, or it is no JSON at all."""

    request_uuid: str | None = None
    user: str | None = None
    is_incomplete: bool = False


class _Reading(Struct, frozen=True, gc=False):
    """A body's actions in order, and the token it is judged by."""

    actions: tuple[Action, ...]
    token: str | None = None


def decode_request(verified: Verified, context: Context) -> Decoded:
    """Read one verified request.

    Raises DecodeRefused: malformed, unknown_asset, amount_not_representable.
    """
    if type(verified) is not Verified:
        raise TypeError("only a verified request is decoded")
    operation, raw = context.operation, verified.raw
    reader = _READERS[operation.name]
    try:
        body, seen = decode_tolerant(reader.decoder, raw.body, reader.known, _limits(context))
        reading: _Reading = reader.read(body, context, raw.received_at)
    except CroupierError as error:
        document = _readable(raw.body, context)
        raise DecodeRefused(error, _salvage(document, context, error), _echo(document, error)) from None
    return Decoded(
        operation=operation,
        player_id=body.user,
        actions=reading.actions,
        token_hash=None if reading.token is None else hash_api_key(reading.token),
        echo=Echo(request_uuid=body.request_uuid, user=body.user),
        oddities=_oddities(operation.name, raw.body, reader.known) if seen else (),
    )


def _read_info(body: wire.UserInfoBody, context: Context, _: datetime) -> _Reading:
    return _Reading((ReadBalance(session_id=None, player_id=body.user, asset=None),))


def _read_balance(body: wire.BalanceBody, context: Context, _: datetime) -> _Reading:
    return _Reading((ReadBalance(session_id=None, player_id=body.user, asset=None),), body.token)


def _read_bet(body: wire.BetBody, context: Context, received_at: datetime) -> _Reading:
    asset = find_asset(body.currency, context, field="currency")
    amount = _amount(body.amount, asset)
    bet = Bet(
        reference=body.transaction_uuid,
        player_id=body.user,
        asset=asset.code,
        # A free bet names its worth; nothing of it is the player's.
        amount=0 if body.is_free else amount,
        occurred_at=received_at,
        session_id=None,
        round_id=body.round,
        game_id=body.game_code,
    )
    return _Reading((bet, *_closing(body, asset.code, received_at)), body.token)


def _read_win(body: wire.WinBody, context: Context, received_at: datetime) -> _Reading:
    asset = find_asset(body.currency, context, field="currency")
    win = Win(
        reference=body.transaction_uuid,
        player_id=body.user,
        asset=asset.code,
        amount=_amount(body.amount, asset),
        occurred_at=received_at,
        kind=WinKind.PROMO if body.is_free else WinKind.WIN,
        target_reference=body.reference_transaction_uuid,
        needs_target=True,
        round_id=body.round,
        game_id=body.game_code,
        close_round=bool(body.round_closed),
    )
    return _Reading((win,))


def _read_rollback(body: wire.RollbackBody, context: Context, received_at: datetime) -> _Reading:
    rollback = Rollback(
        reference=body.transaction_uuid,
        target_reference=body.reference_transaction_uuid,
        player_id=body.user,
        occurred_at=received_at,
        round_id=body.round,
    )
    return _Reading((rollback, *_closing(body, None, received_at)))


def _closing(
    body: wire.BetBody | wire.RollbackBody, asset: str | None, received_at: datetime
) -> tuple[CloseRound, ...]:
    """The end of a round that a transaction announces: in the session of that transaction, whichever is newer."""
    if not body.round_closed:
        return ()
    is_bet = isinstance(body, wire.BetBody)
    close = CloseRound(
        reference=None,
        target_reference=body.transaction_uuid if is_bet else body.reference_transaction_uuid,
        session_id=None,
        round_id=body.round,
        player_id=body.user,
        occurred_at=received_at,
        asset=asset,
    )
    return (close,)


class _Reader(Struct, frozen=True, gc=False):
    """How one operation's body is read, and the members it may have."""

    decoder: msgspec.json.Decoder[Any]
    known: frozenset[str]
    read: Callable[[Any, Context, datetime], _Reading]


def _reader(body: type[Struct], read: Callable[[Any, Context, datetime], _Reading]) -> _Reader:
    known = frozenset(field.encode_name for field in msgspec.structs.fields(body))
    return _Reader(msgspec.json.Decoder(body), known, read)


_READERS: Final[dict[str, _Reader]] = {
    "user_info": _reader(wire.UserInfoBody, _read_info),
    "balance": _reader(wire.BalanceBody, _read_balance),
    "bet": _reader(wire.BetBody, _read_bet),
    "win": _reader(wire.WinBody, _read_win),
    "rollback": _reader(wire.RollbackBody, _read_rollback),
}


def _amount(raw: msgspec.Raw, asset: Asset) -> int:
    text = bytes(raw)
    if _WHOLE.fullmatch(text) is None:
        raise CroupierError(MALFORMED, "amount: it must be a whole number, not negative", field="amount")
    try:
        return parse_scaled(int(text), SCALE, asset)
    except AmountNotRepresentable as error:
        raise CroupierError(AMOUNT_NOT_REPRESENTABLE, str(error), field="amount") from None


def _oddities(operation: str, body: bytes, known: frozenset[str]) -> tuple[str, ...]:
    """Unknown members of the body itself: what `meta` has inside is the supplier's own business."""
    return tuple(f"{operation}.{name[:MAX_NAME]}" for name in sorted(_TOP.decode(body).keys() - known)[:8])


def _readable(body: bytes, context: Context) -> dict[str, msgspec.Raw]:
    """A refused body's members, none when it has no one reading."""
    try:
        return decode_strict(_TOP, body, _limits(context))
    except CroupierError:
        return {}


def _echo(document: dict[str, msgspec.Raw], error: CroupierError) -> Echo:
    return Echo(
        request_uuid=_name(document, "request_uuid"),
        user=_name(document, "user"),
        is_incomplete=error.field in (None, ROOT) or error.field not in document,
    )


def _name(document: dict[str, msgspec.Raw], member: str) -> str | None:
    try:
        return _NAME.decode(document.get(member, b"null"))
    except msgspec.ValidationError:
        return None


def _salvage(document: dict[str, msgspec.Raw], context: Context, error: CroupierError) -> RefuseCredit | None:
    """What finance must know of a refused credit; None if it is no credit or does not say whose it is."""
    player_id, reference = _name(document, "user"), _name(document, "transaction_uuid")
    if context.operation.name not in CREDITS or player_id is None or reference is None:
        return None
    amount = bytes(document.get("amount", b"not given")).decode()
    return RefuseCredit(
        player_id=player_id,
        reference=reference,
        code=error.kind.code,
        detail=f"{context.operation.name}: {error.detail}",
        amount_text=amount[:MAX_NAME],
    )


def _limits(context: Context) -> JsonLimits:
    """`meta` is free and may hold any number; every amount of ours is read from its own text."""
    return structs.replace(context.limits, allows_exponents=True)
