"""Lanes and a database that fails: lost COMMIT replies, outages, ended connections (I2, I3, FT5, FT29, FT41)."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from lane_desk import (
    IDS,
    Desk,
    Seat,
    approved,
    attempt,
    balance_of,
    held_wallet,
    make_stamp,
    open_desk,
    read_value,
    refusals,
    require_sound_books,
    waiting_for_locks,
)
from msgspec import structs
from wire_proxy import Cut, WireProxy

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.ids import bucket_of
from croupier.moneypath.commands import Idempotency
from croupier.moneypath.facts import Stamp
from croupier.moneypath.outcomes import Outcome
from croupier.runtime.database import connect_app
from model.calls import NOW, call, close_session, confirm, deposit, fail, open_session

WaitUntil = Callable[..., Awaitable[None]]
PLAYER = "player-1"


@contextlib.asynccontextmanager
async def desk_behind_proxy(url: str, outage_s: float = 10.0) -> AsyncIterator[tuple[Desk, WireProxy]]:
    async with (
        WireProxy(url) as proxy,
        open_desk(url, connect=lambda: connect_app(proxy.url, lane=True), outage_s=outage_s) as desk,
    ):
        yield desk, proxy


async def lose_commit(proxy: WireProxy, cut: Cut, url: str, wait_until: WaitUntil) -> None:
    """Wait until a COMMIT was lost; a late one is passed on while its own redo waits for the wallet."""
    await wait_until(lambda: proxy.cuts)
    if cut is Cut.LATE:
        await wait_until(lambda: waiting_for_locks(url))
        proxy.let_commit()


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER, Cut.LATE])
async def test_a_batch_whose_commit_was_lost_is_answered_once_and_as_the_original(
    database_url: str, wait_until: WaitUntil, cut: Cut
) -> None:
    async with desk_behind_proxy(database_url) as (desk, proxy):
        seat = await desk.seat(PLAYER, purse=100)
        requests = [seat.bet(f"bet-{number}") for number in range(20)]
        requests += [seat.bet("too-much", 101), seat.bet("bet-7")]
        proxy.arm(cut)
        asked = asyncio.create_task(desk.ask_all(requests))
        await lose_commit(proxy, cut, database_url, wait_until)
        answers = [answer for answer in await asked if isinstance(answer, Outcome)]
        assert [answer.balance for answer in answers] == [*range(99, 79, -1), 80, 92]
        assert [answer.is_repeat for answer in answers] == [False] * 21 + [True]
        again = await desk.ask(seat.bet("bet-7"))
        assert again == answers[-1] == structs.replace(answers[7], is_repeat=True, current_balance=80)
    assert proxy.cuts == 1
    assert await balance_of(database_url, PLAYER) == 80
    await require_sound_books(database_url)


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
async def test_every_step_of_a_session_happens_once_although_its_commit_was_lost(
    database_url: str, cut: Cut
) -> None:
    async with desk_behind_proxy(database_url) as (desk, proxy):
        seat = Seat(PLAYER, IDS.new(bucket_of(PLAYER)))
        steps = [
            deposit(player_id=PLAYER),
            open_session(seat.session_id, player_id=PLAYER),
            confirm(seat.session_id, PLAYER),
            seat.bet_action("bet"),
            close_session(seat.session_id, PLAYER),
        ]
        for number, step in enumerate(steps, 1):
            proxy.arm(cut)
            outcome = await desk.ask(attempt(call(step), PLAYER))
            assert outcome.is_approved, step
            assert proxy.cuts == number
    assert await history_of(database_url) == ["created", "launched", "active", "pending_settlement"]
    await require_sound_books(database_url)


@pytest.mark.parametrize("cut", [Cut.BEFORE, Cut.AFTER])
async def test_a_failed_launch_whose_commit_was_lost_is_no_illegal_transition(
    database_url: str, cut: Cut
) -> None:
    async with desk_behind_proxy(database_url) as (desk, proxy):
        seat = await desk.seat(PLAYER)
        proxy.arm(cut)
        assert (await desk.ask(attempt(call(fail(seat.session_id, PLAYER)), PLAYER))).is_approved
        assert proxy.cuts == 1
    assert await history_of(database_url) == ["created", "failed"]


async def history_of(url: str) -> Any:
    return await read_value(url, "SELECT array_agg(to_state ORDER BY seq) FROM session_event")


async def test_an_operators_answer_whose_commit_was_lost_is_not_called_a_replay(database_url: str) -> None:
    wanted = Idempotency(
        bucket_of(PLAYER), "api-1", "key-1", "print", NOW + timedelta(days=1), lambda _: (200, "stored")
    )
    async with desk_behind_proxy(database_url) as (desk, proxy):
        request = attempt(call(deposit(player_id=PLAYER)), PLAYER, idempotency=wanted)
        proxy.arm(Cut.AFTER)
        outcome = await desk.ask(request)
        assert proxy.cuts == 1
        assert (outcome.is_approved, outcome.is_repeat) == (True, False)
        repeated = await desk.ask(attempt(request, PLAYER))
        assert (repeated.answer, repeated.is_repeat) == ((200, "stored"), True)


async def test_calls_wait_for_a_database_that_comes_back(database_url: str, wait_until: WaitUntil) -> None:
    async with desk_behind_proxy(database_url) as (desk, proxy):
        seat = await desk.seat(PLAYER)
        proxy.go_down()
        asked = asyncio.create_task(desk.ask_all([seat.bet(f"bet-{number}") for number in range(10)]))
        await wait_until(lambda: proxy.turned_away >= 5)
        assert not asked.done()
        proxy.come_back()
        assert len(approved(await asked)) == 10
    assert await balance_of(database_url, PLAYER) == 990


async def test_calls_are_refused_when_the_database_stays_away(
    database_url: str, wait_until: WaitUntil
) -> None:
    async with desk_behind_proxy(database_url, outage_s=0.3) as (desk, proxy):
        seat = await desk.seat(PLAYER)
        proxy.go_down()
        async with asyncio.timeout(5):
            answers = await desk.ask_all([seat.bet(f"bet-{number}") for number in range(10)])
        assert {(error.kind, error.retry_after_s) for error in refusals(answers)} == {(UNAVAILABLE, 1)}
        assert len(refusals(answers)) == 10
        proxy.come_back()
        again = [await desk.ask(seat.bet(f"bet-{number}")) for number in range(10)]
        assert {(outcome.is_approved, outcome.is_repeat) for outcome in again} == {(True, False)}
    assert await balance_of(database_url, PLAYER) == 990


async def test_connections_the_server_ends_are_replaced_without_anybody_noticing(
    database_url: str, wait_until: WaitUntil
) -> None:
    end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'croupier'"
    async with open_desk(database_url) as desk:
        seat = await desk.seat(PLAYER)
        await read_value(database_url, f"{end} AND datname = current_database()")
        assert (await desk.ask(seat.bet("after-idle"))).is_approved
        async with held_wallet(database_url, PLAYER):
            asked = asyncio.create_task(desk.ask_all([seat.bet("one"), seat.bet("two")]))
            await wait_until(lambda: waiting_for_locks(database_url))
            await read_value(
                database_url, f"{end} AND datname = current_database() AND wait_event_type = 'Lock'"
            )
        assert [outcome.is_repeat for outcome in approved(await asked)] == [False, False]
    assert await balance_of(database_url, PLAYER) == 997


async def test_a_process_that_was_paused_inside_a_transaction_decides_again(
    database_url: str, wait_until: WaitUntil
) -> None:
    """PostgreSQL ends a transaction that is idle too long (25P03): the call must not pay for it."""
    pauses = [True]

    async def connect() -> asyncpg.Connection:
        connection = await connect_app(database_url, lane=True, application_name="paused-lane")
        await connection.execute("SET idle_in_transaction_session_timeout = '100ms'")
        return connection

    def stamp() -> Stamp:
        if pauses and armed:
            pauses.pop()
            pause_until_gone(database_url, wait_until)
        return make_stamp()

    armed: list[bool] = []
    async with open_desk(database_url, connect=connect, stamp=stamp) as desk:
        seat = await desk.seat(PLAYER)
        armed.append(True)
        (answer,) = await desk.ask_all([seat.bet("bet")])
        assert not pauses, "the transaction was paused"
        assert isinstance(answer, Outcome), answer
        assert (answer.is_approved, answer.is_repeat) == (True, False)
    assert await balance_of(database_url, PLAYER) == 999


def pause_until_gone(url: str, wait_until: WaitUntil) -> None:
    """Block this thread, as SIGSTOP would, until the server has ended the lane's connection."""
    sql = """
        SELECT count(*) = 0 FROM pg_stat_activity
         WHERE application_name = 'paused-lane' AND datname = current_database()
    """

    async def wait_until_gone() -> None:
        await wait_until(lambda: read_value(url, sql))

    thread = threading.Thread(target=lambda: asyncio.run(wait_until_gone()))
    thread.start()
    thread.join()


async def _is_resting(url: str) -> bool:
    sql = """
        SELECT bool_and(state = 'idle' AND state_change < now() - interval '50 milliseconds') FROM pg_stat_activity
         WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
    """
    return bool(await read_value(url, sql))


async def test_a_server_that_became_read_only_is_left_for_another_connection(
    database_url: str, wait_until: WaitUntil
) -> None:
    """After a failover the old primary refuses writes (25006); the calls wait for a connection that takes them."""
    connections: list[asyncpg.Connection] = []

    async def connect() -> asyncpg.Connection:
        connection = await connect_app(database_url, lane=True)
        connections.append(connection)
        return connection

    async with open_desk(database_url, connect=connect) as desk:
        seat = await desk.seat(PLAYER)
        # The transaction that a resting lane began ahead is older than the failover; it is given up after a moment.
        await wait_until(lambda: _is_resting(database_url))
        await connections[0].execute("SET default_transaction_read_only = on")
        (answer,) = await desk.ask_all([seat.bet("bet")])
        assert not isinstance(answer, CroupierError), answer
        assert answer.is_approved
    assert len(connections) == 2
