"""The breakers put together: what the configuration says of them, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import asyncpg
from msgspec import structs

from croupier.ids import IdSource
from croupier.operator.wallet.endpoints import WALLET
from croupier.providers.breakers.desk import Breakers
from croupier.providers.breakers.machine import Breaker, BreakerSettings
from croupier.providers.breakers.store import Endpoint
from croupier.runtime.config import Config
from croupier.telemetry.outbound_metrics import OutboundMetrics


def breaker_settings(config: Config) -> BreakerSettings:
    """When breakers open and how they close."""
    given = config.breakers
    return BreakerSettings(
        window_s=given.window_s,
        min_calls=given.min_calls,
        failure_percent=given.failure_percent,
        slow_s=given.slow_s,
        slow_percent=given.slow_percent,
        open_s=given.open_s,
        open_cap_s=given.open_cap_s,
        probes=given.probes,
        probe_lease_s=given.probe_lease_s,
    )


def build_breakers(
    config: Config, pool: asyncpg.Pool, ids: IdSource, now: Callable[[], datetime], metrics: OutboundMetrics
) -> Breakers:
    """The breakers of one process; somebody has to `follow` them."""

    def observe(known: Mapping[Endpoint, Breaker]) -> None:
        for endpoint, breaker in known.items():
            metrics.note_state(
                provider=endpoint.provider, operation=endpoint.operation, state=breaker.state.value
            )

    settings = breaker_settings(config)
    wallet = structs.replace(settings, open_cap_s=config.wallet.breaker_open_cap_s)
    return Breakers(pool, settings, ids, now, observe, own={WALLET: wallet})
