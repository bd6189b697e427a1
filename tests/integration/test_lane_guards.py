"""What keeps a lane alive, or lets it die loudly: silence, its own faults, and other people's players."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from lane_desk import approved, held_wallet, make_stamp, open_desk, require_sound_books
from wire_proxy import Cut, WireProxy

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.moneypath.lane import HURRIED_MS, BatchRecord, Lane, LaneSettings
from croupier.runtime import database
from croupier.runtime.database import connect_app

WaitUntil = Callable[..., Awaitable[None]]


async def test_a_server_that_falls_silent_is_given_up_and_asked_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    monkeypatch.setattr(database, "APP_STATEMENT_TIMEOUT_MS", 300)
    monkeypatch.setattr(database, "SILENCE_S", 0.2)
    async with (
        WireProxy(database_url) as proxy,
        open_desk(database_url, connect=lambda: connect_app(proxy.url, lane=True)) as desk,
    ):
        seat = await desk.seat("player-1")
        proxy.arm(Cut.SILENT)
        outcome = await desk.ask(seat.bet("bet-1"))
        assert proxy.cuts == 1
        assert (outcome.is_approved, outcome.is_repeat) == (True, False)
    await require_sound_books(database_url)


class OverheardConnection:
    """A connection that tells what it was asked to execute."""

    def __init__(self, connection: asyncpg.Connection, heard: list[str]) -> None:
        self._connection = connection
        self._heard = heard
        self.fetchrow = connection.fetchrow
        self.terminate = connection.terminate

    async def execute(self, query: str) -> str:
        """Run a statement without result."""
        self._heard.append(query)
        status: str = await self._connection.execute(query)
        return status


async def test_only_the_call_that_stands_alone_waits_its_full_time_for_a_held_player(
    database_url: str,
) -> None:
    heard: list[str] = []

    async def connect() -> OverheardConnection:
        return OverheardConnection(await connect_app(database_url, lane=True), heard)

    async with open_desk(database_url, connect=connect) as desk:
        seats = await desk.seats(16)
        heard.clear()
        async with held_wallet(database_url, "player-5"):
            answers = await desk.ask_all([seat.bet(f"bet-{seat.player_id}") for seat in seats])
        assert len(approved(answers)) == 15
    waits = [query for query in heard if query.startswith("SET")]
    # The halves of 8, then of 4, then of 2 that hold the player, and their other halves; never one call alone.
    assert waits == [f"SET LOCAL lock_timeout = {HURRIED_MS}"] * 6


async def test_a_lane_that_dies_by_a_fault_of_its_own_says_so_and_leaves_nobody_waiting(
    database_url: str, wait_until: WaitUntil
) -> None:
    deaths: list[str] = []

    def fail(record: BatchRecord) -> None:
        raise RuntimeError("telemetry is broken")

    lane = Lane(
        0,
        lambda: connect_app(database_url, lane=True),
        make_stamp,
        LaneSettings(batch=1),
        fail,
        lambda: deaths.append("died"),
    )
    async with open_desk(database_url) as desk:
        seat = await desk.seat("player-1")
    lane.start()
    answers = [lane.submit(seat.bet(f"bet-{number}")) for number in range(3)]
    decided, *waiting = await asyncio.gather(*answers, return_exceptions=True)
    assert not isinstance(decided, BaseException)
    for refused in waiting:
        assert isinstance(refused, CroupierError)
        assert refused.kind is UNAVAILABLE
    assert deaths == ["died"]
    with pytest.raises(CroupierError, match="this process is stopping"):
        lane.submit(seat.bet("bet-late"))
    await lane.drain()
