"""What a replay runs on: connections, lanes of its own and the provider accounts, opened by a command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from croupier.ids import IdSource
from croupier.inbox.replay.conduct import Site
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import LaneSettings
from croupier.moneypath.lanes import Lanes
from croupier.providers.strict_json import JsonLimits
from croupier.runtime.accounts import build_accounts
from croupier.runtime.config import Config, ProviderKeys, ResolvedKeys, timeout_policy
from croupier.runtime.database import connect_app
from croupier.runtime.open_database import open_connection, open_database_url
from croupier.runtime.wallet_work import open_quiet_gate, wallet_terms

APPLICATION: Final = "croupier-replay"
PATIENCE_S: Final = 20.0
"""How long what is in hand may take at the end."""
NO_KEYS: Final = ProviderKeys((), ())
"""Stored deliveries were verified when they came: a replay needs no secret."""


def now() -> datetime:
    """The time by this machine's clock, in UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def open_replay_site(config: Config) -> AsyncIterator[Site]:
    """Open everything; at the end decide what is in the lanes and close it.

    Raises DatabaseUnavailable for whatever prevents that.
    """
    limits, ids, policy = config.limits, IdSource(), timeout_policy(config.timeouts)

    def make_stamp() -> Stamp:
        moment = now()
        return Stamp(moment, ids, moment + timedelta(seconds=limits.bet_grace_s), policy)

    async with open_database_url(config) as url, open_connection(url) as connection:

        async def connect_lane() -> asyncpg.Connection:
            return await connect_app(
                url, lane=True, application_name=APPLICATION, wallet_mode=config.wallet.mode
            )

        used = await connection.fetch("SELECT DISTINCT owner FROM account WHERE kind = 'jackpot_pool'")
        keys = ResolvedKeys(providers={one.id: NO_KEYS for one in config.providers}, api={})
        lane = await connect_lane()
        settings = LaneSettings(batch=limits.batch, queue=limits.lane_queue)
        terms = wallet_terms(config)
        lanes = Lanes(config.lanes.count, connect_lane, make_stamp, settings, wallet=terms)
        lanes.start()
        gate = open_quiet_gate(config, lanes, ids)
        try:
            yield Site(
                connection=connection,
                lane=lane,
                submit=gate.submit,
                accounts=build_accounts(config, keys, used_pools=(row["owner"] for row in used)),
                ids=ids,
                now=now,
                make_stamp=make_stamp,
                limits=JsonLimits(max_depth=limits.json_depth, max_keys=limits.json_keys),
                wallet=terms,
            )
        finally:
            await gate.drain(PATIENCE_S)
            await lane.close()
