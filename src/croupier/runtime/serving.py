"""`croupier serve` put together: the supervisor, and the console on its admin listener."""

from __future__ import annotations

from pathlib import Path

import asyncpg

from croupier.console.app import Console, ProviderLine
from croupier.providers.registry import find_adapters
from croupier.runtime.config import Config, Provider
from croupier.runtime.supervisor import DATABASE, Supervisor
from croupier.telemetry.metrics import Metrics, render_all


class Deployment:
    """A whole gateway inside this process and its workers."""

    def __init__(
        self,
        config: Config,
        config_path: Path | None,
        *,
        workers: int,
        database: str = DATABASE,
        takes_overrides: bool = True,
    ) -> None:
        self._config = config
        self._metrics = Metrics(config.environment)
        self.console: Console | None = None
        self.supervisor = Supervisor(
            config,
            config_path,
            workers=workers,
            database=database,
            make_admin_app=self._make_console,
            takes_overrides=takes_overrides,
        )

    def _make_console(self, pool: asyncpg.Pool) -> Console:
        self.console = Console(
            pool,
            environment=self._config.environment,
            metrics=lambda: render_all(self._metrics),
            providers=tuple(_line(provider) for provider in self._config.providers),
        )
        return self.console


def _line(provider: Provider) -> ProviderLine:
    manifest = find_adapters()[provider.adapter].manifest
    return ProviderLine(provider.id, manifest.title, manifest.signing, manifest.unsigned_parts)


async def serve_deployment(config: Config, config_path: Path | None, *, workers: int) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises NotReady when it cannot begin."""
    await Deployment(config, config_path, workers=workers).supervisor.run()
