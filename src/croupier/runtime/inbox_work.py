"""The processing of webhooks put together: what the configuration says of it, and what is measured."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from croupier.inbox.drain import DrainEdge, DrainSettings, WorkRecord
from croupier.inbox.process import Patience
from croupier.inbox.queue import ProviderLevel
from croupier.inbox.worker import Keeping, run_inbox
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import Outcome
from croupier.providers.strict_json import JsonLimits
from croupier.runtime.config import Config
from croupier.runtime.live_keys import LiveAccounts
from croupier.telemetry.inbox_metrics import InboxLevel, InboxMetrics


def process_webhooks(
    config: Config,
    *,
    connect: Callable[[], Awaitable[Any]],
    submit: Callable[[Call], Awaitable[tuple[Outcome, ...]]],
    accounts: LiveAccounts,
    now: Callable[[], datetime],
    metrics: InboxMetrics,
    stop: asyncio.Event,
) -> Awaitable[None]:
    """Drain, measure and forget until told to stop."""
    inbox, limits = config.inbox, config.limits
    patience = Patience(attempts=inbox.attempts, wait_for_cause_s=inbox.wait_for_cause_s)
    settings = DrainSettings(
        claim=inbox.claim,
        in_hand=min(DrainSettings().in_hand, limits.lane_queue - 1),
        lease_s=inbox.lease_s,
        patience=patience,
        json=JsonLimits(max_depth=limits.json_depth, max_keys=limits.json_keys),
    )
    edge = DrainEdge(
        connect=connect,
        submit=submit,
        accounts=accounts,
        now=now,
        observe=lambda record: _observe(metrics, record),
        settings=settings,
    )
    return run_inbox(
        edge,
        Keeping(keep_s=inbox.keep_s, keep_refused=inbox.keep_refused),
        stop,
        observe_levels=lambda levels: metrics.note_level(_summed(levels, now())),
    )


def _observe(metrics: InboxMetrics, record: WorkRecord) -> None:
    metrics.note_processed(
        provider=record.provider, result=record.result, code=record.code, lag_s=record.lag_s
    )


def _summed(levels: Sequence[ProviderLevel], now: datetime) -> InboxLevel:
    return InboxLevel(
        depth=sum(level.depth for level in levels),
        lag_s=max((level.lag_s(now) for level in levels), default=0.0),
        dead=sum(level.dead for level in levels),
    )
