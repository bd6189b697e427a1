"""One sample event of each type, for the reference page and for `croupier events trigger`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from croupier.events import (
    BREAK_OPENED,
    BREAKER_OPENED,
    ENDPOINT_DISABLED,
    MONEY_MOVED,
    ROLLOUT_HALTED,
    ROUND_CLOSED,
    SESSION_STATE_CHANGED,
    BreakerOpened,
    BreakOpened,
    EndpointDisabled,
    EventData,
    Money,
    MoneyMoved,
    PostingTold,
    RolloutHalted,
    RoundClosed,
    SessionStateChanged,
)
from croupier.ids import BREAK, JOURNAL, ROUND, SESSION, render_id

_SUBJECT: Final = {
    "player_id": "sample-player",
    "provider": "sandbox",
    "correlation_id": "sample-0001",
}
_SESSION: Final[dict[str, Any]] = {
    **_SUBJECT,
    "session_id": render_id(SESSION, UUID(int=1)),
    "game_id": "dice",
    "asset": "EUR",
}


def render_sample(type_: str, now: datetime) -> EventData:
    """What an event of this type could say, if it happened `now`; its ids are of nothing that exists."""
    return _SAMPLES[type_](now)


def _state_changed(now: datetime) -> EventData:
    return SessionStateChanged(
        **_SESSION,
        from_state="launched",
        to_state="active",
        cause="bet",
        code="ok",
        staked="250",
        won="0",
        seq=3,
        occurred_at=now - timedelta(milliseconds=40),
        recorded_at=now,
    )


def _round_closed(now: datetime) -> EventData:
    return RoundClosed(
        **_SESSION,
        round_id=render_id(ROUND, UUID(int=2)),
        provider_round_id="round-1",
        staked="250",
        won="500",
        bets=1,
        closed_at=now,
    )


def _money_moved(now: datetime) -> EventData:
    return MoneyMoved(
        **_SUBJECT,
        journal_id=render_id(JOURNAL, UUID(int=3)),
        kind="bet",
        reference="bet-1",
        session_id=render_id(SESSION, UUID(int=1)),
        round_id="round-1",
        amount=Money("-250", "EUR"),
        balance="9750",
        postings=(
            PostingTold("player_wallet", "sample-player", "cash", "-250"),
            PostingTold("operator_clearing", "", "", "250"),
        ),
        cause="callback",
        occurred_at=now - timedelta(milliseconds=40),
        recorded_at=now,
    )


def _break_opened(now: datetime) -> EventData:
    return BreakOpened(
        **_SUBJECT,
        break_id=render_id(BREAK, UUID(int=4)),
        kind="refused_credit",
        subject="win-1:reference_conflict",
        owner="finance",
        session_id=render_id(SESSION, UUID(int=1)),
        round_id="round-1",
        asset="EUR",
        amount="500",
        explanation="the win win-1 came with another amount than before",
        opened_at=now,
    )


def _breaker_opened(now: datetime) -> EventData:
    return BreakerOpened(
        provider="sandbox",
        operation="launch",
        cause="5 of 10 calls failed",
        failures=5,
        opened_at=now,
        retry_at=now + timedelta(seconds=30),
    )


def _rollout_halted(now: datetime) -> EventData:
    return RolloutHalted(
        provider="sandbox_v2",
        cause="7 of 40 launches failed, more than 10%",
        share_bps=500,
        launches=40,
        failed=7,
        late_settlements=0,
        mismatches=0,
        halted_at=now,
    )


def _endpoint_disabled(now: datetime) -> EventData:
    return EndpointDisabled(
        endpoint="shop",
        because="no event arrived for 120 hours; the last error: answered 503",
        failing_since=now - timedelta(days=5),
        last_error="answered 503",
        disabled_at=now,
    )


_SAMPLES: Final[Mapping[str, Callable[[datetime], EventData]]] = {
    SESSION_STATE_CHANGED: _state_changed,
    ROUND_CLOSED: _round_closed,
    MONEY_MOVED: _money_moved,
    BREAK_OPENED: _break_opened,
    BREAKER_OPENED: _breaker_opened,
    ROLLOUT_HALTED: _rollout_halted,
    ENDPOINT_DISABLED: _endpoint_disabled,
}
