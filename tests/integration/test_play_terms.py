"""What a jurisdiction asks of stakes, on the real money path: caps of a cycle, and idle sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from croupier.errors import NOT_ELIGIBLE, CroupierError
from croupier.ids import bucket_of
from integration.casino import ALICE, Casino, open_casino
from model import calls
from model.calls import NOW


@pytest.fixture
async def casino(database_url: str) -> AsyncIterator[Casino]:
    async with open_casino(database_url) as found:
        await found.put(calls.deposit("d1", 10_000, player_id=ALICE))
        yield found


async def stake(casino: Casino, session: UUID, reference: str, amount: int, round_id: str = "r1") -> str:
    """What a bet was told."""
    bet = calls.bet(reference, amount, session_id=session, player_id=ALICE, round_id=round_id)
    (outcome,) = await casino.put(bet)
    return outcome.code


async def test_a_cycle_is_capped_however_it_is_split(casino: Casino) -> None:
    session = await casino.open(ALICE, asks={"stake_cap": 500})
    assert await stake(casino, session, "b1", 501) == "limit_reached"
    assert await stake(casino, session, "b2", 300) == "ok"
    assert await stake(casino, session, "b3", 201) == "limit_reached"
    assert await stake(casino, session, "b4", 200) == "ok"
    assert await stake(casino, session, "b5", 1) == "limit_reached"
    assert await stake(casino, session, "b6", 0) == "ok"
    assert await stake(casino, session, "b7", 500, round_id="r2") == "ok"
    # What was declined stays declined, and a repeat of what was approved is no second stake.
    assert await stake(casino, session, "b5", 1) == "limit_reached"
    assert await stake(casino, session, "b4", 200) == "ok"


async def test_what_is_rolled_back_makes_room_and_wins_are_never_capped(casino: Casino) -> None:
    session = await casino.open(ALICE, asks={"stake_cap": 500})
    assert await stake(casino, session, "b1", 500) == "ok"
    await casino.put(calls.rollback("b1", "rb1", player_id=ALICE))
    assert await stake(casino, session, "b2", 500) == "ok"
    (won,) = await casino.put(calls.win("w1", 9_999, session_id=session, player_id=ALICE))
    assert won.code == "ok"


async def test_bets_of_one_cycle_that_race_never_pass_the_cap_together(casino: Casino) -> None:
    session = await casino.open(ALICE, asks={"stake_cap": 500})
    told = await asyncio.gather(*(stake(casino, session, f"b{n}", 100) for n in range(20)))
    assert sorted(told) == ["limit_reached"] * 15 + ["ok"] * 5


async def test_an_idle_session_takes_no_stake_and_pays_what_is_won(casino: Casino) -> None:
    session = await casino.open(ALICE, asks={"idle_close_s": 1800})
    assert await stake(casino, session, "b1", 100) == "ok"
    casino.wait(timedelta(seconds=1799))
    assert await stake(casino, session, "b2", 100) == "ok"
    casino.wait(timedelta(seconds=1800))
    assert await stake(casino, session, "b3", 100) == "session_not_active"
    (won,) = await casino.put(calls.win("w1", 50, session_id=session, player_id=ALICE))
    assert won.code == "ok"


async def test_a_session_without_such_terms_is_neither_capped_nor_idle(casino: Casino) -> None:
    session = await casino.open(ALICE)
    casino.wait(timedelta(hours=7))
    assert await stake(casino, session, "b1", 9_000) == "ok"


async def test_no_session_is_opened_on_a_decision_that_is_over(casino: Casino) -> None:
    session = UUID(int=bucket_of(ALICE))
    opened = calls.open_session(session, player_id=ALICE)

    def until(when: Any) -> Any:
        return structs.replace(opened, grant=structs.replace(opened.grant, expires_at=when))

    with pytest.raises(CroupierError) as refused:
        await casino.put(until(NOW))
    assert (refused.value.kind, refused.value.reason) == (NOT_ELIGIBLE, "decision_expired")
    await casino.put(until(NOW + timedelta(minutes=1)))
    # A redo of what was opened finds it, however late it comes.
    casino.wait(timedelta(hours=1))
    (outcome,) = await casino.put(until(NOW + timedelta(minutes=1)))
    assert outcome.is_repeat
