"""Rows: how states and effects cross to the database and back. Field order is that of the composite types in SQL.

Amounts travel as text in both directions: exact at any size, and faster than any numeric codec.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import structs

from croupier.moneypath.facts import Break, Entry, Noticed, Posted, Reference, StoredAnswer, Token
from croupier.play.eligibility import PlayTerms, Ruling
from croupier.play.restriction import Restriction
from croupier.play.round import Round, RoundChange
from croupier.play.session import Change, Opening, Session, SessionEvent
from croupier.play.timeouts import Timer
from croupier.play.unknown import Resolution, UnknownOutcome
from croupier.wallet.accounts import WALLET, AccountKey, Leg, account_key
from croupier.wallet.calls import WalletCall

Row = tuple[Any, ...]

_MONEY_OF_CHANGE: Final = ("staked", "won", "contributed", "share_posted", "revenue_posted")


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def reference_row(reference: Reference) -> Row:
    """A decided reference as `reference_row`."""
    return (
        reference.provider,
        reference.reference,
        reference.bucket,
        reference.action,
        reference.target_reference,
        reference.player_id,
        reference.asset,
        _text(reference.amount),
        reference.session_id,
        reference.provider_round_id,
        reference.game_id,
        reference.status,
        reference.code,
        reference.journal_id,
        _text(reference.balance),
        reference.rolled_back_by,
        reference.request_id,
        reference.recorded_at,
    )


def read_reference(row: Sequence[Any]) -> Reference:
    """A decided reference from `reference_row`."""
    fields = list(row)
    fields[7], fields[14] = _number(fields[7]), _number(fields[14])
    return Reference(*fields)


def session_row(session: Session) -> Row:
    """A session's state as `session_row`."""
    return (
        session.bucket,
        session.id,
        session.player_id,
        session.provider,
        session.game_id,
        session.asset,
        session.state,
        session.seq,
        session.rounds_open,
        str(session.staked),
        str(session.won),
        str(session.contributed),
        str(session.share_posted),
        str(session.revenue_posted),
        session.contract_id,
        session.share_bps,
        session.jackpot_pool,
        session.promo_source,
        session.launch_url,
        session.opened_at,
        session.expires_at,
        session.last_activity_at,
    )


def read_session(row: Sequence[Any]) -> Session:
    """A session's state from `session_row`."""
    fields = list(row)
    fields[9:14] = [int(text) for text in fields[9:14]]
    return Session(*fields)


def round_row(round_: Round) -> Row:
    """A round's state as `round_row`."""
    return (
        round_.bucket,
        round_.session_id,
        round_.provider_round_id,
        round_.id,
        round_.state,
        round_.bets,
        round_.live_bets,
        str(round_.staked),
        str(round_.won),
        round_.bet_due_at,
        round_.outcome,
        round_.fairness,
        round_.opened_at,
        round_.closed_at,
    )


def read_round(row: Sequence[Any]) -> Round:
    """A round's state from `round_row`."""
    fields = list(row)
    fields[7], fields[8] = int(fields[7]), int(fields[8])
    return Round(*fields)


def entry_row(entry: Entry) -> Row:
    """A journal entry as `entry_row`, without its legs."""
    return (
        entry.bucket,
        entry.id,
        entry.kind,
        entry.provider,
        entry.reference,
        entry.player_id,
        entry.session_id,
        entry.provider_round_id,
        entry.asset,
        entry.cause,
        entry.details,
        entry.occurred_at,
        entry.recorded_at,
        entry.correlation_id,
        entry.trace_id,
    )


def posting_rows(entry: Entry, posted: Iterable[Posted]) -> list[Row]:
    """An entry's postings as `posting_row`, numbered from 1."""
    return [
        (
            entry.bucket,
            entry.id,
            position,
            one.leg.kind,
            one.leg.owner,
            one.leg.asset,
            one.leg.fund,
            one.leg.session_id,
            str(one.leg.amount),
            _text(one.balance_after),
        )
        for position, one in enumerate(posted, 1)
    ]


def read_posting(row: Sequence[Any]) -> tuple[UUID, Leg]:
    """A posting from `posting_row`: its entry's id and the leg."""
    return row[1], Leg(row[3], row[4], row[5], row[6], int(row[8]), row[7])


def account_row(bucket: int, key: AccountKey, balance: int) -> Row:
    """A materialised balance as `account_row`."""
    return (bucket, key.owner, key.kind, key.asset, key.fund, str(balance))


def read_account(row: Sequence[Any]) -> tuple[AccountKey, int]:
    """A materialised balance from `account_row`."""
    return account_key(row[2], row[1], row[3], row[4], bucket=row[0]), int(row[5])


def break_row(found: Break) -> Row:
    """A break as `break_row`."""
    return tuple(getattr(found, name) for name in Break.__struct_fields__)


def answer_row(answer: StoredAnswer) -> Row:
    """A stored answer as `response_row`."""
    return tuple(getattr(answer, name) for name in StoredAnswer.__struct_fields__)


def token_row(token: Token) -> Row:
    """A session token as `token_row`."""
    return tuple(getattr(token, name) for name in Token.__struct_fields__)


def ruling_row(ruling: Ruling) -> Row:
    """A decision on eligibility as `ruling_row`."""
    return tuple(getattr(ruling, name) for name in Ruling.__struct_fields__)


def terms_row(ruling: Ruling, terms: PlayTerms) -> Row:
    """A session's terms as `play_terms_row`."""
    return (
        ruling.bucket,
        ruling.session_id,
        ruling.id,
        terms.jurisdiction,
        terms.rules,
        _text(terms.stake_cap),
        terms.idle_close_s,
    )


def read_terms(row: Sequence[Any]) -> tuple[UUID, PlayTerms]:
    """A session's id and its terms from `play_terms_row`."""
    terms = PlayTerms(jurisdiction=row[3], rules=row[4], stake_cap=_number(row[5]), idle_close_s=row[6])
    return row[1], terms


def restriction_row(restriction: Restriction) -> Row:
    """A restriction as `restriction_row`."""
    return tuple(getattr(restriction, name) for name in Restriction.__struct_fields__)


def timer_row(timer: Timer) -> Row:
    """A session's timer as `timer_row`."""
    return tuple(getattr(timer, name) for name in Timer.__struct_fields__)


def unknown_row(unknown: UnknownOutcome) -> Row:
    """An unknown outcome as `unknown_row`."""
    return tuple(getattr(unknown, name) for name in UnknownOutcome.__struct_fields__)


def resolution_row(resolution: Resolution) -> Row:
    """How a launch became known as `resolution_row`."""
    return tuple(getattr(resolution, name) for name in Resolution.__struct_fields__)


def wallet_call_row(call: WalletCall) -> Row:
    """A wallet call as `wallet_call_row`."""
    fields = list(structs.astuple(call))
    for place in _AMOUNTS_OF_CALL:
        fields[place] = _text(fields[place])
    return tuple(fields)


def read_wallet_call(row: Sequence[Any]) -> WalletCall:
    """A wallet call from `wallet_call_row`."""
    fields = list(row)
    for place in _AMOUNTS_OF_CALL:
        fields[place] = _number(fields[place])
    return WalletCall(**dict(zip(WalletCall.__struct_fields__, fields, strict=True)))


_AMOUNTS_OF_CALL: Final = tuple(
    WalletCall.__struct_fields__.index(name) for name in ("amount", "moved", "balance")
)


def told_row(bucket: int, key: AccountKey, told: int) -> Row:
    """What a player has by the operator's wallet as `told_row`."""
    return (bucket, key.owner, key.asset, key.fund, str(told), None)


def read_told(row: Sequence[Any]) -> tuple[AccountKey, int, int]:
    """What a player is told to have, and what of it was not sent to the operator's wallet yet, from `told_row`."""
    return AccountKey(WALLET, row[1], row[2], row[3]), int(row[4]), int(row[5])


def noticed_row(noticed: Noticed) -> Row:
    """A win that a notice paid as `noticed_row`."""
    return (
        noticed.bucket,
        noticed.session_id,
        noticed.provider_round_id,
        noticed.action,
        str(noticed.amount),
        noticed.reference,
        noticed.callback,
    )


def read_noticed(row: Sequence[Any]) -> Noticed:
    """A win that a notice paid from `noticed_row`."""
    return Noticed(row[0], row[1], row[2], row[3], int(row[4]), row[5])


def event_row(event: SessionEvent) -> Row:
    """A session event as `event_row`; what it changed becomes the JSON text `details`."""
    return (
        event.bucket,
        event.session_id,
        event.seq,
        event.from_state,
        event.to_state,
        event.cause,
        event.provider_round_id,
        event.journal_ids,
        event.occurred_at,
        event.time_source,
        event.recorded_at,
        event.correlation_id,
        event.trace_id,
        render_details(event),
    )


def render_details(event: SessionEvent) -> str:
    """An event's change as JSON: what is zero or absent is left out, and money is text of minor units."""
    details: dict[str, Any] = {"code": event.code}
    if event.reference is not None:
        details["reference"] = event.reference
    change = event.change
    for name in _MONEY_OF_CHANGE:
        value = getattr(change, name)
        if value:
            details[name] = str(value)
    if change.rounds_open:
        details["rounds_open"] = change.rounds_open
    if change.opening is not None:
        details["opening"] = change.opening
    if change.launch_url is not None:
        details["launch_url"] = change.launch_url
    if change.settles_rounds:
        details["settles_rounds"] = True
    if change.round is not None:
        details["round"] = _render_round_change(change.round)
    return msgspec.json.encode(details).decode()


def _render_round_change(change: RoundChange) -> dict[str, Any]:
    details: dict[str, Any] = {}
    for name in RoundChange.__struct_fields__:
        value = getattr(change, name)
        if value not in (None, 0, False):
            details[name] = str(value) if name in ("staked", "won") else value
    return details


def read_event(row: Mapping[str, Any]) -> SessionEvent:
    """A session event from its table row, by column name."""
    details = msgspec.json.decode(row["details"])
    opening = details.get("opening")
    change = Change(
        **{name: int(details.get(name, "0")) for name in _MONEY_OF_CHANGE},
        rounds_open=details.get("rounds_open", 0),
        opening=None if opening is None else msgspec.convert(opening, Opening),
        launch_url=details.get("launch_url"),
        round=_read_round_change(details.get("round")),
        settles_rounds=details.get("settles_rounds", False),
    )
    return SessionEvent(
        bucket=row["bucket"],
        session_id=row["session_id"],
        seq=row["seq"],
        from_state=row["from_state"],
        to_state=row["to_state"],
        cause=row["cause"],
        provider_round_id=row["provider_round_id"],
        journal_ids=tuple(row["journal_ids"]),
        occurred_at=row["occurred_at"],
        time_source=row["time_source"],
        recorded_at=row["recorded_at"],
        correlation_id=row["correlation_id"],
        trace_id=row["trace_id"],
        reference=details.get("reference"),
        code=details["code"],
        change=change,
    )


def _read_round_change(details: dict[str, Any] | None) -> RoundChange | None:
    if details is None:
        return None
    for name in ("staked", "won"):
        if name in details:
            details[name] = int(details[name])
    return msgspec.convert(details, RoundChange)
