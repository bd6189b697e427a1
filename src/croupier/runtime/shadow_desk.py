"""One shadow in its process: copies wait here, are tried one after the other, and what was found is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import asyncpg
import structlog

from croupier.governance.keys import KeyFacts
from croupier.inbox.redaction import mask_body
from croupier.providers.shadow.candidates import render_digest
from croupier.providers.shadow.sample import Sample
from croupier.providers.shadow.store import Comparison, insert_tally, load_kinds
from croupier.providers.shadow.tally import Tally, Tried
from croupier.providers.strict_json import JsonLimits
from croupier.runtime.config import Config, Provider, Shadow
from croupier.runtime.provider_keys import KeyReader
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier.runtime.shadow_child import Setup
from croupier.runtime.shadow_runner import CHILD, Runner
from croupier.telemetry.shadow_metrics import ShadowMetrics

_log = structlog.get_logger("croupier.shadow")

Waiting = tuple[Sample, bytes]
Material = tuple[tuple[str, bytes], ...]


class ShadowDesk:
    """Everything about one account's shadow. `take` never waits; `run` tries what was taken, until cancelled."""

    def __init__(
        self,
        config: Config,
        shadow: Shadow,
        *,
        metrics: ShadowMetrics,
        now: Callable[[], datetime],
        command: Sequence[str] = CHILD,
    ) -> None:
        self._config = config
        self._shadow = shadow
        self._metrics = metrics
        self._now = now
        (self._provider,) = (one for one in config.providers if one.id == shadow.provider)
        digest = render_digest(shadow.adapter, self._provider.adapter)
        self.comparison = Comparison(shadow.provider, shadow.adapter, digest)
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue(shadow.queue)
        self._tally = Tally()
        self._keys: Material | None = None
        self._runner = Runner(self.setup, command)

    @property
    def child_pid(self) -> int | None:
        """The candidate's process now."""
        return self._runner.pid

    @property
    def setup(self) -> Setup:
        """What the candidate's process is told now."""
        limits = self._config.limits
        return Setup(
            candidate=self._shadow.adapter,
            config=reduce_config(self._config, self._provider),
            keys=self._keys or (),
            limits=JsonLimits(max_depth=limits.json_depth, max_keys=limits.json_keys),
            deadline_s=self._shadow.deadline_s,
            memory_bytes=self._shadow.memory_bytes,
        )

    async def start(self, connection: asyncpg.Connection) -> None:
        """Learn which kinds of differences are written already."""
        self._tally = Tally(await load_kinds(connection, self.comparison))

    def use_keys(self, keys: Material) -> None:
        """Try with these keys from the next call on."""
        if keys != self._keys:
            self._keys = keys
            self._runner.change(self.setup)

    def take(self, sample: Sample, datagram: bytes) -> None:
        """Let a copy wait its turn, or drop it when too many do."""
        self._tally.note_dropped(sample.dropped, sample.received_at)
        try:
            self._queue.put_nowait((sample, datagram))
        except asyncio.QueueFull:
            self._tally.note_dropped(1, sample.received_at)
            self._metrics.note_dropped(
                provider=sample.provider, candidate=sample.candidate, reason="shadow_busy"
            )

    async def run(self) -> None:
        """Try what waits, one call after the other."""
        try:
            while True:
                sample, datagram = await self._queue.get()
                trial = await self._runner.ask(datagram)
                self._tally.note(
                    Tried(
                        operation=sample.operation,
                        correlation_id=sample.correlation_id,
                        at=sample.received_at,
                        request=mask_body(sample.body),
                        trial=trial,
                    )
                )
                self._metrics.note_compared(
                    provider=sample.provider, candidate=sample.candidate, result=trial.result.value
                )
                self._queue.task_done()
        finally:
            await self._runner.close()

    async def finish(self) -> None:
        """Return once nothing waits any more."""
        await self._queue.join()

    async def write(self, connection: asyncpg.Connection) -> None:
        """Write what was found since the last time; what cannot be written is kept. Raises what the database does."""
        if self._tally.is_empty:
            return
        taken, is_written = self._tally.take(), False
        try:
            await insert_tally(connection, self.comparison, taken, self._now())
            is_written = True
        finally:
            if not is_written:
                self._tally.put_back(taken)


def reduce_config(config: Config, provider: Provider) -> Config:
    """What an account is built from, and nothing else: no database, no other account, no key of the operator API."""
    return Config(
        assets=config.assets,
        providers=(provider,),
        games=tuple(game for game in config.games if game.provider == provider.id),
        contracts=tuple(contract for contract in config.contracts if contract.provider == provider.id),
    )


def read_material(
    facts: Sequence[KeyFacts], reader: KeyReader, provider: str, env: Mapping[str, str]
) -> Material:
    """The bytes of the keys that verify an account's calls; blocks while a secret store answers."""
    found = []
    for key in facts:
        if key.provider != provider or key.is_revoked or not key.is_verifying:
            continue
        try:
            found.append((key.key_id, resolve_secret(reader.reference_of(key), env=env)))
        except SecretUnavailable as error:
            _log.warning("shadow_key_unusable", provider=provider, key_id=key.key_id, because=error.what)
    return tuple(found)
