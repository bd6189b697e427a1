"""The native protocol's webhooks: Standard Webhooks around the bodies of the callbacks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, final
from uuid import UUID

import msgspec

from croupier.errors import CroupierError
from croupier.moneypath.commands import (
    Action,
    CloseRound,
    CloseSession,
    RefuseCredit,
    Report,
    Rollback,
    Win,
    WinKind,
)
from croupier.providers.adapters.croupier_v1 import wire
from croupier.providers.adapters.croupier_v1.decode import find_contract, read_amount, read_moment
from croupier.providers.contract import Context, DecodeRefused, ProviderAccount
from croupier.providers.notices import Notice, NoticeReader, NoticeType
from croupier.providers.strict_json import decode_part, decode_strict
from croupier.providers.verification import RawRequest, Verified, verify_webhook_headers
from croupier.providers.vocabulary import MAX_NAME, Name, find_asset, malformed, read_session_id
from croupier_signing import WEBHOOK_WINDOW_S

CREDITS: Final = frozenset({NoticeType.JACKPOT_WON, NoticeType.ROUND_ROLLED_BACK})
"""Notices that give a player money: when one is refused, finance is told."""

UNTIED: Final = "untied_notice"
"""The kind of the break for a notice that cannot be tied to its fact."""

STATEMENT_READY: Final = "statement_ready"

_ANY: Final = msgspec.json.Decoder()
_ENVELOPE: Final = msgspec.json.Decoder(wire.NoticeBody)


@final
class NativeNotices:
    """`round.completed`, `round.rolled_back`, `jackpot.won`, `session.closed` and `statement.ready`."""

    @property
    def scheme(self) -> str:
        """Standard Webhooks."""
        return "standard_webhooks"

    def verify(self, raw: RawRequest, account: ProviderAccount, now: datetime) -> Verified:
        """Standard Webhooks with the account's inbound keys; the window is the specification's five minutes."""
        return verify_webhook_headers(raw, account.inbound_keys, now, window_s=WEBHOOK_WINDOW_S)

    def decode(self, verified: Verified, context: Context) -> Notice:
        """Read the envelope, then `data` by its type."""
        if type(verified) is not Verified:
            raise TypeError("only a verified request is decoded")
        envelope = decode_strict(_ENVELOPE, verified.raw.body, context.limits)
        occurred_at = read_moment(envelope.timestamp)
        if envelope.type not in _READERS:
            delivery_id = verified.nonce or ""
            return Notice(
                type=envelope.type, occurred_at=occurred_at, player_id="", order_key=delivery_id, actions=()
            )
        decoder, read = _READERS[envelope.type]
        try:
            return read(decode_part(decoder, envelope.data), context, verified)
        except CroupierError as error:
            raise DecodeRefused(_within_data(error), _salvage(envelope, error)) from None


def _within_data(error: CroupierError) -> CroupierError:
    """The same error, its member named as the sender sees it."""
    field = None if error.field is None else "data" if error.field == "$" else f"data.{error.field}"
    return CroupierError(error.kind, error.detail, field=field, reason=error.reason)


_Fact = wire.RoundCompletedData | wire.RoundRolledBackData | wire.JackpotWonData


def _notice(
    kind: NoticeType,
    body: _Fact,
    verified: Verified,
    action: Action | None,
    *,
    asset: str | None = None,
    amount: int | None = None,
) -> Notice:
    """A notice of a fact. Without the fact's reference it has no action: nothing moves, and a person looks at it."""
    session_id = _session_id(body.session_id)
    untied = Report(
        kind=UNTIED,
        subject=verified.nonce or "",
        explanation=f"a {kind} notice came without the reference of its fact; nothing moved",
        player_id=body.player_id,
        session_id=session_id,
        round_id=body.round_id,
        asset=asset,
        amount=amount,
    )
    return Notice(
        type=kind.value,
        occurred_at=read_moment(body.occurred_at),
        player_id=body.player_id,
        order_key=_order_key(body.session_id, body.round_id, body.player_id),
        actions=(action or untied,),
        session_id=session_id,
        round_id=body.round_id,
        reference=body.reference,
        asset=asset,
        amount=amount,
    )


def _read_completed(body: wire.RoundCompletedData, _: Context, verified: Verified) -> Notice:
    outcome = bytes(body.outcome)
    if not outcome.startswith(b"{"):
        raise malformed("outcome", "it must be an object")
    action = None
    if body.reference is not None:
        action = CloseRound(
            reference=body.reference,
            session_id=read_session_id(body.session_id),
            round_id=body.round_id,
            player_id=body.player_id,
            occurred_at=read_moment(body.occurred_at),
            outcome=outcome.decode(),
            fairness=None if body.fairness is None else msgspec.json.encode(body.fairness).decode(),
        )
    return _notice(NoticeType.ROUND_COMPLETED, body, verified, action)


def _read_rolled_back(body: wire.RoundRolledBackData, context: Context, verified: Verified) -> Notice:
    asset = None if body.asset is None else find_asset(body.asset, context, field="asset").code
    action = None
    if body.reference is not None:
        action = Rollback(
            reference=body.reference,
            target_reference=body.target_reference,
            player_id=body.player_id,
            occurred_at=read_moment(body.occurred_at),
            session_id=_session_id(body.session_id),
            round_id=body.round_id,
            asset=asset,
            reason=body.reason,
        )
    return _notice(NoticeType.ROUND_ROLLED_BACK, body, verified, action, asset=asset)


def _read_jackpot(body: wire.JackpotWonData, context: Context, verified: Verified) -> Notice:
    session_id = _session_id(body.session_id)
    asset = find_asset(body.asset, context, field="asset").code
    amount = read_amount(body.amount, "amount")
    contract = None if session_id is not None else find_contract(body, context, verified.raw.received_at)
    action = None
    if body.reference is not None:
        action = Win(
            reference=body.reference,
            player_id=body.player_id,
            asset=asset,
            amount=amount,
            occurred_at=read_moment(body.occurred_at),
            kind=WinKind.JACKPOT,
            session_id=session_id,
            round_id=body.round_id,
            game_id=body.game_id,
            close_round=body.close_round,
            contract=contract,
        )
    return _notice(NoticeType.JACKPOT_WON, body, verified, action, asset=asset, amount=amount)


def _session_id(text: str | None) -> UUID | None:
    return None if text is None else read_session_id(text)


def _read_session_closed(body: wire.SessionClosedData, _: Context, __: Verified) -> Notice:
    session_id, occurred_at = read_session_id(body.session_id), read_moment(body.occurred_at)
    reason = body.reason or "closed_by_provider"
    return Notice(
        type=NoticeType.SESSION_CLOSED.value,
        occurred_at=occurred_at,
        player_id=body.player_id,
        order_key=body.session_id,
        actions=(CloseSession(session_id=session_id, player_id=body.player_id, reason=reason),),
        session_id=session_id,
        reference=body.reference,
    )


def _read_statement(body: wire.StatementReadyData, context: Context, __: Verified) -> Notice:
    start, end = read_moment(body.period_from), read_moment(body.period_to)
    if start >= end:
        raise malformed("period_to", "it must be later than period_from")
    where = "" if body.url is None else f" at {body.url}"
    period = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
    explanation = f"statement {body.statement_id} from {period} is ready{where}"
    report = Report(player_id="", kind=STATEMENT_READY, subject=body.statement_id, explanation=explanation)
    return Notice(
        type=NoticeType.STATEMENT_READY.value,
        occurred_at=read_moment(body.occurred_at),
        player_id="",
        order_key=f"statement:{context.account.id}",
        actions=(report,),
        reference=body.statement_id,
    )


def _order_key(session_id: str | None, round_id: str | None, player_id: str) -> str:
    if session_id is None:
        return f"player:{player_id}"
    return session_id if round_id is None else f"{session_id}:{round_id}"


_Reader = Callable[[Any, Context, Verified], Notice]
_READERS: Final[dict[str, tuple[msgspec.json.Decoder[Any], _Reader]]] = {
    NoticeType.ROUND_COMPLETED.value: (msgspec.json.Decoder(wire.RoundCompletedData), _read_completed),
    NoticeType.ROUND_ROLLED_BACK.value: (msgspec.json.Decoder(wire.RoundRolledBackData), _read_rolled_back),
    NoticeType.JACKPOT_WON.value: (msgspec.json.Decoder(wire.JackpotWonData), _read_jackpot),
    NoticeType.SESSION_CLOSED.value: (msgspec.json.Decoder(wire.SessionClosedData), _read_session_closed),
    NoticeType.STATEMENT_READY.value: (msgspec.json.Decoder(wire.StatementReadyData), _read_statement),
}


def _salvage(envelope: wire.NoticeBody, error: CroupierError) -> RefuseCredit | None:
    """What finance must know of a refused credit; None if it is no credit or does not say whose it is."""
    if envelope.type not in CREDITS:
        return None
    try:
        document = decode_part(_ANY, envelope.data)
        reference = msgspec.convert(document["reference"], Name)
        player_id = msgspec.convert(document["player_id"], Name)
        amount = document.get("amount", "not given")
    except (CroupierError, msgspec.ValidationError, KeyError, TypeError, AttributeError):
        return None
    return RefuseCredit(
        player_id=player_id,
        reference=reference,
        code=error.kind.code,
        detail=f"{envelope.type}: {error.detail}",
        amount_text=str(amount)[:MAX_NAME],
    )


NOTICES: Final[NoticeReader] = NativeNotices()
