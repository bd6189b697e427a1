"""Breakers of the operator's wallet on a real database: what counts, what is held back, and what a person does (F2)."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from prometheus_client import CollectorRegistry
from rogue_wallet import (
    KEY,
    Asked,
    Behave,
    RogueWallet,
    answer,
    behave_well,
    change,
    hang_up,
    hold,
    open_wallet,
)
from typer.testing import CliRunner

from croupier.cli.main import app
from croupier.ids import IdSource
from croupier.operator.wallet.client import WalletClient, WalletSettings
from croupier.operator.wallet.endpoints import ENDPOINTS, STATUS_ENDPOINT
from croupier.operator.wallet.sender import RemoteWallet
from croupier.providers.breakers.desk import Breakers, Ended
from croupier.providers.breakers.machine import BreakerSettings, BreakerState, Counts
from croupier.providers.breakers.store import Endpoint, load_breakers
from croupier.providers.retries import RetrySettings
from croupier.runtime.breaker_work import build_breakers
from croupier.runtime.config import load_config
from croupier.runtime.database import create_pool
from croupier.telemetry.outbound_metrics import OutboundMetrics
from croupier.wallet.port import Approved, Balance, NotApplied, Operation, Unknown
from unit.wallet_orders import DEBIT, error, order, refused

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RULES = BreakerSettings(min_calls=4, open_s=15, probes=2, probe_lease_s=20)
DEBITS = ENDPOINTS[Operation.DEBIT]


class Stand:
    """A wallet, a client of it, and breakers whose clock the test turns."""

    def __init__(self, wallet: RogueWallet, pool: asyncpg.Pool, **changes: Any) -> None:
        self.wallet = wallet
        self.pool = pool
        self.now = T0
        self.breakers = Breakers(pool, RULES, IdSource(), lambda: self.now)
        members: dict[str, Any] = {
            "url": wallet.address,
            "key": KEY,
            "retries": RetrySettings(budget_percent=0),
        } | changes
        settings = WalletSettings(**members)
        client = WalletClient(settings, lambda: self.now)
        self.remote = RemoteWallet(client, self.breakers, settings, lambda: self.now)

    async def debit(self, player: str = "p-1", seconds: float = 5) -> Any:
        asked = order(player_id=player)
        return await self.remote.move(asked, ends_at_s=time.monotonic() + seconds)

    async def counts(self, endpoint: Endpoint = DEBITS) -> Counts:
        await self.breakers.look()
        async with self.pool.acquire() as connection:
            found = await load_breakers(connection)
        return found[endpoint].counts if endpoint in found else Counts()

    async def state(self, endpoint: Endpoint = DEBITS) -> BreakerState:
        await self.breakers.look()
        async with self.pool.acquire() as connection:
            return (await load_breakers(connection))[endpoint].state


@pytest.fixture
async def stand(database_url: str) -> AsyncIterator[Stand]:
    pool = await create_pool(database_url, min_size=1, max_size=4)
    async with open_wallet() as wallet:
        made = Stand(wallet, pool)
        yield made
        await made.remote.close()
    await pool.close()


@pytest.mark.parametrize(
    ("behave", "has_failed"),
    [
        (None, False),
        (answer(200, refused(DEBIT)), False),
        (answer(400, error("malformed", "no")), False),
        (answer(409, error("reference_conflict", "no")), False),
        (answer(409, error("in_flight", "unknown")), False),
        (answer(422, error("amount_not_representable", "no")), False),
        (answer(401, error("unauthenticated", "no")), True),
        (answer(404, error("unknown_path", "no")), True),
        (answer(429, error("overloaded", "no")), True),
        (answer(500, error("internal", "unknown")), True),
        (answer(503, error("unavailable", "no")), True),
        (answer(200, b"<html>"), True),
        (change(amount="251"), True),
        (change(player_id="p-2"), True),
        (hang_up(), True),
    ],
)
async def test_what_is_the_wallets_fault_counts_as_failed(
    stand: Stand, behave: Behave | None, has_failed: bool
) -> None:
    if behave is not None:
        stand.wallet.then("/debit", behave)
    await stand.debit()
    assert await stand.counts() == (Counts(failed=1) if has_failed else Counts(ok=1))


async def test_silence_counts_only_where_the_wallet_had_its_time(stand: Stand) -> None:
    stand.wallet.always["/debit"] = hold
    assert await stand.debit(seconds=0.1) == Unknown("timeout")
    assert await stand.counts() == Counts()
    assert await stand.debit(seconds=1.1) == Unknown("timeout")
    assert await stand.counts() == Counts(failed=1)


async def test_silence_to_a_batch_counts_for_each_that_waited_long_enough_for_it(stand: Stand) -> None:
    many = Stand(stand.wallet, stand.pool, connections=1, batch=8)
    released = asyncio.Event()

    async def first(wallet: RogueWallet, asked: Asked, writer: asyncio.StreamWriter) -> None:
        await released.wait()
        await behave_well(wallet, asked, writer)

    stand.wallet.then("/debit", first)
    stand.wallet.then("/batch", hold)
    leading = asyncio.create_task(many.debit("p-0"))
    async with asyncio.timeout(10):
        while not stand.wallet.asked:  # noqa: ASYNC110 (the wallet is a server with nothing to wait on)
            await asyncio.sleep(0.001)
    waiting = [
        asyncio.create_task(many.debit(f"p-{n}", seconds)) for n, seconds in ((1, 0.3), (2, 1.4), (3, 1.6))
    ]
    await asyncio.sleep(0)
    released.set()
    assert isinstance(await leading, Approved)
    assert await asyncio.gather(*waiting) == [Unknown("timeout")] * 3
    assert await many.counts() == Counts(ok=1, failed=2)
    await many.remote.close()


async def test_what_never_reached_a_connection_of_ours_says_nothing_of_the_wallet(stand: Stand) -> None:
    small = Stand(stand.wallet, stand.pool, connections=1, queue=1)
    stand.wallet.always["/debit"] = hold
    first = asyncio.create_task(small.debit("p-1"))
    waits = asyncio.create_task(small.debit("p-2", seconds=0.1))
    await asyncio.sleep(0)
    assert await small.debit("p-3") == NotApplied("too_many_waiting")
    assert await waits == NotApplied("no_connection_in_time")
    assert await small.counts() == Counts()
    stand.wallet.released.set()
    assert isinstance(await first, Approved)
    await small.remote.close()


async def open_it(stand: Stand) -> None:
    stand.wallet.then("/debit", *[hang_up()] * 4)
    for _ in range(4):
        assert await stand.debit() == Unknown("reset")
    assert await stand.state() is BreakerState.OPEN
    stand.wallet.asked.clear()


async def test_an_open_breaker_sends_nothing_and_says_that_nothing_was_applied(stand: Stand) -> None:
    await open_it(stand)
    assert stand.remote.is_away(Operation.DEBIT)
    assert await stand.debit() == NotApplied("breaker_open")
    assert stand.wallet.asked == []


async def test_one_kind_of_call_that_is_held_back_holds_back_no_other(stand: Stand) -> None:
    await open_it(stand)
    assert not stand.remote.is_away(Operation.CREDIT)
    ends_at_s = time.monotonic() + 5
    assert isinstance(await stand.remote.move(order(Operation.CREDIT), ends_at_s=ends_at_s), Approved)
    assert await stand.remote.ask_status(DEBIT, ends_at_s=ends_at_s) == NotApplied("not_found")
    balance = await stand.remote.load_balance("p-1", "EUR", correlation_id="c", ends_at_s=ends_at_s)
    assert balance == Balance(9750)


async def test_a_status_that_is_held_back_settles_nothing(stand: Stand) -> None:
    stand.wallet.then("/status", *[hang_up()] * 4)
    for _ in range(4):
        await stand.remote.ask_status(DEBIT, ends_at_s=time.monotonic() + 5)
    assert await stand.state(STATUS_ENDPOINT) is BreakerState.OPEN
    word = await stand.remote.ask_status(DEBIT, ends_at_s=time.monotonic() + 5)
    assert word == Unknown("breaker_open")


async def test_probes_close_it_when_the_wallet_is_back(stand: Stand) -> None:
    await open_it(stand)
    stand.now += timedelta(seconds=16)
    await stand.breakers.look()
    assert not stand.remote.is_away(Operation.DEBIT)
    words = await asyncio.gather(*(stand.debit(f"p-{n}") for n in range(5)))
    approved = [word for word in words if isinstance(word, Approved)]
    assert len(approved) >= 2
    assert await stand.state() is BreakerState.CLOSED


async def test_a_probe_whose_caller_goes_is_given_back(stand: Stand) -> None:
    await open_it(stand)
    stand.now += timedelta(seconds=16)
    await stand.breakers.look()
    stand.wallet.then("/debit", hold)
    going = asyncio.create_task(stand.debit())
    async with asyncio.timeout(10):
        while not stand.wallet.asked:  # noqa: ASYNC110 (the wallet is a server with nothing to wait on)
            await asyncio.sleep(0.001)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    async with stand.pool.acquire() as connection:
        assert (await load_breakers(connection))[DEBITS].probing_until == ()


Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    path = tmp_path / "croupier.toml"
    path.write_text('[wallet]\nmode = "remote"\nurl = "http://127.0.0.1:9"\nsecret = "env:S"\n')
    env = {"CROUPIER_DATABASE_URL": database_url, "S": "s" * 32}

    async def invoke(*arguments: str) -> Any:
        command = ["--config", str(path), "breakers", *arguments]
        return await asyncio.to_thread(CliRunner().invoke, app, command, env=env, catch_exceptions=False)

    return invoke


async def test_a_person_holds_the_wallets_calls_back_and_lets_them_through(stand: Stand, run: Run) -> None:
    held = await run("open", "operator", "--operation", "wallet_debit", "--reason", "their ticket 7")
    assert held.exit_code == 0, held.output
    await stand.breakers.look()
    assert await stand.debit() == NotApplied("breaker_open")
    listed = json.loads((await run("list", "--json")).stdout)
    assert [(one["provider"], one["operation"], one["is_held"]) for one in listed["breakers"]] == [
        ("operator", "wallet_debit", True)
    ]
    assert (await run("close", "operator", "--operation", "wallet_debit", "--reason", "over")).exit_code == 0
    await stand.breakers.look()
    assert isinstance(await stand.debit(), Approved)


async def test_a_wallet_that_does_not_say_what_became_of_things_is_asked_for_nothing_new(
    stand: Stand, run: Run
) -> None:
    assert not stand.remote.is_away(Operation.DEBIT)
    held = await run("open", "operator", "--operation", "wallet_status", "--reason", "their ticket 8")
    assert held.exit_code == 0, held.output
    await stand.breakers.look()
    assert all(stand.remote.is_away(operation) for operation in Operation)


@pytest.mark.parametrize("arguments", [("operator",), ("operator", "--operation", "wallet_transfer")])
async def test_what_the_wallet_is_not_asked_cannot_be_held_back(run: Run, arguments: tuple[str, ...]) -> None:
    refused_ = await run("open", *arguments, "--reason", "x")
    assert refused_.exit_code == 1
    assert "wallet_debit, wallet_credit, wallet_rollback, wallet_status, wallet_balance" in " ".join(
        refused_.output.split()
    )


async def test_there_is_no_wallet_to_hold_back_where_it_is_built_in(
    run: Run, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "croupier.toml").write_text("")
    said = await run("open", "operator", "--operation", "wallet_debit", "--reason", "x")
    assert said.exit_code == 1
    assert "no provider account is called 'operator'" in said.output


async def test_however_long_it_is_away_it_is_tried_every_quarter_of_a_minute(
    database_url: str, tmp_path: Path
) -> None:
    """As it is configured by default; a provider that stays away is tried ever less often."""
    (tmp_path / "croupier.toml").write_text("")
    config, moment = load_config(tmp_path / "croupier.toml", {}), [T0]
    metrics = OutboundMetrics("test", CollectorRegistry())
    pool = await create_pool(database_url, min_size=1, max_size=2)
    breakers = build_breakers(config, pool, IdSource(), lambda: moment[0], metrics)
    launches = Endpoint("studio", "launch")
    tries: Counter[Endpoint] = Counter()
    try:
        for _ in range(40):
            for endpoint in (DEBITS, launches):
                while not breakers.is_open(endpoint):
                    tries[endpoint] += 1
                    await breakers.end(await breakers.begin(endpoint), Ended.FAILED)
                    await breakers.look()
            moment[0] += timedelta(seconds=15)
    finally:
        await pool.close()
    assert tries == {DEBITS: 10 + 39, launches: 10 + 5}
