"""The keys of one worker: adopted and read at its start, followed while it serves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Final

import asyncpg
import structlog

from croupier.governance.keyring import Keyring
from croupier.governance.keys import Direction, KeyState
from croupier.runtime.accounts import build_accounts
from croupier.runtime.config import Config, ConfigProblems, ResolvedKeys, resolve_api_keys
from croupier.runtime.key_follower import KeyFollower
from croupier.runtime.key_uses import KeyCount, KeyUses
from croupier.runtime.live_keys import LiveAccounts
from croupier.runtime.provider_keys import KeyReader, adopt_keys, find_unusable, render_resolved
from croupier.telemetry.key_metrics import KeyAge, KeyMetrics, KeyRequests

_log = structlog.get_logger("croupier.keys")

ACTOR: Final = "croupier serve"


class WorkerKeys:
    """Keeps `accounts` in step with the keys in the database."""

    def __init__(
        self,
        config: Config,
        env: Mapping[str, str],
        *,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        metrics: KeyMetrics,
        now: Callable[[], datetime],
    ) -> None:
        self._config = config
        self._connect = connect
        self._metrics = metrics
        self._now = now
        self._api = resolve_api_keys(config, env)
        self._used_pools: tuple[str, ...] = ()
        self._task: asyncio.Task[None] | None = None
        uses = KeyUses(self._observe)
        self.accounts = LiveAccounts(uses, now)
        self._follower = KeyFollower(
            connect, KeyReader(config, env), self._take, on_look=self._measure, uses=uses
        )

    async def start(self, used_pools: Iterable[str]) -> ResolvedKeys:
        """Adopt the keys of the file and read every key; raises ConfigProblems when one of the file is unusable."""
        self._used_pools = tuple(used_pools)
        connection = await self._connect()
        try:
            await adopt_keys(connection, self._config, self._now(), actor=ACTOR)
        finally:
            await connection.close()
        keyring = await self._follower.start()
        if problems := find_unusable(self._config, keyring):
            raise ConfigProblems(problems)
        return self._resolved(keyring)

    def follow(self, on_end: Callable[[], None]) -> None:
        """Follow until `finish`; a process that cannot follow must not go on serving: `on_end`."""
        self._task = asyncio.create_task(self._follower.run())
        self._task.add_done_callback(lambda ended: _note_end(ended, on_end))

    async def finish(self) -> None:
        """Follow no more, and tell the last uses."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._follower.finish()

    def _resolved(self, keyring: Keyring) -> ResolvedKeys:
        return render_resolved(self._config, keyring, self._api)

    def _take(self, keyring: Keyring) -> None:
        entries = build_accounts(self._config, self._resolved(keyring), used_pools=self._used_pools)
        self.accounts.replace(entries, {key.key_id: key.provider for key in keyring.facts})

    def _observe(self, count: KeyCount) -> None:
        self._metrics.note_requests(KeyRequests(count.provider, count.key_id, count.result, count.count))

    def _measure(self, keyring: Keyring) -> None:
        for age in render_ages(self._config, keyring, self._now()):
            self._metrics.note_age(age)


def render_ages(config: Config, keyring: Keyring, now: datetime) -> list[KeyAge]:
    """The age of the current key of every provider and direction, and how many keys are overdue."""
    ages = []
    for provider in config.providers:
        for direction in (Direction.INBOUND, Direction.OUTBOUND):
            keys = [
                key
                for key in keyring.facts
                if key.provider == provider.id and direction in key.direction.parts and not key.is_revoked
            ]
            current = [key.published_at for key in keys if key.state is KeyState.CURRENT]
            age_s = (now - max(current)).total_seconds() if current else 0.0
            overdue = sum(key.is_overdue(now) for key in keys)
            ages.append(KeyAge(provider.id, direction.value, age_s, overdue))
    return ages


def _note_end(task: asyncio.Task[None], on_end: Callable[[], None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("keys_are_followed_no_more", error=repr(task.exception()), action="ending this worker")
        on_end()
