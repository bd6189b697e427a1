"""A background process: the inbox, the outbox and the duties, with lanes of its own for what they decide.

Any number of them may run, on any number of hosts: what one has taken and does not finish is taken by another.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import asyncpg
import structlog
import uvloop

from croupier import __version__
from croupier.ids import IdSource
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import BatchRecord, LaneSettings
from croupier.moneypath.lanes import Lanes
from croupier.operator.outbox.dispatch import run_outbox
from croupier.providers.breakers.desk import Breakers
from croupier.runtime.agreement_site import agreement_part
from croupier.runtime.breaker_work import build_breakers
from croupier.runtime.config import Config, load_config, timeout_policy
from croupier.runtime.config.outbox_keys import resolve_outbox
from croupier.runtime.database import app_settings, connect_app, create_pool
from croupier.runtime.duties import run_duties
from croupier.runtime.inbox_work import process_webhooks
from croupier.runtime.orders import Orders, follow_orders, read_first_orders, tell_ready
from croupier.runtime.outbox_metrics import observe_with
from croupier.runtime.rollout_guard import guard_rollouts
from croupier.runtime.timers.clock import ClockGuard
from croupier.runtime.timers.work import TimerParts, Timers
from croupier.runtime.wallet_work import MoneyGate, build_settling, open_gate, wallet_terms
from croupier.runtime.worker_keys import WorkerKeys
from croupier.telemetry.logs import set_up_logs
from croupier.telemetry.metrics import Metrics

_log = structlog.get_logger("croupier.background")

COURTESY: Final = 5
"""How much a background process steps back for the processes that answer providers (`nice`)."""

LANES: Final = 2
"""Fewest lanes of a background process: one decides while the other waits for the database. What they decide is rarely
about one player, so that they seldom wait for each other."""

PATIENCE_S: Final = 20.0
"""How long work in hand may take once the process was asked to end."""


class Background:
    """Everything that is done behind the callers' backs, built once from the configuration.

    Raises ConfigProblems for a secret of the outbox that cannot be used.
    """

    def __init__(self, config: Config, database_url: str) -> None:
        self._config = config
        self._url = database_url
        self._ids = IdSource()
        self._policy = timeout_policy(config.timeouts)
        self._metrics = Metrics(config.environment)
        self._metrics.note_build(__version__)
        self._stop = asyncio.Event()
        self._outbox = resolve_outbox(config, os.environ)
        limits = config.limits
        self._lanes = Lanes(
            max(LANES, config.lanes.count),
            self._connect_lane,
            self._stamp,
            LaneSettings(batch=limits.batch, queue=limits.lane_queue),
            self._observe_batch,
            self.ask_to_stop,
            wallet=wallet_terms(config),
        )

    def ask_to_stop(self) -> None:
        """Begin no more work; what is in hand is finished."""
        self._stop.set()

    async def move(self, pool: asyncpg.Pool, orders: Orders) -> None:
        """Go where the database has moved."""
        self._url = orders.database_url
        settings = app_settings(lane=False, application_name="croupier-background")
        pool.set_connect_args(self._url, server_settings=settings)
        await pool.expire_connections()

    async def run(
        self, *, on_ready: Callable[[], None], follow: Callable[[asyncpg.Pool], Awaitable[None]] | None = None
    ) -> None:
        """Work until asked to stop. A part that ends by a fault of its own ends the process, which is started again."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.ask_to_stop)
        pool = await create_pool(self._url, min_size=1, max_size=8 + len(self._outbox.endpoints))
        used = await pool.fetch("SELECT DISTINCT owner FROM account WHERE kind = 'jackpot_pool'")
        keys = self._keys()
        await keys.start(row["owner"] for row in used)
        self._lanes.start()
        keys.follow(self.ask_to_stop)
        breakers = build_breakers(self._config, pool, self._ids, _now, self._metrics.outbound)
        await breakers.look()
        gate = self._gate(breakers)
        watch = None if follow is None else asyncio.create_task(_as_coroutine(follow(pool)))
        tasks = [asyncio.create_task(part, name=name) for name, part in self._parts(pool, keys, gate).items()]
        following = asyncio.create_task(breakers.follow(), name="breakers")
        following.add_done_callback(self._note_end)
        for task in tasks:
            task.add_done_callback(self._note_end)
        on_ready()
        await self._stop.wait()
        _, late = await asyncio.wait(tasks, timeout=PATIENCE_S)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await gate.drain(PATIENCE_S)
        following.cancel()
        await breakers.look()
        await keys.finish()
        pool.terminate()
        if watch is not None:
            watch.cancel()

    def _gate(self, breakers: Breakers) -> MoneyGate:
        return open_gate(
            self._config,
            self._lanes,
            env=os.environ,
            breakers=breakers,
            ids=self._ids,
            now=_now,
            metrics=self._metrics.wallet,
        )

    def _parts(self, pool: asyncpg.Pool, keys: WorkerKeys, gate: MoneyGate) -> dict[str, Any]:
        submit = gate.submit
        settling = build_settling(
            self._config, gate, pool, ids=self._ids, now=_now, metrics=self._metrics.wallet
        )
        remote = {} if settling is None else {"wallet": settling.run(self._stop)}
        return remote | {
            "duties": run_duties(pool, submit, self._ids, _now, self._stop),
            "timers": self._timers(pool, gate).run(self._stop),
            "inbox": process_webhooks(
                self._config,
                connect=self._connect_lane,
                submit=submit,
                accounts=keys.accounts,
                now=_now,
                metrics=self._metrics.inbox,
                stop=self._stop,
            ),
            "outbox": run_outbox(
                pool,
                self._outbox,
                submit=submit,
                ids=self._ids,
                now=_now,
                stop=self._stop,
                observe=observe_with(self._metrics.outbox),
            ),
            "rollouts": guard_rollouts(
                pool,
                self._config,
                ids=self._ids,
                now=_now,
                metrics=self._metrics.rollouts,
                stop=self._stop,
            ),
            **agreement_part(
                self._config, pool, submit=submit, ids=self._ids, metrics=self._metrics, stop=self._stop
            ),
        }

    def _timers(self, pool: asyncpg.Pool, gate: MoneyGate) -> Timers:
        limits = self._config.limits
        parts = TimerParts(
            pool=pool,
            submit=gate.submit,
            ids=self._ids,
            policy=self._policy,
            metrics=self._metrics.sessions,
            now=_now,
            guard=ClockGuard(skew_s=limits.clock_skew_s, settle_s=limits.clock_settle_s),
        )
        return Timers(parts)

    def _note_end(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            _log.error("background_part_died", part=task.get_name(), exc_info=task.exception())
            self._stop.set()

    async def _connect_lane(self) -> asyncpg.Connection:
        return await connect_app(
            self._url,
            lane=True,
            application_name="croupier-background-lane",
            wallet_mode=self._config.wallet.mode,
        )

    def _keys(self) -> WorkerKeys:
        return WorkerKeys(
            self._config,
            os.environ,
            connect=lambda: connect_app(self._url, application_name="croupier-keys"),
            metrics=self._metrics.keys,
            now=_now,
        )

    def _stamp(self) -> Stamp:
        now = _now()
        bet_due_at = now + timedelta(seconds=self._config.limits.bet_grace_s)
        return Stamp(now, self._ids, bet_due_at, self._policy)

    def _observe_batch(self, record: BatchRecord) -> None:
        self._metrics.note_batch(size=record.size, result=record.result)


def _now() -> datetime:
    return datetime.now(UTC)


async def _as_coroutine(waited: Awaitable[None]) -> None:
    await waited


async def _serve(config: Config, orders: Orders) -> None:
    background = Background(config, orders.database_url)

    def follow(pool: asyncpg.Pool) -> Awaitable[None]:
        return follow_orders(lambda later: background.move(pool, later))

    await background.run(on_ready=tell_ready, follow=follow)


def main() -> None:
    """Run one background process; the orders are the first line of input."""
    orders = read_first_orders()
    config = load_config(None if orders.config_path is None else Path(orders.config_path), os.environ)
    set_up_logs(log_format=config.telemetry.log_format, level=config.telemetry.log_level)
    os.nice(COURTESY)
    uvloop.run(_serve(config, orders))


if __name__ == "__main__":
    main()
