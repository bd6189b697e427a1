"""A replay in the test's own process: plan, run and prove on a casino's database, without the command line."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import Struct
from stored_webhooks import ACCOUNTS, clock

from croupier.ids import IdSource
from croupier.inbox.replay.conduct import Order, Planned, Site, begin, carry_out, go_on, make_plan
from croupier.inbox.replay.job import Asked, Job
from croupier.inbox.replay.plan import Plan
from croupier.inbox.replay.window import Window
from croupier.moneypath.facts import Stamp
from croupier.moneypath.lane import LaneSettings
from croupier.moneypath.lanes import Lanes
from croupier.runtime.database import connect_app

START = clock().replace(microsecond=0) - timedelta(hours=3)
"""When the webhooks of the tests begin to come."""


def window(**fields: Any) -> Window:
    """The hour in which the tests' webhooks come."""
    return Window(**{"start": START, "end": START + timedelta(hours=1), **fields})


def asked(reason: str = "the studio was away", at: datetime | None = None) -> Asked:
    """Somebody asks."""
    return Asked("cli:tester", reason, at or clock())


class ReplayDesk(Struct, frozen=True):
    """Somebody who replays; `lanes` are the desk's own."""

    site: Site
    lanes: Lanes

    async def plan(self, wanted: Window | None = None, limit: int | None = None) -> Planned:
        """A plan with the file its run needs."""
        return await make_plan(self.site, wanted or window(), io.BytesIO(), limit=limit)

    async def look(self, wanted: Window | None = None) -> Plan:
        """A plan alone."""
        return (await self.plan(wanted)).plan

    async def begin(self, planned: Planned, at: datetime | None = None) -> Job:
        """The job of a plan."""
        return await begin(self.site, planned, asked(at=at))

    async def run(self, planned: Planned, **order: Any) -> Job:
        """A plan's run, proven."""
        return await carry_out(self.site, await self.begin(planned), Order(**order))

    async def replay(self, wanted: Window | None = None, **order: Any) -> Job:
        """Plan and run in one."""
        return await self.run(await self.plan(wanted), **order)

    async def resume(self, job_id: UUID, at: datetime | None = None, **order: Any) -> Job:
        """The rest of a run, proven."""
        return await carry_out(self.site, await go_on(self.site, job_id, asked(at=at)), Order(**order))


@asynccontextmanager
async def open_replay_desk(url: str) -> AsyncIterator[ReplayDesk]:
    """Connections and lanes of a desk, closed at the end."""
    ids = IdSource()

    def make_stamp() -> Stamp:
        return Stamp(clock(), ids, clock() + timedelta(hours=1))

    connection, lane = await connect_app(url), await connect_app(url, lane=True)
    lanes = Lanes(2, lambda: connect_app(url, lane=True), make_stamp, LaneSettings())
    lanes.start()
    site = Site(
        connection=connection,
        lane=lane,
        submit=lanes.submit,
        accounts=ACCOUNTS,
        ids=ids,
        now=clock,
        make_stamp=make_stamp,
    )
    try:
        yield ReplayDesk(site, lanes)
    finally:
        await lanes.drain()
        await lane.close()
        await connection.close()
