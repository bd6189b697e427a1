"""A rehearsal tells what a call would get and do, and leaves no trace of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from casino import ALICE, BOB, Casino, open_casino
from lane_desk import IDS, held_wallet, make_stamp, nonce_of, require_sound_books
from msgspec import structs

from croupier.errors import CroupierError
from croupier.ids import bucket_of
from croupier.moneypath.commands import Action, Call
from croupier.moneypath.outcomes import Outcome
from croupier.moneypath.rehearsal import Rehearsed, rehearse
from croupier.runtime.database import connect_app
from model import calls
from model.calls import POOL


def call(action: Action, **fields: Any) -> Call:
    """A call of one action, in its player's bucket."""
    player = getattr(action, "player_id", ALICE)
    bucket = bucket_of(player)
    made = calls.call(action, bucket=bucket, player_id=player, pools=(POOL,), request_id=IDS.new(bucket))
    return structs.replace(made, **fields)


@pytest.fixture
async def casino(database_url: str) -> AsyncIterator[Casino]:
    async with open_casino(database_url) as opened:
        yield opened
    await require_sound_books(database_url)


@pytest.fixture
async def lane(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect_app(database_url, lane=True)
    yield connection
    await connection.close()


async def seat(casino: Casino, player: str) -> UUID:
    """A player with a thousand minor units and an open session."""
    await casino.put(calls.deposit(f"d-{player}", 1_000, player_id=player))
    return await casino.open(player)


def code_of(rehearsed: Rehearsed) -> str:
    """What the call's one action got."""
    if isinstance(rehearsed.answer, CroupierError):
        return rehearsed.answer.kind.code
    (outcome,) = rehearsed.answer
    return "repeat" if outcome.is_repeat else outcome.code


async def test_a_rehearsal_sees_the_calls_before_it_and_the_run_gets_the_same(
    casino: Casino, lane: asyncpg.Connection
) -> None:
    own = {"session_id": await seat(casino, ALICE), "player_id": ALICE}
    batch = [
        call(calls.bet("b1", 600, **own)),
        call(calls.bet("b2", 600, **own)),
        call(calls.win("w1", 250, **own)),
        call(calls.win("w1", 250, **own)),
        call(calls.win("w1", 251, **own)),
        call(calls.rollback("b1", "rb1", player_id=ALICE)),
        call(calls.rollback("nothing", "rb2", player_id=ALICE)),
        call(calls.close_session(own["session_id"], ALICE)),
    ]
    rehearsal = await rehearse(lane, batch, make_stamp)
    told = [code_of(one) for one in rehearsal.results]
    assert told == [
        "ok",
        "insufficient_funds",
        "ok",
        "repeat",
        "reference_conflict",
        "ok",
        "nothing_to_roll_back",
        "ok",
    ]
    assert [dict(one.wallets) for one in rehearsal.results] == [
        {"EUR": -600},
        {},
        {"EUR": 250},
        {},
        {},
        {"EUR": 600},
        {},
        {},
    ]
    assert [len(one.breaks) for one in rehearsal.results] == [0, 0, 0, 0, 1, 1, 0, 0]
    assert [one.entries for one in rehearsal.results] == [1, 0, 1, 0, 0, 1, 0, 1]
    run: list[tuple[Outcome, ...] | CroupierError] = []
    for one in batch:
        try:
            run.append(await casino.lanes.submit(one))
        except CroupierError as error:
            run.append(error)
    assert told == [code_of(Rehearsed(answer, (), 0, ())) for answer in run]


async def test_a_rehearsal_leaves_no_trace(
    casino: Casino, lane: asyncpg.Connection, database_url: str
) -> None:
    session = await seat(casino, ALICE)
    nonce = nonce_of("nonce-1")
    bet = call(calls.bet("b1", 600, session_id=session, player_id=ALICE), nonce=nonce)
    newcomer = call(calls.deposit("d9", 5, player_id="newcomer"))
    rehearsal = await rehearse(lane, [bet, newcomer], make_stamp)
    assert [code_of(one) for one in rehearsal.results] == ["ok", "ok"]
    reader = await connect_app(database_url)
    try:
        assert await reader.fetchval("SELECT count(*) FROM nonce") == 0
        assert await reader.fetchval("SELECT count(*) FROM account WHERE owner = 'newcomer'") == 0
        assert await reader.fetchval("SELECT count(*) FROM money_reference WHERE reference = 'b1'") == 0
    finally:
        await reader.close()
    (outcome,) = await casino.lanes.submit(bet)
    assert (outcome.code, outcome.is_repeat) == ("ok", False)


async def test_a_rehearsal_holds_nobody_once_it_is_told(
    casino: Casino, lane: asyncpg.Connection, database_url: str
) -> None:
    session = await seat(casino, ALICE)
    await rehearse(lane, [call(calls.bet("b1", 1, session_id=session, player_id=ALICE))], make_stamp)
    async with held_wallet(database_url, ALICE):
        pass


async def test_a_rehearsal_does_not_wait_long_for_a_player_who_is_held(
    casino: Casino, lane: asyncpg.Connection, database_url: str
) -> None:
    session = await seat(casino, ALICE)
    bet = call(calls.bet("b1", 1, session_id=session, player_id=ALICE))
    async with held_wallet(database_url, ALICE):
        with pytest.raises(asyncpg.LockNotAvailableError):
            await rehearse(lane, [bet], make_stamp)
    rehearsal = await rehearse(lane, [bet], make_stamp)
    assert code_of(rehearsal.results[0]) == "ok"


async def test_a_rehearsal_in_parts_is_the_rehearsal_of_the_whole(
    casino: Casino, lane: asyncpg.Connection
) -> None:
    """Facts that a part changed are carried on: balances, references, rounds, sessions, what was paid, closings."""
    session = await seat(casino, ALICE)
    other = await seat(casino, BOB)
    own = {"session_id": session, "player_id": ALICE}
    await casino.put(calls.bet("b0", 10, round_id="r0", **own))
    await casino.put(calls.bet("b8", 1, round_id="over", **own))
    await casino.put(calls.close_round("c8", round_id="over", **own))
    batch = [
        call(calls.bet("b1", 700, **own)),
        call(calls.win("w1", 100, **own)),
        call(calls.close_session(session, ALICE)),
        call(calls.close_round("c0", round_id="r0", **own)),
        call(calls.close_round("c1", **own)),
        call(calls.bet("b2", 1, **own)),
        call(calls.win("w1", 100, **own)),
        call(calls.win("late", 30, round_id="r0", **own)),
        call(calls.rollback("b1", "rb1", player_id=ALICE)),
        call(calls.rollback("w1", "rb2", player_id=ALICE)),
        call(calls.bet("b9", 5, session_id=other, player_id=BOB)),
        call(calls.rollback("late", "rb3", player_id=ALICE)),
        call(calls.win("w8", 0, round_id="over", **own)),
    ]
    rehearsal = await rehearse(lane, batch, make_stamp)
    whole = rehearsal.results
    for size in (1, 2, 3, 5):
        parts: list[Rehearsed] = []
        facts = None
        for start in range(0, len(batch), size):
            part = await rehearse(lane, batch[start : start + size], make_stamp, earlier=facts)
            facts = part.facts
            parts += part.results
        assert [_plain(one) for one in parts] == [_plain(one) for one in whole], f"parts of {size}"
        assert facts is not None
        assert facts.sessions[session] == rehearsal.facts.sessions[session]
        over = (session, "over")
        assert facts.rounds[over].state == rehearsal.facts.rounds[over].state == "settled"


def _plain(one: Rehearsed) -> tuple[Any, ...]:
    """A rehearsed call without the ids that every rehearsal makes anew."""
    breaks = tuple((found.kind, found.subject) for found in one.breaks)
    if isinstance(one.answer, CroupierError):
        return one.answer.kind.code, one.wallets, one.entries, breaks
    told = tuple((outcome.code, outcome.is_repeat, outcome.balance, outcome.moved) for outcome in one.answer)
    return told, one.wallets, one.entries, breaks
