"""What the operator API answers with: money as text of minor units, times in UTC, ids prefixed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from croupier.ids import BREAK, ELIGIBILITY, JOURNAL, RESTRICTION, ROUND, SESSION, render_id
from croupier.money import render_minor
from croupier.moneypath.outcomes import Outcome
from croupier.wallet.accounts import CASH_FUND, RECEIVABLE, WALLET

Row = Mapping[str, Any]

_MONEY_OF_EVENT: Final = ("staked", "won", "contributed", "share_posted", "revenue_posted")


class MoneyView(Struct, frozen=True):
    """Minor units of an asset; a minus only where a change or a posting can be negative."""

    amount: str
    asset: str


class SessionView(Struct, frozen=True, kw_only=True):
    """A session as it is now. `launch_url` is null until the provider has confirmed the launch."""

    session_id: str
    state: str
    launch_url: str | None
    expires_at: datetime
    provider: str
    game_id: str
    player_id: str
    asset: str
    contract_id: str
    rounds_open: int
    staked: MoneyView
    won: MoneyView
    opened_at: datetime
    last_activity_at: datetime
    jurisdiction: str | None


class EventView(Struct, frozen=True, kw_only=True, rename={"from_state": "from", "to_state": "to"}):
    """One line of a session's history: `occurred_at` by the clock of `time_source`, `recorded_at` by ours."""

    seq: int
    cause: str
    code: str
    from_state: str | None
    to_state: str
    occurred_at: datetime
    time_source: str
    recorded_at: datetime
    reference: str | None
    round_id: str | None
    provider_round_id: str | None
    journal_ids: list[str]
    money: dict[str, MoneyView]
    correlation_id: str
    trace_id: str | None


class FundView(Struct, frozen=True):
    """What one fund of a wallet holds.

    Of a mirror of the operator's own wallet, `balance` is what that wallet said last, and `flowed` what has come into
    it through Croupier less what went out; null where Croupier's wallet is the one.
    """

    fund: str
    balance: MoneyView
    flowed: MoneyView | None = None


class WalletView(Struct, frozen=True, kw_only=True):
    """A player's wallet in one asset. `receivable` is what the player owes, never negative."""

    player_id: str
    asset: str
    funds: list[FundView]
    receivable: MoneyView


class CashView(Struct, frozen=True, kw_only=True):
    """A decision of the cashier: final, and the same again under the same reference.

    `journal_id` is null when nothing moved; `repeat` tells that the reference was decided before.
    """

    status: str
    code: str
    reference: str
    journal_id: str | None
    balance: MoneyView | None
    repeat: bool


class RoundView(Struct, frozen=True, kw_only=True):
    """A round as it is now. `outcome` and `fairness` are what the provider sent when it closed the round."""

    round_id: str
    provider_round_id: str
    session_id: str
    provider: str
    game_id: str
    state: str
    bets: int
    live_bets: int
    staked: MoneyView
    won: MoneyView
    opened_at: datetime
    closed_at: datetime | None
    outcome: Any
    fairness: Any


class PostingView(Struct, frozen=True, kw_only=True):
    """One side of an entry: positive increases what the account holds for its owner."""

    account: str
    owner: str
    fund: str
    session_id: str | None
    amount: MoneyView
    balance_after: MoneyView | None


class EntryView(Struct, frozen=True, kw_only=True):
    """A journal entry; its postings sum to zero."""

    journal_id: str
    kind: str
    cause: str
    provider: str
    reference: str
    player_id: str
    session_id: str | None
    provider_round_id: str | None
    asset: str
    occurred_at: datetime
    recorded_at: datetime
    correlation_id: str
    trace_id: str | None
    details: Any
    postings: list[PostingView]


class BreakView(Struct, frozen=True, kw_only=True):
    """Work for a person. `amount` is null when the difference has none."""

    break_id: str
    kind: str
    subject: str
    owner: str
    provider: str
    player_id: str
    session_id: str | None
    provider_round_id: str | None
    amount: MoneyView | None
    explanation: str
    opened_at: datetime


class GameView(Struct, frozen=True, kw_only=True):
    """A game of the catalogue; it is not `available` while calls to its provider are held back.

    `rtp_bps` is its theoretical return in basis points of the stake. Without `assets` it is played in whatever a
    contract covers.
    """

    game_id: str
    name: str
    provider: str
    group: str
    category: str
    version: str | None
    rtp_bps: int | None
    assets: list[str]
    jurisdictions: list[str]
    available: bool


class AssetView(Struct, frozen=True):
    """An asset and how many decimals one unit of it has."""

    code: str
    exponent: int


class LimitsView(Struct, frozen=True, kw_only=True):
    """The bounds a caller may meet."""

    body_bytes: int
    json_depth: int
    json_members: int
    page: int
    session_ttl_s: int
    idempotency_key_ttl_s: int


class MetaView(Struct, frozen=True, kw_only=True):
    """What answers here: versions, providers with their protocols, assets and limits."""

    version: str
    api_versions: list[str]
    environment: str
    providers: dict[str, str]
    assets: list[AssetView]
    limits: LimitsView


class RestrictionView(Struct, frozen=True, kw_only=True):
    """A reason why a player may not stake; it holds until `until` or until it is lifted, whichever is first."""

    restriction_id: str
    player_id: str
    kind: str
    reason: str
    placed_by: str
    placed_at: datetime
    until: datetime | None
    lifted_at: datetime | None
    lifted_by: str | None
    lift_reason: str | None


class RestrictionPage(Struct, frozen=True):
    """Restrictions, newest first, those that are over included; `next_cursor` is null on the last page."""

    restrictions: list[RestrictionView]
    next_cursor: str | None


class EligibilityView(Struct, frozen=True, kw_only=True):
    """A decision whether a player may open a game: `rules` are the pack and its version, `evidence` the facts.

    `session_id` and `expires_at` are null for a refusal.
    """

    eligibility_id: str
    player_id: str
    session_id: str | None
    granted: bool
    reason: str
    detail: str
    rules: str | None
    decided_at: datetime
    expires_at: datetime | None
    evidence: Any


class EligibilityPage(Struct, frozen=True):
    """Decisions, newest first; `next_cursor` is null on the last page."""

    decisions: list[EligibilityView]
    next_cursor: str | None


class SessionPage(Struct, frozen=True):
    """Sessions, newest first; `next_cursor` is null on the last page."""

    sessions: list[SessionView]
    next_cursor: str | None


class TimelinePage(Struct, frozen=True):
    """A session's history, oldest first; `next_cursor` is null on the last page."""

    session_id: str
    events: list[EventView]
    next_cursor: str | None


class RoundPage(Struct, frozen=True):
    """Rounds in the order of the provider's round ids; `next_cursor` is null on the last page."""

    rounds: list[RoundView]
    next_cursor: str | None


class JournalPage(Struct, frozen=True):
    """Journal entries, newest first; `next_cursor` is null on the last page."""

    entries: list[EntryView]
    next_cursor: str | None


class BreakPage(Struct, frozen=True):
    """Open breaks, oldest first; `next_cursor` is null on the last page."""

    breaks: list[BreakView]
    next_cursor: str | None


class GamePage(Struct, frozen=True):
    """Games by id; `next_cursor` is null on the last page."""

    games: list[GameView]
    next_cursor: str | None


def _id(prefix: str, value: Any) -> str | None:
    return None if value is None else render_id(prefix, value)


def _json(text: str | None) -> Any:
    return None if text is None else msgspec.Raw(text.encode())


def view_session(row: Row) -> SessionView:
    """A session's row as it is shown."""
    asset = row["asset"]
    return SessionView(
        session_id=render_id(SESSION, row["id"]),
        state=row["state"],
        launch_url=row["launch_url"],
        expires_at=row["expires_at"],
        provider=row["provider"],
        game_id=row["game_id"],
        player_id=row["player_id"],
        asset=asset,
        contract_id=row["contract_id"],
        rounds_open=row["rounds_open"],
        staked=MoneyView(row["staked"], asset),
        won=MoneyView(row["won"], asset),
        opened_at=row["opened_at"],
        last_activity_at=row["last_activity_at"],
        jurisdiction=row["jurisdiction"],
    )


def view_restriction(row: Row) -> RestrictionView:
    """A restriction's row as it is shown."""
    same = {name: row[name] for name in RestrictionView.__struct_fields__ if name != "restriction_id"}
    return RestrictionView(restriction_id=render_id(RESTRICTION, row["id"]), **same)


def view_ruling(row: Row) -> EligibilityView:
    """A decision's row as it is shown."""
    session_id = row["session_id"]
    return EligibilityView(
        eligibility_id=render_id(ELIGIBILITY, row["id"]),
        session_id=None if session_id is None else render_id(SESSION, session_id),
        granted=row["is_granted"],
        evidence=msgspec.json.decode(row["evidence"]),
        **{
            name: row[name] for name in ("player_id", "reason", "detail", "rules", "decided_at", "expires_at")
        },
    )


def view_event(row: Row, asset: str) -> EventView:
    """A line of history as it is shown; money that did not change is left out."""
    details = msgspec.json.decode(row["details"])
    return EventView(
        seq=row["seq"],
        cause=row["cause"],
        code=details["code"],
        from_state=row["from_state"],
        to_state=row["to_state"],
        occurred_at=row["occurred_at"],
        time_source=row["time_source"],
        recorded_at=row["recorded_at"],
        reference=details.get("reference"),
        round_id=_id(ROUND, row["round_id"]),
        provider_round_id=row["provider_round_id"],
        journal_ids=[render_id(JOURNAL, one) for one in row["journal_ids"]],
        money={name: MoneyView(details[name], asset) for name in _MONEY_OF_EVENT if name in details},
        correlation_id=row["correlation_id"],
        trace_id=row["trace_id"],
    )


def view_wallet(rows: list[Row], player_id: str, asset: str) -> WalletView:
    """What a player's balance rows say about one asset."""
    own = [row for row in rows if row["asset"] == asset]
    held = [_view_fund(row, asset) for row in own if row["kind"] == WALLET]
    owed = sum(int(row["balance"]) for row in own if row["kind"] == RECEIVABLE)
    return WalletView(
        player_id=player_id,
        asset=asset,
        funds=held or [FundView(CASH_FUND, MoneyView("0", asset))],
        receivable=MoneyView(render_minor(-owed), asset),
    )


def _view_fund(row: Row, asset: str) -> FundView:
    flowed = MoneyView(row["flowed"], asset) if row["is_mirror"] else None
    return FundView(row["fund"], MoneyView(row["balance"], asset), flowed)


def view_cash(outcome: Outcome) -> CashView:
    """A cashier's outcome as it is shown."""
    balance = None
    if outcome.balance is not None and outcome.asset is not None:
        balance = MoneyView(render_minor(outcome.balance), outcome.asset)
    return CashView(
        status=outcome.status,
        code=outcome.code,
        reference=outcome.reference,
        journal_id=_id(JOURNAL, outcome.journal_id),
        balance=balance,
        repeat=outcome.is_repeat,
    )


def view_round(row: Row) -> RoundView:
    """A round's row as it is shown."""
    asset = row["asset"]
    return RoundView(
        round_id=render_id(ROUND, row["id"]),
        provider_round_id=row["provider_round_id"],
        session_id=render_id(SESSION, row["session_id"]),
        provider=row["provider"],
        game_id=row["game_id"],
        state=row["state"],
        bets=row["bets"],
        live_bets=row["live_bets"],
        staked=MoneyView(row["staked"], asset),
        won=MoneyView(row["won"], asset),
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        outcome=_json(row["outcome"]),
        fairness=_json(row["fairness"]),
    )


def view_posting(row: Row) -> PostingView:
    """A posting's row as it is shown."""
    after = row["balance_after"]
    return PostingView(
        account=row["kind"],
        owner=row["owner"],
        fund=row["fund"],
        session_id=_id(SESSION, row["session_id"]),
        amount=MoneyView(row["amount"], row["asset"]),
        balance_after=None if after is None else MoneyView(after, row["asset"]),
    )


def view_entry(row: Row, postings: list[PostingView]) -> EntryView:
    """A journal entry's row as it is shown."""
    return EntryView(
        journal_id=render_id(JOURNAL, row["id"]),
        kind=row["kind"],
        cause=row["cause"],
        provider=row["provider"],
        reference=row["reference"],
        player_id=row["player_id"],
        session_id=_id(SESSION, row["session_id"]),
        provider_round_id=row["provider_round_id"],
        asset=row["asset"],
        occurred_at=row["occurred_at"],
        recorded_at=row["recorded_at"],
        correlation_id=row["correlation_id"],
        trace_id=row["trace_id"],
        details=_json(row["details"]),
        postings=postings,
    )


def view_break(row: Row) -> BreakView:
    """A break's row as it is shown."""
    amount, asset = row["amount"], row["asset"]
    return BreakView(
        break_id=render_id(BREAK, row["id"]),
        kind=row["kind"],
        subject=row["subject"],
        owner=row["owner"],
        provider=row["provider"],
        player_id=row["player_id"],
        session_id=_id(SESSION, row["session_id"]),
        provider_round_id=row["provider_round_id"],
        amount=None if amount is None or asset is None else MoneyView(amount, asset),
        explanation=row["explanation"],
        opened_at=row["opened_at"],
    )
