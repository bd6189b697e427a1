"""Session tokens that open nothing any more are forgotten by the duties; those that may still be needed stay."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest
from lane_desk import IDS, Desk, Seat, attempt, open_desk, read_value, require_sound_books

from croupier.moneypath.commands import IssueToken, Rules
from croupier.runtime.database import connect_app, connect_owner, create_pool
from croupier.runtime.duties import (
    ENDED_TOKENS_FOR,
    PURGE_BATCH,
    REPLACED_TOKENS_FOR,
    purge_tokens,
    run_duties,
)
from croupier.runtime.statements import load_statements
from model.calls import NOW, call, close_round, close_session, win

MOMENT = timedelta(seconds=1)
PLAYER = "player-1"
STRICT = Rules(strict_tokens=True)
FILL = (
    "INSERT INTO session_token SELECT s.bucket, $2 || n, s.id, $3, $4 FROM session s, generate_series(1, $5) n "
    "WHERE s.id = $1"
)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections with the application's rights, as the duties have them."""
    made = await create_pool(database_url, min_size=2, max_size=2)
    yield made
    await made.close()


async def give(desk: Desk, seat: Seat, token: str, *, replaces: str | None = None) -> None:
    issue = IssueToken(
        session_id=seat.session_id, player_id=seat.player_id, token_hash=token, replaces=replaces
    )
    assert (await desk.ask(attempt(call(issue), seat.player_id))).is_approved


async def end(desk: Desk, seat: Seat) -> None:
    assert (
        await desk.ask(attempt(call(close_session(seat.session_id, seat.player_id)), seat.player_id))
    ).is_approved


async def tokens(url: str) -> list[str]:
    """What tokens there are."""
    connection = await connect_app(url)
    try:
        return [row[0] for row in await connection.fetch("SELECT token_hash FROM session_token ORDER BY 1")]
    finally:
        await connection.close()


async def fill(url: str, seat: Seat, name: str, count: int, *, is_replaced: bool = False) -> None:
    connection = await connect_owner(url)
    try:
        replaced_at = NOW if is_replaced else None
        await connection.execute(FILL, seat.session_id, name, NOW, replaced_at, count)
    finally:
        await connection.close()


async def test_the_tokens_of_a_session_are_forgotten_thirty_days_after_its_end(
    database_url: str, pool: asyncpg.Pool
) -> None:
    async with open_desk(database_url) as desk:
        played, cancelled, open_still = await desk.seats(3)
        for seat in (played, cancelled, open_still):
            await give(desk, seat, f"of-{seat.player_id}")
        await desk.ask(played.bet("bet", round_id="r1"))
        done = close_round("close", "r1", player_id=played.player_id, session_id=played.session_id)
        await desk.ask(played.call(done))
        await end(desk, played)
        await end(desk, cancelled)
    assert await purge_tokens(pool, NOW + ENDED_TOKENS_FOR) == 0
    assert await purge_tokens(pool, NOW + ENDED_TOKENS_FOR + MOMENT) == 2
    assert await tokens(database_url) == [f"of-{open_still.player_id}"]
    await require_sound_books(database_url)


async def test_a_session_with_money_still_to_come_keeps_its_tokens(
    database_url: str, pool: asyncpg.Pool
) -> None:
    async with open_desk(database_url) as desk:
        seat = await desk.seat(PLAYER)
        await give(desk, seat, "token")
        await desk.ask(seat.bet("bet", round_id="r1"))
        await end(desk, seat)
    assert await purge_tokens(pool, NOW + 10 * ENDED_TOKENS_FOR) == 0
    assert await tokens(database_url) == ["token"]


async def test_a_replaced_token_is_forgotten_after_a_day_and_the_new_one_stays(
    database_url: str, pool: asyncpg.Pool
) -> None:
    async with open_desk(database_url) as desk:
        await give(desk, seat := await desk.seat(PLAYER), "old")
        await give(desk, seat, "new", replaces="old")
        assert await purge_tokens(pool, NOW + REPLACED_TOKENS_FOR) == 0
        assert await purge_tokens(pool, NOW + REPLACED_TOKENS_FOR + MOMENT) == 1
        assert await tokens(database_url) == ["new"]
        await give(desk, seat, "newer", replaces="new")


async def test_a_replaced_token_stays_while_a_round_is_open_and_its_win_is_paid(
    database_url: str, pool: asyncpg.Pool
) -> None:
    """The bet was taken under the old token, and the protocol settles it under the same."""
    later = NOW + 3 * REPLACED_TOKENS_FOR
    async with open_desk(database_url) as desk:
        await give(desk, seat := await desk.seat(PLAYER), "old")
        await desk.ask(seat.bet("bet", round_id="r1"))
        await give(desk, seat, "new", replaces="old")
        assert await purge_tokens(pool, later) == 0
        paid = win("win", 5, player_id=PLAYER, session_id=None, round_id="r1", close_round=True)
        assert (await desk.ask(seat.call(paid, token_hash="old", rules=STRICT))).is_approved
        assert await purge_tokens(pool, later) == 1
    assert await tokens(database_url) == ["new"]
    await require_sound_books(database_url)


@pytest.mark.parametrize("is_replaced", [True, False])
async def test_many_more_tokens_than_one_purge_takes_are_all_purged_past_those_that_stay(
    database_url: str, pool: asyncpg.Pool, is_replaced: bool
) -> None:
    """What must stay comes first in the list and fills more than a page of it."""
    many = PURGE_BATCH + PURGE_BATCH // 2
    async with open_desk(database_url) as desk:
        staying, going = await desk.seats(2)
        await desk.ask(staying.bet("bet"))
        if not is_replaced:
            await end(desk, going)
    await fill(database_url, staying, "a-stays-", many, is_replaced=is_replaced)
    await fill(database_url, going, "b-goes-", many, is_replaced=is_replaced)
    later = NOW + ENDED_TOKENS_FOR + MOMENT
    assert sum(await asyncio.gather(purge_tokens(pool, later), purge_tokens(pool, later))) == many
    left = await tokens(database_url)
    assert len(left) == many
    assert all(name.startswith("a-stays-") for name in left)


@pytest.mark.parametrize(
    ("statement", "index", "arguments"),
    [
        ("tokens_of_ended_sessions", "session_token_age", (["settled"],)),
        ("replaced_tokens", "session_token_replaced", ()),
    ],
)
async def test_a_page_is_read_from_an_index(
    database_url: str, statement: str, index: str, arguments: tuple[list[str], ...]
) -> None:
    async with open_desk(database_url) as desk:
        seat = await desk.seat(PLAYER)
    await fill(database_url, seat, "old-", 3 * PURGE_BATCH, is_replaced=True)
    connection = await connect_owner(database_url)
    try:
        await connection.execute("ANALYZE session_token")
        sql = load_statements("croupier/runtime/duties.sql")[statement].sql
        before = NOW - REPLACED_TOKENS_FOR
        plan = await connection.fetch(
            f"EXPLAIN {sql}", before, NOW - 2 * ENDED_TOKENS_FOR, 0, "", 10, *arguments
        )
    finally:
        await connection.close()
    text = "\n".join(row[0] for row in plan)
    assert f"using {index}" in text, text
    assert "Seq Scan on session_token" not in text, text


async def test_the_duties_purge_tokens_from_their_start(
    database_url: str, pool: asyncpg.Pool, wait_until: Callable[..., Awaitable[None]]
) -> None:
    async with open_desk(database_url) as desk:
        await give(desk, seat := await desk.seat(PLAYER), "old")
        await give(desk, seat, "new", replaces="old")
    stop = asyncio.Event()
    later = NOW + REPLACED_TOKENS_FOR + MOMENT
    async with open_desk(database_url) as desk:
        running = asyncio.create_task(run_duties(pool, desk.lanes.submit, IDS, lambda: later, stop))
        try:
            await wait_until(lambda: only_the_new_one(database_url))
        finally:
            stop.set()
            await running


async def only_the_new_one(url: str) -> bool:
    return int(await read_value(url, "SELECT count(*) FROM session_token")) == 1


@pytest.mark.parametrize("statement", ["TRUNCATE session_token", "DROP TABLE session_token"])
async def test_the_application_forgets_tokens_one_by_one_only(database_url: str, statement: str) -> None:
    connection = await connect_app(database_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
