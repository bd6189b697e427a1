"""A thousand players at once, three processes, a provider that fails: breaker and retries together (I9, F3, FT33)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import pytest
from operator_house import Studio, account_at, open_studio
from rogue_provider import order_of

from croupier.errors import PROVIDER_UNAVAILABLE, CroupierError
from croupier.ids import IdSource
from croupier.operator.launch import _has_failed
from croupier.providers.adapters.croupier_v1 import ADAPTER
from croupier.providers.breakers.desk import Breakers
from croupier.providers.breakers.machine import BreakerSettings
from croupier.providers.breakers.store import Endpoint, load_changes
from croupier.providers.client import ClientLimits, ProviderClient
from croupier.runtime.database import create_pool

CALLERS = 1_000
MOST_CALLS = 1_100
PROCESSES = 3
SICK = Endpoint("studio", "launch")
# The first probe is due within the run.
QUICK = BreakerSettings(open_s=1, probes=2)
ORDER = order_of("croupier_v1")


def now() -> datetime:
    return datetime.now(UTC)


class Process:
    """One process's breakers and client, as launching uses them."""

    def __init__(self, desk: Breakers, client: ProviderClient) -> None:
        self.desk = desk
        self.client = client

    async def launch(self, studio: Studio) -> str:
        """What became of one player's launch."""
        try:
            leave = await self.desk.begin(SICK)
        except CroupierError as refused:
            return refused.kind.code
        started = time.perf_counter()
        told = await self.client.launch(account_at("studio", studio.address), ADAPTER, ORDER)
        took_s = time.perf_counter() - started
        await self.desk.end(leave, self.desk.judge(failed=_has_failed(told), duration_s=took_s))
        return "probed" if leave.probe_until else "called"


@asynccontextmanager
async def open_processes(url: str, deadline_s: float) -> AsyncIterator[list[Process]]:
    """Processes that follow their breakers, as workers do."""
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        processes, following = [], []
        for _ in range(PROCESSES):
            pool = await create_pool(url, min_size=1, max_size=4)
            stack.push_async_callback(pool.close)
            client = ProviderClient(now, ClientLimits(deadline_s=deadline_s))
            stack.push_async_callback(client.close)
            desk = Breakers(pool, QUICK, IdSource(), now)
            following.append(tasks.create_task(desk.follow()))
            processes.append(Process(desk, client))
        yield processes
        for task in following:
            task.cancel()


@pytest.mark.parametrize(
    ("fault", "deadline_s", "wave"),
    [
        pytest.param("drop", 5.0, CALLERS, id="all at once, connections that break"),
        pytest.param("hang", 1.0, CALLERS, id="all at once, silence"),
        pytest.param("busy", 5.0, 20, id="over a few seconds, with probes"),
    ],
)
async def test_a_thousand_launches_that_fail_make_at_most_eleven_hundred_calls_probes_included(
    database_url: str, fault: str, deadline_s: float, wave: int
) -> None:
    ended: Counter[str] = Counter()
    async with open_studio() as studio, open_processes(database_url, deadline_s) as processes:
        studio.script.extend([fault] * 2 * CALLERS)
        for first in range(0, CALLERS, wave):
            callers = range(first, first + wave)
            told = await asyncio.gather(*(processes[n % PROCESSES].launch(studio) for n in callers))
            ended.update(told)
            if wave < CALLERS:
                # Players come over a few seconds, longer than it stays open the first time.
                await asyncio.sleep(0.06)
        # What was counted last is reported, however fast everybody was.
        for one in processes:
            await one.desk.look()
        seen = len(studio.seen)
        changes = await load_changes(processes[0].desk._pool, None, 100)
    assert ended.total() == CALLERS
    assert seen <= MOST_CALLS, ended
    openings = sum(one.to_state == "open" for one in changes)
    assert openings >= 1
    if wave < CALLERS:
        assert ended["probed"] >= 1, "the bound is tried with probes"
        assert ended[PROVIDER_UNAVAILABLE.code] > CALLERS // 2
        assert ended["probed"] <= openings * QUICK.probes
