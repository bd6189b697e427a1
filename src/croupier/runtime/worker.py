"""A worker process: its lanes, the provider callbacks and the operator API, on a socket the supervisor listens on."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import structlog
import uvicorn
import uvloop

from croupier import __version__
from croupier.ids import IdSource
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import BatchRecord, LaneSettings
from croupier.moneypath.lanes import Lanes
from croupier.operator.deps import LaunchRecord, OperatorRecord
from croupier.providers.arrival import BodyLimits
from croupier.providers.breakers.desk import Breakers
from croupier.providers.callbacks import Callbacks, CallRecord, Edge, EdgeLimits
from croupier.providers.shadow.live import LiveCall
from croupier.providers.shadow.tap import LOST, Tap, TapSettings
from croupier.providers.strict_json import JsonLimits
from croupier.runtime.breaker_work import build_breakers
from croupier.runtime.config import Config, load_config, timeout_policy
from croupier.runtime.database import app_settings, connect_app, create_pool
from croupier.runtime.exclusion import build_exclusion_check
from croupier.runtime.flag_work import Flags
from croupier.runtime.geolocation import open_places
from croupier.runtime.live_keys import LiveAccounts
from croupier.runtime.operator_app import build_operator_app
from croupier.runtime.orders import Orders, follow_orders, read_first_orders, tell_ready
from croupier.runtime.seats import Seats
from croupier.runtime.wallet_work import MoneyGate, open_gate, wallet_terms
from croupier.runtime.webhook_intake import IntakeParts, WebhookIntake
from croupier.runtime.worker_keys import WorkerKeys
from croupier.telemetry.logs import set_up_logs
from croupier.telemetry.metrics import CommandRecord, Metrics, RequestRecord
from croupier_signing import random_token

_log = structlog.get_logger("croupier.worker")

KEEP_ALIVE_S = 75
GRACE_S = 20
GC_ALLOCATIONS = 20_000
"""Container objects made, less those freed, between two runs of the collector; almost none of ours are in cycles."""


def _now() -> datetime:
    return datetime.now(UTC)


class Worker:
    """Everything one process serves, built once from the configuration."""

    def __init__(self, config: Config, database_url: str, shadow: socket.socket | None = None) -> None:
        self._config = config
        self._url = database_url
        self._shadow = shadow
        self._ids = IdSource()
        self._policy = timeout_policy(config.timeouts)
        self._metrics = Metrics(config.environment)
        self._metrics.note_build(__version__)
        limits = config.limits
        self._lanes = Lanes(
            config.lanes.count,
            lambda: connect_app(
                self._url,
                lane=True,
                application_name="croupier-lane",
                wallet_mode=config.wallet.mode,
            ),
            self._stamp,
            LaneSettings(batch=limits.batch, queue=limits.lane_queue),
            self._observe_batch,
            self._end,
            wallet=wallet_terms(config),
        )
        self._server: uvicorn.Server | None = None

    def _end(self) -> None:
        """Stop serving; the supervisor starts another worker."""
        if self._server is not None:
            self._server.should_exit = True

    def _note_end(self, task: asyncio.Task[None]) -> None:
        """Whoever cannot follow any more must not go on serving."""
        if not task.cancelled() and task.exception() is not None:
            _log.error("followed_no_more", part=task.get_name(), exc_info=task.exception())
            self._end()

    def _stamp(self) -> Stamp:
        now = _now()
        bet_due_at = now + timedelta(seconds=self._config.limits.bet_grace_s)
        return Stamp(now, self._ids, bet_due_at, self._policy)

    def _observe_batch(self, record: BatchRecord) -> None:
        self._metrics.note_batch(size=record.size, result=record.result)

    def _observe_call(self, record: CallRecord) -> None:
        self._metrics.note_command(
            CommandRecord(
                record.provider,
                record.operation,
                record.code,
                record.duration_s,
                record.is_repeat,
                record.reason,
            )
        )
        self._metrics.note_request(
            RequestRecord(
                f"/providers/{{provider}}/{record.operation}", record.method, record.status, record.duration_s
            )
        )
        if record.oddities:
            self._tell_oddities(record)
        if record.outcome in ("refused", "failed"):
            _log.warning(
                "callback_refused",
                provider=record.provider,
                operation=record.operation,
                error_code=record.code,
                reason=record.reason,
                status=record.status,
                correlation_id=record.correlation_id,
                trace_id=record.trace_id,
                session_id=record.session_id,
                round_id=record.round_id,
                duration_s=round(record.duration_s, 6),
            )

    def _tell_oddities(self, record: CallRecord) -> None:
        for place in self._metrics.oddities.note(record.provider, record.oddities):
            _log.warning(
                "undocumented_value",
                provider=record.provider,
                operation=record.operation,
                place=place,
                correlation_id=record.correlation_id,
            )

    def _observe_request(self, record: OperatorRecord) -> None:
        self._metrics.note_request(
            RequestRecord(record.route, record.method, record.status, record.duration_s)
        )

    def _observe_launch(self, record: LaunchRecord) -> None:
        self._metrics.note_launch(
            provider=record.provider, game=record.game_id, asset=record.asset, result=record.result
        )

    def _callbacks(self, accounts: LiveAccounts, pool: asyncpg.Pool, gate: MoneyGate) -> Callbacks:
        limits = self._config.limits
        edge = Edge(
            accounts=accounts,
            submit=gate.submit,
            find_seat=Seats(pool).find_seat,
            new_token=random_token,
            ids=self._ids,
            now=_now,
            observe=self._observe_call,
            note_key=accounts.note_key,
            limits=EdgeLimits(
                BodyLimits(max_bytes=limits.body_bytes, timeout_s=limits.body_timeout_s),
                JsonLimits(max_depth=limits.json_depth, max_keys=limits.json_keys),
            ),
            copies={} if self._shadow is None else self._copies(self._shadow, accounts),
        )
        return Callbacks(edge)

    def _copies(self, link: socket.socket, accounts: LiveAccounts) -> dict[str, Callable[[LiveCall], None]]:
        """What copies the calls of each account that has a shadow."""
        found: dict[str, Callable[[LiveCall], None]] = {}
        for one in self._config.shadows:
            lost = self._metrics.shadow.counters_of_lost(one.provider, one.adapter, LOST)
            settings = TapSettings(
                provider=one.provider,
                candidate=one.adapter,
                percent=one.sample_percent,
                max_bytes=one.max_bytes,
            )
            found[one.provider] = Tap(link, settings, accounts, lost).offer
        return found

    def _intake(self, accounts: LiveAccounts, pool: asyncpg.Pool, gate: MoneyGate) -> WebhookIntake:
        parts = IntakeParts(
            accounts=accounts,
            pool=pool,
            connect=lambda: connect_app(self._url, lane=True, application_name="croupier-intake"),
            submit=gate.submit,
            ids=self._ids,
            now=_now,
            metrics=self._metrics,
            on_death=self._end,
        )
        return WebhookIntake(self._config, parts)

    def _keys(self) -> WorkerKeys:
        return WorkerKeys(
            self._config,
            os.environ,
            connect=lambda: connect_app(self._url, application_name="croupier-keys"),
            metrics=self._metrics.keys,
            now=_now,
        )

    def _flags(self) -> Flags:
        return Flags(
            self._config,
            lambda: connect_app(self._url, application_name="croupier-flags"),
            self._metrics.rollouts,
        )

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

    async def _move(self, pool: asyncpg.Pool, orders: Orders) -> None:
        """Go where the database has moved."""
        self._url = orders.database_url
        settings = app_settings(lane=False, application_name="croupier-read")
        pool.set_connect_args(self._url, server_settings=settings)
        await pool.expire_connections()

    async def serve(self, listener: socket.socket) -> None:
        """Serve until asked to stop; then answer what was accepted, decide what is queued, and end."""
        pool = await create_pool(self._url, min_size=1, max_size=8)
        used = await pool.fetch("SELECT DISTINCT owner FROM account WHERE kind = 'jackpot_pool'")
        worker_keys = self._keys()
        keys = await worker_keys.start(row["owner"] for row in used)
        accounts = worker_keys.accounts
        self._lanes.start()
        breakers = build_breakers(self._config, pool, self._ids, _now, self._metrics.outbound)
        await breakers.look()
        gate = self._gate(breakers)
        places = open_places(self._config.geo.database)
        flags = self._flags()
        await flags.start()
        operator = build_operator_app(
            self._config,
            keys,
            accounts,
            submit=gate.submit,
            pool=pool,
            ids=self._ids,
            now=_now,
            observe=self._observe_request,
            observe_launch=self._observe_launch,
            note_signed=accounts.note_signed,
            note_budget=self._metrics.outbound.note_budget,
            breakers=breakers,
            check=build_exclusion_check(self._config, os.environ, _now),
            locate=None if places is None else places.locate,
            flags=flags.launches,
        )
        following = [
            asyncio.create_task(one.follow(), name=type(one).__name__.lower()) for one in (breakers, flags)
        ]
        for task in following:
            task.add_done_callback(self._note_end)
        intake = self._intake(accounts, pool, gate)
        intake.start()
        app = _route(self._callbacks(accounts, pool, gate), intake, operator.app, pool)
        server = _build_server(app)
        watch = asyncio.create_task(follow_orders(lambda orders: self._move(pool, orders)))
        worker_keys.follow(self._end)
        tell_ready()
        self._server = server
        _settle_memory()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._end)
        # `serve` would end the process by the signal itself, before what is queued was decided.
        await server._serve([listener])
        await intake.drain()
        await gate.drain(GRACE_S)
        await operator.close()
        for task in following:
            task.cancel()
        await breakers.look()
        await worker_keys.finish()
        pool.terminate()
        watch.cancel()


def _build_server(app: Any) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="httptools",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


def _settle_memory() -> None:
    """What start-up made stays for ever: the collector need not look at it, nor look often at what requests make."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 50)


def _route(callbacks: Callbacks, intake: WebhookIntake, operator: Any, pool: Any) -> Any:
    """One ASGI application: hot callbacks, webhooks and health first, everything else to the operator API."""
    pace = intake.pace

    async def app(scope: Any, receive: Any, send: Any) -> None:
        path: str = scope["path"]
        if path.startswith("/providers/"):
            pace.begin_call()
            try:
                await callbacks(scope, receive, send)
            finally:
                pace.end_call()
        elif path.startswith("/webhooks/"):
            await intake.app(scope, receive, send)
        elif path == "/healthz":
            await _say(send, 200, b"ok")
        elif path == "/readyz":
            is_ready = await _reaches_database(pool)
            await _say(send, 200 if is_ready else 503, b"ready" if is_ready else b"the database is away")
        else:
            await operator(scope, receive, send)

    return app


async def _reaches_database(pool: Any) -> bool:
    try:
        return bool(await pool.fetchval("SELECT true", timeout=2))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        _log.warning("not_ready", error=repr(error))
    return False


async def _say(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Run one worker: its listening socket and the way to the shadow are arguments, its orders the first input."""
    orders = read_first_orders()
    config = load_config(None if orders.config_path is None else Path(orders.config_path), os.environ)
    set_up_logs(log_format=config.telemetry.log_format, level=config.telemetry.log_level)
    listener, *links = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    uvloop.run(Worker(config, orders.database_url, links[0] if links else None).serve(listener))


if __name__ == "__main__":
    main()
