"""The guards of rollouts at work: any number of processes may run them, one at a time judges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import asyncpg
import structlog

from croupier.governance.flags.guard import GuardLimits
from croupier.governance.flags.halt import judge_rollouts, take_turn
from croupier.ids import IdSource
from croupier.runtime.config import Config
from croupier.runtime.flag_work import AWAY
from croupier.telemetry.rollout_metrics import RolloutMetrics

PERIOD_S: Final = 5.0
"""How often rollouts are judged, by all processes together."""
LOOK_S: Final = 1.0
"""How often a process asks whether it is its turn."""
ANSWER_S: Final = 30.0
"""How long judging all rollouts may take."""

_log = structlog.get_logger("croupier.rollout")


def guard_limits(config: Config) -> GuardLimits:
    """When a rollout is halted, as the configuration says."""
    given = config.rollout
    return GuardLimits(
        window_s=given.window_s,
        min_launches=given.min_launches,
        error_percent=given.error_percent,
        launch_grace_s=given.launch_grace_s,
        settlement_lag_s=given.settlement_lag_s,
        late_settlements=given.late_settlements,
        mismatches=given.mismatches,
    )


async def guard_rollouts(
    pool: asyncpg.Pool,
    config: Config,
    *,
    ids: IdSource,
    now: Callable[[], datetime],
    metrics: RolloutMetrics,
    stop: asyncio.Event,
    look_s: float = LOOK_S,
) -> None:
    """Judge the rollouts whenever it is our turn, until told to stop. A database that is away is tried again."""
    limits = guard_limits(config)
    metrics.begin(config.successors().values())
    while not stop.is_set():
        try:
            async with asyncio.timeout(ANSWER_S):
                await take_and_judge(pool, limits, ids, now(), metrics)
        except AWAY as error:
            _log.warning("rollouts_not_judged", error=repr(error))
        try:
            await asyncio.wait_for(stop.wait(), look_s)
        except TimeoutError:
            continue


async def take_and_judge(
    pool: asyncpg.Pool, limits: GuardLimits, ids: IdSource, now: datetime, metrics: RolloutMetrics
) -> bool:
    """Judge if it is our turn; whether it was."""
    async with pool.acquire(timeout=ANSWER_S) as connection:
        if not await take_turn(connection, now, PERIOD_S):
            return False
        for halted in await judge_rollouts(connection, limits, ids, now):
            metrics.note_halt(provider=halted.provider)
            _log.error("rollout_halted", provider=halted.provider, reason=halted.reason)
    return True
