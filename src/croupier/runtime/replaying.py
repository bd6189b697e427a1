"""What a replay runs on: connections, lanes of its own and the provider accounts, opened by a command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
from msgspec import Struct

from croupier.ids import IdSource
from croupier.inbox.replay.reading import Accounts, Reader
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import LaneSettings
from croupier.moneypath.lanes import Lanes
from croupier.providers.strict_json import JsonLimits
from croupier.runtime.accounts import build_accounts
from croupier.runtime.config import Config, ProviderKeys, ResolvedKeys
from croupier.runtime.database import connect_app
from croupier.runtime.open_database import open_connection, open_database_url

APPLICATION: Final = "croupier-replay"
NO_KEYS: Final = ProviderKeys((), ())
"""Stored deliveries were verified when they came: a replay needs no secret."""


class ReplaySite(Struct, frozen=True, kw_only=True):
    """Where a replay happens. `connection` reads and keeps the job, `lane` rehearses, `lanes` decide."""

    connection: asyncpg.Connection
    lane: asyncpg.Connection
    lanes: Lanes
    accounts: Accounts
    limits: JsonLimits
    ids: IdSource
    bet_grace: timedelta

    def reader(self, replay: UUID) -> Reader:
        """Reads deliveries for a replay."""
        return Reader(replay=replay, accounts=self.accounts, limits=self.limits)

    def stamp(self) -> Stamp:
        """The moment of a decision."""
        return make_stamp(self.ids, self.bet_grace)


def now() -> datetime:
    """The time by this machine's clock, in UTC."""
    return datetime.now(UTC)


def make_stamp(ids: IdSource, bet_grace: timedelta) -> Stamp:
    """The moment of a decision, as every process of the money path makes it."""
    moment = now()
    return Stamp(moment, ids, moment + bet_grace)


@asynccontextmanager
async def open_replay_site(config: Config) -> AsyncIterator[ReplaySite]:
    """Open everything, and at the end decide what is in the lanes and close it.

    Raises DatabaseUnavailable for whatever prevents that.
    """
    limits, ids = config.limits, IdSource()
    grace = timedelta(seconds=limits.bet_grace_s)
    async with open_database_url(config) as url, open_connection(url) as connection:
        used = await connection.fetch("SELECT DISTINCT owner FROM account WHERE kind = 'jackpot_pool'")
        keys = ResolvedKeys(providers={one.id: NO_KEYS for one in config.providers}, api={})
        lane = await connect_app(url, lane=True, application_name=APPLICATION)
        lanes = Lanes(
            config.lanes.count,
            lambda: connect_app(url, lane=True, application_name=APPLICATION),
            lambda: make_stamp(ids, grace),
            LaneSettings(batch=limits.batch, queue=limits.lane_queue),
        )
        lanes.start()
        try:
            yield ReplaySite(
                connection=connection,
                lane=lane,
                lanes=lanes,
                accounts=build_accounts(config, keys, used_pools=(row["owner"] for row in used)),
                limits=JsonLimits(max_depth=limits.json_depth, max_keys=limits.json_keys),
                ids=ids,
                bet_grace=grace,
            )
        finally:
            await lanes.drain()
            await lane.close()
