"""From Swipe Games' requests to canonical actions, once the session has said who plays, and in which currency.

No request names a player or a currency. What cannot be read without them is read in `complete`, so that a refused win
or refund can tell finance whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct, structs

from croupier.errors import AMOUNT_NOT_REPRESENTABLE, UNKNOWN_ASSET, UNKNOWN_SESSION, CroupierError
from croupier.ids import SESSION, MalformedId, parse_id
from croupier.money import AmountNotRepresentable, MalformedAmount, UnknownAsset, parse_decimal
from croupier.moneypath.commands import Action, Bet, ReadBalance, RefuseCredit, Rollback, Win, WinKind
from croupier.providers.adapters.swipegames_v1 import wire
from croupier.providers.contract import Context, Decoded, DecodeRefused, Seat, Unseated
from croupier.providers.strict_json import decode_tolerant
from croupier.providers.verification import Verified
from croupier.providers.vocabulary import MAX_NAME, malformed
from croupier_signing import canonical_query

REGULAR: Final = "regular"
FREE: Final = "free"

_AMOUNT: Final = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


class Request(Struct, frozen=True, gc=False):
    """What is known before the seat: the body, when it came, and the context it is read in."""

    body: Any
    received_at: datetime
    context: Context
    oddities: tuple[str, ...]


def decode_request(verified: Verified, context: Context) -> Unseated:
    """Read one verified request as far as that goes without its player.

    Raises DecodeRefused (malformed); `complete` of the result also unknown_asset and amount_not_representable.
    """
    if type(verified) is not Verified:
        raise TypeError("only a verified request is decoded")
    name, raw = context.operation.name, verified.raw
    decoder, read, references = _READERS[name]
    # The signature of a GET covers its query in this very form.
    document = canonical_query(raw.query) if name == "balance" else raw.body
    try:
        body, unknown = decode_tolerant(decoder, document, _KNOWN[name], context.limits)
    except CroupierError as error:
        raise DecodeRefused(error, None) from None
    request = Request(body, raw.received_at, context, tuple(f"{name}.{member}" for member in unknown))
    return Unseated(
        operation=context.operation,
        session_id=_session(body.session_id),
        complete=lambda seat: _complete(request, read, seat),
        references=references(body),
        echo=_echo(body),
        salvage=_lost_win(body) if name == "win" else None,
    )


def _lost_win(body: wire.WinBody) -> RefuseCredit:
    """A win of a session and an id that nobody knows: somebody may be owed money, and finance must find out who."""
    return RefuseCredit(
        player_id="",
        reference=str(body.tx_id),
        code=UNKNOWN_SESSION.code,
        detail=f"win: no session {body.session_id}",
        amount_text=body.amount[:MAX_NAME],
    )


def _complete(request: Request, read: _Reader, seat: Seat) -> Decoded:
    try:
        action = read(request, seat)
    except CroupierError as error:
        raise DecodeRefused(error, _salvage(request, seat, error), _echo(request.body)) from None
    return Decoded(
        operation=request.context.operation,
        player_id=seat.player_id,
        actions=(action,),
        echo=_echo(request.body),
        oddities=request.oddities,
    )


def _read_balance(request: Request, seat: Seat) -> ReadBalance:
    return ReadBalance(session_id=seat.session_id, player_id=seat.player_id, asset=seat.asset)


def _read_bet(request: Request, seat: Seat) -> Bet:
    body: wire.BetBody = request.body
    is_free = _is_free(body.type)
    amount = _amount(request, seat)
    return Bet(
        reference=str(body.tx_id),
        player_id=seat.player_id,
        asset=seat.asset,
        amount=0 if is_free else amount,
        occurred_at=request.received_at,
        session_id=seat.session_id,
        round_id=str(body.round_id),
        game_id=seat.game_id or "",
    )


def _read_win(request: Request, seat: Seat) -> Win:
    """A win ends its round: one comes for every round, with amount 0 when nothing was won."""
    body: wire.WinBody = request.body
    is_free = _is_free(body.type)
    amount = _amount(request, seat)
    return Win(
        reference=str(body.tx_id),
        player_id=seat.player_id,
        asset=seat.asset,
        amount=0 if is_free else amount,
        occurred_at=request.received_at,
        kind=WinKind.PROMO if body.fr_id and not is_free else WinKind.WIN,
        session_id=seat.session_id,
        round_id=str(body.round_id),
        close_round=True,
    )


def _read_refund(request: Request, seat: Seat) -> Rollback:
    """The whole bet as it is recorded: a refund names neither its type nor, reliably, its session."""
    body: wire.RefundBody = request.body
    _check_amount(body.amount)
    return Rollback(
        reference=str(body.tx_id),
        target_reference=str(body.orig_tx_id),
        player_id=seat.player_id,
        occurred_at=request.received_at,
        round_id=None if body.round_id is None else str(body.round_id),
        asset=seat.asset,
    )


_Reader = Callable[[Request, Seat], Action]
_References = Callable[[Any], tuple[str, ...]]
_READERS: Final[dict[str, tuple[msgspec.json.Decoder[Any], _Reader, _References]]] = {
    "balance": (msgspec.json.Decoder(wire.BalanceQuery), _read_balance, lambda _: ()),
    "bet": (msgspec.json.Decoder(wire.BetBody), _read_bet, lambda _: ()),
    "win": (msgspec.json.Decoder(wire.WinBody), _read_win, lambda body: (str(body.tx_id),)),
    "refund": (
        msgspec.json.Decoder(wire.RefundBody),
        _read_refund,
        lambda body: (str(body.orig_tx_id), str(body.tx_id)),
    ),
}


def _names(body: type[Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in structs.fields(body))


_KNOWN: Final = {
    "balance": _names(wire.BalanceQuery),
    "bet": _names(wire.BetBody),
    "win": _names(wire.WinBody),
    "refund": _names(wire.RefundBody),
}


def _echo(body: Any) -> UUID | None:
    """The transaction a refund is answered under when nobody knows whose it is."""
    return body.tx_id if isinstance(body, wire.RefundBody) else None


def _session(text: str) -> UUID | None:
    """Our session; None for an id that we never gave out, whatever it looks like: a reference may still be known."""
    try:
        return parse_id(SESSION, text)
    except MalformedId:
        return None


def _is_free(kind: str) -> bool:
    if kind not in (REGULAR, FREE):
        raise malformed("type", "it must be regular or free")
    return kind == FREE


def _check_amount(text: str) -> None:
    if len(text) > wire.MAX_AMOUNT or _AMOUNT.fullmatch(text) is None:
        raise malformed("amount", "it must be digits, an optional point with digits after, no leading zero")


def _amount(request: Request, seat: Seat) -> int:
    text: str = request.body.amount
    _check_amount(text)
    try:
        return parse_decimal(text, request.context.account.assets.get(seat.asset))
    except MalformedAmount as error:
        raise malformed("amount", str(error)) from None
    except AmountNotRepresentable as error:
        raise CroupierError(AMOUNT_NOT_REPRESENTABLE, str(error), field="amount") from None
    except UnknownAsset:
        raise CroupierError(UNKNOWN_ASSET, "the session's currency is not configured any more") from None


def _salvage(request: Request, seat: Seat, error: CroupierError) -> RefuseCredit | None:
    """What finance must know of a refused credit; None for a bet or a question."""
    body = request.body
    if not isinstance(body, wire.WinBody | wire.RefundBody):
        return None
    return RefuseCredit(
        player_id=seat.player_id,
        reference=str(body.tx_id),
        code=error.kind.code,
        detail=f"{request.context.operation.name}: {error.detail}",
        amount_text=body.amount[:MAX_NAME],
    )
