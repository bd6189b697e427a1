"""The lane of a command that decides few calls and ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg

from croupier.ids import IdSource
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import LaneSettings
from croupier.moneypath.lanes import Lanes
from croupier.runtime.config import Config, timeout_policy
from croupier.runtime.database import connect_app
from croupier.runtime.wallet_work import wallet_terms


def build_command_lanes(config: Config, url: str, ids: IdSource, *, application: str) -> Lanes:
    """One lane on the database at this URL; `application` is what the database calls it. Start and drain it."""
    limits, policy = config.limits, timeout_policy(config.timeouts)

    def make_stamp() -> Stamp:
        moment = datetime.now(UTC)
        return Stamp(moment, ids, moment + timedelta(seconds=limits.bet_grace_s), policy)

    async def connect() -> asyncpg.Connection:
        return await connect_app(url, lane=True, application_name=application, wallet_mode=config.wallet.mode)

    settings = LaneSettings(batch=limits.batch, queue=limits.lane_queue)
    return Lanes(1, connect, make_stamp, settings, wallet=wallet_terms(config))
