"""The flags of one process: loaded before it serves, followed while it does, asked through OpenFeature.

What was loaded last stands while the database is away. A look is due twice a second and may take one second before
another connection is made, so that a change is in force everywhere within two.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import asyncpg
import structlog
from openfeature import api

from croupier.governance.flags.evaluation import StoredFlags
from croupier.governance.flags.known import ROLLOUT
from croupier.governance.flags.rules import Rule
from croupier.governance.flags.store import load_rules
from croupier.operator.flags import LaunchFlags
from croupier.runtime.config import Config
from croupier.telemetry.rollout_metrics import RolloutMetrics

LOOK_S: Final = 0.5
ANSWER_S: Final = 1.0
"""How long the connection may be silent before another one is made."""

AWAY: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What a database that cannot be used is known by."""

_log = structlog.get_logger("croupier.flags")
_numbers = itertools.count()


class Flags:
    """Keeps OpenFeature's answers in step with the rules in the database, on a connection of its own."""

    def __init__(
        self,
        config: Config,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        metrics: RolloutMetrics,
    ) -> None:
        self._connect = connect
        self._metrics = metrics
        self._successors = config.successors()
        self._stored = StoredFlags()
        self._connection: asyncpg.Connection | None = None
        self._is_lost = False
        # Its own, so that two in one process do not answer for each other.
        domain = f"croupier-{next(_numbers)}"
        api.set_provider_and_wait(self._stored, domain)
        self.launches = LaunchFlags(api.get_client(domain), self._successors)

    async def start(self) -> None:
        """Load the rules for the first time; raises what connecting and loading raise. Nobody may serve before."""
        await self.look()

    async def follow(self) -> None:
        """Look until cancelled; a database that is away is looked for again and again."""
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                await self._look_guarded()
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _look_guarded(self) -> None:
        """Look; on another connection at once when the one there was is lost."""
        is_fresh = self._connection is None
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.look()
            self._is_lost = False
        except AWAY as error:
            if not self._is_lost:
                _log.warning("flags_not_followed", error=repr(error), action="what was known stands")
            self._is_lost = is_fresh
            self.close()
            if not is_fresh:
                await self._look_guarded()

    async def look(self) -> None:
        """Take the rules as they are now; raises what connecting and loading raise."""
        if self._connection is None:
            self._connection = await self._connect()
        rules = await load_rules(self._connection)
        self._stored.take(rules)
        self._measure(rules)

    def _measure(self, rules: Iterable[Rule]) -> None:
        shares = dict.fromkeys(self._successors.values(), 0)
        for rule in rules:
            provider = rule.target.provider
            if rule.target.flag == ROLLOUT.name and provider in shares:
                shares[provider] = max(shares[provider], rule.share_bps or 0)
        for provider, share_bps in shares.items():
            self._metrics.note_share(provider=provider, share_bps=share_bps)
