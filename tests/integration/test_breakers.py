"""Breakers of several processes on one database, and what the operator API makes of them (F2, I9, I10, I12, FT32)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from lane_desk import read_value, require_sound_books
from msgspec import structs
from operator_house import OPENING, PLAYER, House, open_house, session_uuid

from croupier.errors import PROVIDER_UNAVAILABLE, UNAVAILABLE, CroupierError
from croupier.governance.audit import verify_chain
from croupier.ids import IdSource
from croupier.providers.breakers.desk import Breakers, Ended, Pass
from croupier.providers.breakers.machine import BreakerSettings, close_by_hand, open_by_hand
from croupier.providers.breakers.store import Act, Endpoint, change_breaker, load_changes
from croupier.runtime.database import connect_app, create_pool
from model.calls import bet, win

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RULES = BreakerSettings(min_calls=10, open_s=15, probes=3, probe_lease_s=20)
SICK = Endpoint("sick", "launch")
SPARED = Endpoint("spared", "launch")
"""Of a provider whose breakers never stay open for longer than the first time."""
WELL = Endpoint("well", "launch")


class Cluster:
    """Several processes with breakers on one database, and one clock that the test turns."""

    def __init__(self, pool: asyncpg.Pool, processes: int) -> None:
        self.now = T0
        self.pool = pool
        own = {SPARED.provider: structs.replace(RULES, open_cap_s=15)}
        self.desks = [Breakers(pool, RULES, IdSource(), lambda: self.now, own=own) for _ in range(processes)]

    async def look(self) -> None:
        """Everybody reports, and then learns what the others said."""
        for _ in range(2):
            for desk in self.desks:
                await desk.look()

    async def fail(self, desk: Breakers, times: int, endpoint: Endpoint = SICK) -> None:
        for _ in range(times):
            await desk.end(await desk.begin(endpoint), Ended.FAILED)

    async def opened(self) -> None:
        """The sick endpoint's breaker is open for everybody."""
        await self.fail(self.desks[0], 10)
        await self.look()

    async def try_all(self, times: int) -> tuple[list[Pass], list[CroupierError]]:
        """So many calls at every process at once: what passed, and what was refused."""
        tried = [desk.begin(SICK) for desk in self.desks for _ in range(times)]
        answers = await asyncio.gather(*tried, return_exceptions=True)
        return (
            [one for one in answers if isinstance(one, Pass)],
            [one for one in answers if isinstance(one, CroupierError)],
        )

    async def change(self, step: Any, **fields: Any) -> None:
        async with self.pool.acquire() as connection:
            await change_breaker(connection, SICK, step, Act(ids=IdSource(), now=self.now, **fields))


@pytest.fixture
async def cluster(database_url: str) -> AsyncIterator[Cluster]:
    pool = await create_pool(database_url, min_size=1, max_size=4)
    yield Cluster(pool, 3)
    await pool.close()


async def test_failures_of_all_processes_add_up_and_open_it_for_all(cluster: Cluster) -> None:
    for desk, times in zip(cluster.desks, (4, 3, 2), strict=True):
        await cluster.fail(desk, times)
    await cluster.look()
    assert not any(desk.is_open(SICK) for desk in cluster.desks)
    await cluster.fail(cluster.desks[2], 1)
    await cluster.look()
    assert all(desk.is_open(SICK) for desk in cluster.desks)
    assert not any(desk.is_open(WELL) for desk in cluster.desks)
    with pytest.raises(CroupierError) as refused:
        await cluster.desks[1].begin(SICK)
    assert (refused.value.kind, refused.value.reason) == (PROVIDER_UNAVAILABLE, "breaker_open")
    assert refused.value.retry_after_s == 15


async def test_no_more_probes_pass_than_are_bounded_for_all_processes_together(cluster: Cluster) -> None:
    await cluster.opened()
    cluster.now += timedelta(seconds=15)
    passed, refused = await cluster.try_all(20)
    assert len(passed) == RULES.probes
    assert {error.kind for error in refused} == {PROVIDER_UNAVAILABLE}
    for desk, one in zip(cluster.desks, passed, strict=True):
        await desk.end(one, Ended.OK)
    await cluster.look()
    passed, refused = await cluster.try_all(5)
    assert (len(passed), len(refused)) == (15, 0)
    assert all(one.probe_until is None for one in passed)


@pytest.mark.parametrize("ended", [Ended.FAILED, Ended.SLOW])
async def test_a_probe_that_fails_or_is_slow_opens_it_again_for_longer(
    cluster: Cluster, ended: Ended
) -> None:
    await cluster.opened()
    cluster.now += timedelta(seconds=15)
    await cluster.desks[1].end(await cluster.desks[1].begin(SICK), ended)
    await cluster.look()
    with pytest.raises(CroupierError) as refused:
        await cluster.desks[2].begin(SICK)
    assert refused.value.retry_after_s == 30


async def test_how_long_it_stays_open_may_be_a_providers_own(cluster: Cluster) -> None:
    desk = cluster.desks[0]
    for endpoint in (SICK, SPARED):
        await cluster.fail(desk, 10, endpoint)
    await cluster.look()
    opened: list[bool] = []
    for _ in range(3):
        cluster.now += timedelta(seconds=16)
        opened.append(desk.is_open(SICK))
        assert not desk.is_open(SPARED)
        for endpoint in (SICK, SPARED):
            if not desk.is_open(endpoint):
                await desk.end(await desk.begin(endpoint), Ended.FAILED)
    assert opened == [False, True, False]


async def test_a_probe_of_a_process_that_is_gone_counts_as_failed_in_the_end(cluster: Cluster) -> None:
    await cluster.opened()
    cluster.now += timedelta(seconds=15)
    lost = await cluster.desks[0].begin(SICK)
    await cluster.look()
    cluster.now += timedelta(seconds=20)
    await cluster.look()
    changes = await load_changes(cluster.pool, None, 10)
    assert [(one.from_state, one.to_state, one.cause) for one in changes] == [
        ("half_open", "open", "probe_failed"),
        ("open", "half_open", "probes_began"),
        ("closed", "open", "failures"),
    ]
    await cluster.desks[0].end(lost, Ended.OK)
    assert len(await load_changes(cluster.pool, None, 10)) == 3, "it comes back too late to count"


async def test_a_probe_that_was_not_made_leaves_room(cluster: Cluster) -> None:
    await cluster.opened()
    cluster.now += timedelta(seconds=15)
    passed, _ = await cluster.try_all(5)
    await cluster.desks[0].end(passed[0], Ended.UNUSED)
    assert len((await cluster.try_all(5))[0]) == 1


async def test_what_changes_is_in_history_audit_and_events(cluster: Cluster, database_url: str) -> None:
    await cluster.opened()
    (change,) = await load_changes(cluster.pool, "sick", 10)
    assert (change.cause, change.actor, change.reason) == (
        "failures",
        "croupier",
        "10 of 10 calls failed",
    )
    assert (change.failed, change.ok, change.retry_at) == (10, 0, T0 + timedelta(seconds=15))
    payload = json.loads(await read_value(database_url, "SELECT payload FROM croupier.outbox_event"))
    assert payload["type"] == "breaker.opened"
    assert payload["data"] == {
        "provider": "sick",
        "operation": "launch",
        "cause": "10 of 10 calls failed",
        "failures": 10,
        "opened_at": "2026-03-01T12:00:00Z",
        "retry_at": "2026-03-01T12:00:15Z",
    }
    record = "SELECT action || ' ' || subject FROM croupier.audit_record"
    assert await read_value(database_url, record) == "breaker.open breaker:sick:launch"


async def test_a_person_holds_it_open_until_a_person_closes_it(cluster: Cluster, database_url: str) -> None:
    await cluster.change(lambda one: open_by_hand(one, cluster.now), actor="cli:ann", reason="ticket 1")
    await cluster.look()
    cluster.now += timedelta(days=3)
    await cluster.look()
    passed, refused = await cluster.try_all(3)
    assert not passed
    assert {error.retry_after_s for error in refused} == {60}
    await cluster.change(lambda one: close_by_hand(one, cluster.now), actor="cli:bob", reason="ticket 2")
    await cluster.look()
    assert len((await cluster.try_all(3))[0]) == 9
    changes = await load_changes(cluster.pool, "sick", 10)
    assert [(one.cause, one.actor, one.reason) for one in changes] == [
        ("by_hand", "cli:bob", "ticket 2"),
        ("by_hand", "cli:ann", "ticket 1"),
    ]
    connection = await connect_app(database_url)
    try:
        report = await verify_chain(connection)
    finally:
        await connection.close()
    assert (report.is_whole, report.records) == (True, 2)


async def test_history_cannot_be_edited(cluster: Cluster) -> None:
    await cluster.opened()
    for statement in ("UPDATE breaker_change SET reason = 'x'", "DELETE FROM provider_breaker"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await cluster.pool.execute(statement)


async def test_without_its_database_a_process_goes_by_what_it_knew_and_reports_later(
    database_url: str,
) -> None:
    pool = await create_pool(database_url, min_size=1, max_size=2)
    cluster = Cluster(pool, 1)
    (desk,) = cluster.desks
    await cluster.look()
    real, desk._pool = desk._pool, _Gone()
    await cluster.fail(desk, 10)
    await desk.look()
    assert not desk.is_open(SICK), "nobody could judge it"
    desk._pool = real
    await desk.look()
    assert desk.is_open(SICK), "nothing of the count was lost"
    cluster.now += timedelta(seconds=15)
    desk._pool = _Gone()
    with pytest.raises(CroupierError) as refused:
        await desk.begin(SICK)
    assert refused.value.kind is UNAVAILABLE, "a probe is bounded for all, so nobody can say"
    await pool.close()


class _Gone:
    """A pool whose database is away."""

    def acquire(self, timeout: float | None = None) -> Any:
        raise ConnectionRefusedError("away")


QUICK = BreakerSettings(min_calls=3, open_s=600, open_cap_s=600, probes=1)


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with open_house(database_url, breakers=QUICK) as opened:
        yield opened
    await require_sound_books(database_url)


async def sicken(house: House) -> None:
    """Three launches in a row of which nobody can tell what came."""
    house.studio.script.extend(["drop"] * 3)
    for number in range(3):
        await house.post("/v1/sessions", OPENING, key=f"sick-{number}")
    await house.deps.breakers.look()


async def test_a_sick_provider_gets_no_launches_and_the_player_a_friendly_word(house: House) -> None:
    await sicken(house)
    seen = len(house.studio.seen)
    refused = await house.post("/v1/sessions", OPENING | {"player_id": "player-2"})
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["reason"]) == (
        503,
        "provider_unavailable",
        "breaker_open",
    )
    assert problem["retryable"] is True
    assert "short break" in problem["player_message"]
    assert "studio" not in problem["player_message"]
    assert 590 <= int(refused.headers["retry-after"]) <= 600
    assert len(house.studio.seen) == seen, "the provider is left alone"
    assert (await house.get("/v1/sessions", player_id="player-2")).json()["sessions"] == []
    assert [one.result for one in house.launches] == ["unknown"] * 3 + ["held_back"]
    games = (await house.get("/v1/games")).json()["games"]
    assert {one["game_id"]: one["available"] for one in games} == {
        "dice": False,
        "limbo": False,
        "offline": True,
    }


async def test_running_sessions_pay_out_while_launches_are_held_back(house: House) -> None:
    await house.deposit("d-1", 500)
    session = await house.open()
    await sicken(house)
    ours = {"session_id": session_uuid(session), "player_id": PLAYER}
    ((placed,), (paid,)) = (
        await house.provider_call(bet("b-1", 100, **ours)),
        await house.provider_call(win("w-1", 300, **ours)),
    )
    assert (placed.code, paid.code, paid.balance) == ("ok", "ok", 700)


async def test_a_repeat_finds_its_session_whatever_became_of_the_provider(house: House) -> None:
    opened = await house.post("/v1/sessions", OPENING, key="before")
    await sicken(house)
    again = await house.post("/v1/sessions", OPENING, key="before")
    assert (again.status_code, again.json()) == (201, opened.json())
    created = await house.post("/v1/sessions", OPENING, key="sick-1")
    assert (created.status_code, created.json()["state"]) == (201, "created")


async def test_a_launch_that_succeeds_as_a_probe_lets_everybody_in_again(house: House) -> None:
    await sicken(house)
    await house.pool.execute("UPDATE provider_breaker SET retry_at = now() - interval '1 second'")
    await house.deps.breakers.look()
    assert (await house.open())["state"] == "launched"
    assert (await house.open())["state"] == "launched"
    games = (await house.get("/v1/games")).json()["games"]
    assert all(one["available"] for one in games)


async def test_a_refusal_of_business_is_no_failure_of_the_provider(house: House) -> None:
    house.studio.script.extend(["refuse"] * 5)
    for _ in range(5):
        await house.post("/v1/sessions", OPENING)
    await house.deps.breakers.look()
    assert (await house.open())["state"] == "launched"
