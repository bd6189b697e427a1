"""From the native protocol's bodies to canonical actions. A refused credit leaves something for finance."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from croupier.errors import (
    AMOUNT_NOT_REPRESENTABLE,
    CONTRACT_MISSING,
    CroupierError,
)
from croupier.money import (
    AmountNotRepresentable,
    MalformedAmount,
    parse_minor,
    split_statistical,
)
from croupier.moneypath.commands import (
    Bet,
    CloseRound,
    Contract,
    ReadBalance,
    RefuseCredit,
    Rollback,
    Win,
    WinKind,
)
from croupier.providers.adapters.croupier_v1 import wire
from croupier.providers.contract import Context, Decoded, DecodeRefused
from croupier.providers.strict_json import decode_strict
from croupier.providers.verification import Verified
from croupier.providers.vocabulary import MAX_NAME, Name, find_asset, malformed, read_session_id

FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 9998
CREDITS: Final = frozenset({"win", "bet_win", "rollback"})
"""Operations that give a player money: when one is refused, finance is told."""

_ANY: Final = msgspec.json.Decoder()
_KINDS: Final = {kind.value: kind for kind in WinKind}


def decode_request(verified: Verified, context: Context) -> Decoded:
    """Read one verified request.

    Raises DecodeRefused: malformed, unknown_session, unknown_asset, amount_not_representable,
    contract_missing.
    """
    if type(verified) is not Verified:
        raise TypeError("only a verified request is decoded")
    decoder, read = _READERS[context.operation.name]
    raw = verified.raw
    try:
        return read(decode_strict(decoder, raw.body, context.limits), context, raw.received_at)
    except CroupierError as error:
        raise DecodeRefused(error, _salvage(raw.body, context, error)) from None


def _read_balance(body: wire.BalanceBody, context: Context, _: datetime) -> Decoded:
    action = ReadBalance(
        session_id=read_session_id(body.session_id),
        player_id=body.player_id,
        asset=_asset(body.asset, context),
    )
    return Decoded(operation=context.operation, player_id=body.player_id, actions=(action,))


def _read_bet(body: wire.BetBody, context: Context, _: datetime) -> Decoded:
    contribution, contribution_text = _contribution(body.jackpot_contribution)
    action = Bet(
        reference=body.reference,
        player_id=body.player_id,
        asset=_asset(body.asset, context),
        amount=read_amount(body.amount, "amount"),
        occurred_at=read_moment(body.occurred_at),
        session_id=read_session_id(body.session_id),
        round_id=body.round_id,
        game_id=body.game_id,
        contribution=contribution,
        contribution_text=contribution_text,
    )
    return Decoded(operation=context.operation, player_id=body.player_id, actions=(action,))


def _read_win(body: wire.WinBody, context: Context, received_at: datetime) -> Decoded:
    kind = _KINDS.get(body.kind)
    if kind is None:
        raise malformed("kind", "it must be win, jackpot or promo")
    if kind is WinKind.WIN:
        _require_session_and_round(body)
    asset = find_asset(body.asset, context, field="asset").code
    session_id = None if body.session_id is None else read_session_id(body.session_id)
    action = Win(
        reference=body.reference,
        player_id=body.player_id,
        asset=asset,
        amount=read_amount(body.amount, "amount"),
        occurred_at=read_moment(body.occurred_at),
        kind=kind,
        session_id=session_id,
        round_id=body.round_id,
        game_id=body.game_id,
        close_round=body.close_round,
        contract=None if session_id is not None else find_contract(body, context, received_at),
    )
    return Decoded(operation=context.operation, player_id=body.player_id, actions=(action,))


def _read_bet_win(body: wire.BetWinBody, context: Context, _: datetime) -> Decoded:
    contribution, contribution_text = _contribution(body.jackpot_contribution)
    asset, session_id, occurred_at = (
        find_asset(body.asset, context, field="asset").code,
        read_session_id(body.session_id),
        read_moment(body.occurred_at),
    )
    bet = Bet(
        reference=body.bet.reference,
        player_id=body.player_id,
        asset=asset,
        amount=read_amount(body.bet.amount, "bet.amount"),
        occurred_at=occurred_at,
        session_id=session_id,
        round_id=body.round_id,
        game_id=body.game_id,
        contribution=contribution,
        contribution_text=contribution_text,
    )
    win = Win(
        reference=body.win.reference,
        player_id=body.player_id,
        asset=asset,
        amount=read_amount(body.win.amount, "win.amount"),
        occurred_at=occurred_at,
        kind=WinKind.WIN,
        session_id=session_id,
        round_id=body.round_id,
        game_id=body.game_id,
        close_round=body.close_round,
    )
    return Decoded(operation=context.operation, player_id=body.player_id, actions=(bet, win))


def _read_rollback(body: wire.RollbackBody, context: Context, _: datetime) -> Decoded:
    action = Rollback(
        reference=body.reference,
        target_reference=body.target_reference,
        player_id=body.player_id,
        occurred_at=read_moment(body.occurred_at),
        session_id=None if body.session_id is None else read_session_id(body.session_id),
        round_id=body.round_id,
        asset=None if body.asset is None else find_asset(body.asset, context, field="asset").code,
        reason=body.reason,
    )
    return Decoded(operation=context.operation, player_id=body.player_id, actions=(action,))


def _read_close_round(body: wire.CloseRoundBody, context: Context, _: datetime) -> Decoded:
    outcome = bytes(body.outcome)
    if not outcome.startswith(b"{"):
        raise malformed("outcome", "it must be an object")
    action = CloseRound(
        reference=body.reference,
        session_id=read_session_id(body.session_id),
        round_id=body.round_id,
        player_id=body.player_id,
        occurred_at=read_moment(body.occurred_at),
        outcome=outcome.decode(),
        fairness=None if body.fairness is None else msgspec.json.encode(body.fairness).decode(),
    )
    return Decoded(operation=context.operation, player_id=body.player_id, actions=(action,))


_Reader = Callable[[Any, Context, datetime], Decoded]
_READERS: Final[dict[str, tuple[msgspec.json.Decoder[Any], _Reader]]] = {
    "balance": (msgspec.json.Decoder(wire.BalanceBody), _read_balance),
    "bet": (msgspec.json.Decoder(wire.BetBody), _read_bet),
    "win": (msgspec.json.Decoder(wire.WinBody), _read_win),
    "bet_win": (msgspec.json.Decoder(wire.BetWinBody), _read_bet_win),
    "rollback": (msgspec.json.Decoder(wire.RollbackBody), _read_rollback),
    "close_round": (msgspec.json.Decoder(wire.CloseRoundBody), _read_close_round),
}


def _require_session_and_round(body: wire.WinBody) -> None:
    for field, value in (("session_id", body.session_id), ("round_id", body.round_id)):
        if value is None:
            raise malformed(field, "it is required; only jackpot and promo wins may leave it out")


def _asset(code: str, context: Context) -> str:
    return find_asset(code, context, field="asset").code


def read_amount(text: str, field: str) -> int:
    """Minor units; raises CroupierError: malformed, amount_not_representable."""
    try:
        return parse_minor(text)
    except MalformedAmount as error:
        raise malformed(field, str(error)) from None
    except AmountNotRepresentable as error:
        raise CroupierError(AMOUNT_NOT_REPRESENTABLE, str(error), field=field) from None


def _contribution(text: str | None) -> tuple[int, str | None]:
    """The part that is money, in minor units, beside the text: what is finer than the asset moves nothing."""
    if text is None:
        return 0, None
    try:
        exact, kept = split_statistical(text)
    except MalformedAmount as error:
        raise malformed("jackpot_contribution", str(error)) from None
    except AmountNotRepresentable as error:
        raise CroupierError(AMOUNT_NOT_REPRESENTABLE, str(error), field="jackpot_contribution") from None
    return exact or 0, kept


def read_moment(value: datetime) -> datetime:
    """A time in UTC that the database can keep; raises CroupierError (malformed)."""
    # Beyond these years the database would keep an infinity instead of the time.
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise malformed("occurred_at", f"it must lie between the years {FIRST_YEAR} and {LAST_YEAR}")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def find_contract(body: wire.WinBody | wire.JackpotWonData, context: Context, at: datetime) -> Contract:
    """The terms of a win outside a session; raises CroupierError (contract_missing)."""
    contract = context.account.contract_for(asset=body.asset, game_id=body.game_id, at=at)
    if contract is None:
        detail = f"no contract covers {body.kind} wins in {body.asset} outside a session"
        raise CroupierError(CONTRACT_MISSING, detail, field="session_id")
    return contract


def _salvage(body: bytes, context: Context, error: CroupierError) -> RefuseCredit | None:
    """What finance must know of a refused credit; None if it is no credit or does not say whose it is."""
    if context.operation.name not in CREDITS:
        return None
    try:
        document = decode_strict(_ANY, body, context.limits)
        part = document["win"] if context.operation.name == "bet_win" else document
        reference = msgspec.convert(part["reference"], Name)
        player_id = msgspec.convert(document["player_id"], Name)
        amount = part.get("amount", "not given")
    except (CroupierError, msgspec.ValidationError, KeyError, TypeError, AttributeError):
        return None
    return RefuseCredit(
        player_id=player_id,
        reference=reference,
        code=error.kind.code,
        detail=f"{context.operation.name}: {error.detail}",
        amount_text=str(amount)[:MAX_NAME],
    )
