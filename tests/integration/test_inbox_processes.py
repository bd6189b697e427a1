"""Workers in processes of their own that are killed, stopped, or lose their database (E3, I2, I3, I4, I10)."""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from inbox_worker import Orders
from lane_desk import Seat, open_desk, read_value, require_sound_books
from stored_webhooks import Mailbox, Webhook, clock, jackpot, require_every_delivery_accounted_for

from croupier.inbox.drain import Drain, DrainEdge, DrainSettings
from croupier.moneypath.lane import LaneSettings
from croupier.runtime import migrations
from croupier.runtime.database import connect_app, connect_owner, ensure_database
from croupier.runtime.embedded import EmbeddedServer, EmbeddedServerError

WORKER = Path(__file__).with_name("inbox_worker.py")
DEADLINE_S = 120
KILLS = 10
FINISHED = "SELECT count(*) FROM delivery_result"
LEFT = "SELECT count(*) FROM inbox_queue"
Process = asyncio.subprocess.Process
WaitUntil = Callable[..., Awaitable[None]]


async def start(orders: Orders) -> Process:
    """A worker that has begun."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(WORKER), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(orders) + b"\n")
    async with asyncio.timeout(DEADLINE_S):
        assert await process.stdout.readline() == b"ready\n"
    return process


async def end(process: Process) -> int:
    """Ask a worker to end, and wait for it."""
    if process.returncode is None:
        assert process.stdin is not None
        process.stdin.close()
    async with asyncio.timeout(DEADLINE_S):
        return await process.wait()


@asynccontextmanager
async def worker(orders: Orders) -> AsyncIterator[Process]:
    """A worker that is gone at the end of the block."""
    process = await start(orders)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Load:
    """Jackpots of many players, five for each round, every fifth of them a fact that was told before."""

    def __init__(self, url: str, seats: list[Seat]) -> None:
        self.seats = seats
        self._mailbox = Mailbox(url, clock() - timedelta(minutes=5))
        self.count = 0

    async def store(self, count: int) -> None:
        """So many more of them."""
        await self._mailbox.store(*(self._make() for _ in range(count)))

    def _make(self) -> Webhook:
        number, players = self.count, len(self.seats)
        self.count += 1
        seat, turn = self.seats[number % players], number // players
        fact = number if number % 5 or number < players else number - players
        data = jackpot(seat.session_id, seat.player_id, f"j{fact}", 1 + fact, round_id=f"r{turn // 5}")
        return self._mailbox.make("jackpot.won", data)


async def fill(url: str, count: int = 0) -> Load:
    """Fifty players, and so many webhooks."""
    async with open_desk(url, lanes=2) as desk:
        load = Load(url, await desk.seats(50))
    await load.store(count)
    return load


async def require_everything_once(url: str, load: Load) -> None:
    """Every delivery has one result, every fact one effect, and the wallets hold what the results say."""
    connection = await connect_app(url)
    try:
        await require_every_delivery_accounted_for(connection)
        results = Counter(
            dict(await connection.fetch("SELECT result, count(*) FROM delivery_result GROUP BY result"))
        )
        assert results.total() == load.count, results
        assert set(results) == {"applied", "repeat"}
        facts = await connection.fetchval("SELECT count(DISTINCT reference) FROM delivery")
        assert results["applied"] == facts
        assert (
            await connection.fetchval("SELECT count(*) FROM journal_entry WHERE kind = 'jackpot_win'")
            == facts
        )
        moved = await connection.fetchval("SELECT sum(moved) FROM delivery_result")
        held = await connection.fetchval("SELECT sum(balance) FROM account WHERE kind = 'player_wallet'")
        assert held == moved + 1_000 * len(load.seats)
    finally:
        await connection.close()
    await require_sound_books(url)


async def at_least(url: str, sql: str, count: int) -> bool:
    return int(await read_value(url, sql)) >= count


async def is_empty(url: str) -> bool:
    return not await read_value(url, LEFT)


async def test_what_a_killed_worker_had_in_hand_is_finished_by_another(
    database_url: str, wait_until: WaitUntil
) -> None:
    load = await fill(database_url, 1_500)
    async with worker(Orders(database_url, lease_s=2)) as victim:
        await wait_until(lambda: at_least(database_url, FINISHED, 50))
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
    assert await read_value(database_url, "SELECT count(leased_until) FROM inbox_queue") > 0
    async with worker(Orders(database_url, lease_s=2)) as heir:
        await wait_until(lambda: is_empty(database_url), timeout_s=DEADLINE_S)
        assert await end(heir) == 0
    await require_everything_once(database_url, load)


async def test_a_worker_that_was_stopped_beyond_its_lease_wakes_up_and_does_no_harm(
    database_url: str, wait_until: WaitUntil
) -> None:
    load = await fill(database_url, 1_500)
    async with worker(Orders(database_url)) as sleeper, worker(Orders(database_url)) as other:
        await wait_until(lambda: at_least(database_url, FINISHED, 50))
        sleeper.send_signal(signal.SIGSTOP)
        await wait_until(lambda: is_empty(database_url), timeout_s=DEADLINE_S)
        sleeper.send_signal(signal.SIGCONT)
        assert await end(sleeper) == 0
        assert await end(other) == 0
    await require_everything_once(database_url, load)


async def test_two_hosts_of_workers_that_are_killed_all_the_time_do_everything_once(
    database_url: str, wait_until: WaitUntil
) -> None:
    """Two workers each on two hosts, one of which has a clock that is seconds ahead; kills at random moments."""
    seed = int(os.environ.get("CROUPIER_CRASH_SEED", "0")) or secrets.randbits(32)
    print(f"CROUPIER_CRASH_SEED={seed} repeats this schedule")
    chance = random.Random(seed)
    load = await fill(database_url)
    slow = Orders(database_url, lease_s=2, pause_s=0.4)
    hosts = [slow, msgspec.structs.replace(slow, skew_s=3)] * 2
    interrupted = 0
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(worker(orders)) for orders in hosts]
        for _ in range(KILLS):
            wanted = load.count + chance.randrange(20, 200)
            await load.store(300)
            await wait_until(partial(at_least, database_url, FINISHED, wanted), timeout_s=DEADLINE_S)
            place = chance.randrange(len(workers))
            workers[place].send_signal(signal.SIGKILL)
            await workers[place].wait()
            interrupted += await read_value(database_url, "SELECT count(leased_until) FROM inbox_queue") > 0
            workers[place] = await stack.enter_async_context(worker(hosts[place]))
        await wait_until(lambda: is_empty(database_url), timeout_s=DEADLINE_S)
        for one in workers:
            assert await end(one) == 0
    assert interrupted >= KILLS // 2, "the kills fell into the work"
    await require_everything_once(database_url, load)


async def test_a_database_that_is_restarted_in_the_middle_loses_nothing(
    tmp_path: Path, wait_until: WaitUntil
) -> None:
    """The server ends at once, as in a crash, with claims and decisions under way, and comes back elsewhere."""
    server = EmbeddedServer(tmp_path / "postgres")
    await server.start()
    try:
        url = await ensure_database(server.url(), "croupier")
        owner = await connect_owner(url)
        await migrations.apply(owner)
        await owner.close()
        load = await fill(url, 2_000)
        await _drain_over_restarts(server, wait_until)
        await require_everything_once(server.url("croupier"), load)
    finally:
        await server.stop("immediate")


async def _drain_over_restarts(server: EmbeddedServer, wait_until: WaitUntil) -> None:
    from stored_webhooks import ACCOUNTS

    def url() -> str:
        return server.url("croupier")

    async def connect() -> Any:
        try:
            return await connect_app(url(), lane=True)
        except EmbeddedServerError as error:
            raise ConnectionError("the server is down") from error

    async def counts(wanted: int) -> bool:
        try:
            return await at_least(url(), FINISHED, wanted)
        except (asyncpg.PostgresError, OSError):
            return False

    async with open_desk(url(), lanes=2, connect=connect, outage_s=30.0) as desk:
        assert LaneSettings().outage_s < 30
        edge = DrainEdge(
            connect=connect,
            submit=desk.lanes.submit,
            accounts=ACCOUNTS,
            now=clock,
            settings=DrainSettings(claim=50, lease_s=3, idle_s=0.05),
        )
        stop = asyncio.Event()
        task = asyncio.create_task(Drain(edge).run(stop))
        for wanted in (100, 500):
            await wait_until(lambda wanted=wanted: counts(wanted), timeout_s=DEADLINE_S)
            await server.stop("immediate")
            await server.start()
        await wait_until(lambda: counts(2_000), timeout_s=DEADLINE_S)
        stop.set()
        await task
