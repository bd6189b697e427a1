"""The Swipe Games API's table of duplicates, refunds and free rounds on the real money path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from lane_desk import (
    Desk,
    Seat,
    attempt,
    balance_of,
    make_stamp,
    open_desk,
    read_value,
    require_sound_books,
)
from msgspec import structs

from croupier.ids import SESSION, render_id
from croupier.runtime.database import create_pool
from croupier.runtime.seats import Seats
from model.calls import EXPIRES, call, close_session
from unit.adapters.swipegames_v1_calls import BET, PLAYER, REFUND, WIN, Swipe, tx

FREE = {"type": "free", "frID": "campaign-1"}


@asynccontextmanager
async def swipe_at(url: str, **settings: Any) -> AsyncIterator[tuple[Swipe, Desk, Seat]]:
    """Swipe Games in front of real lanes and real seats, and a player with 10 euros in a session."""
    async with open_desk(url, **settings) as desk:
        seat = await desk.seat(PLAYER)
        pool = await create_pool(url, min_size=1, max_size=2)
        try:
            yield Swipe(desk.lanes.submit, Seats(pool).find_seat), desk, seat
        finally:
            await pool.close()
    await require_sound_books(url)


def at(seat: Seat, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A body that names the player's session."""
    return body | {"sessionID": render_id(SESSION, seat.session_id)} | changes


async def test_a_round_moves_money_and_its_win_ends_it(database_url: str) -> None:
    async with swipe_at(database_url) as (swipe, desk, seat):
        assert await swipe.ask("/balance", at(seat, {})) == {"balance": "10.00"}
        bet = await swipe.ask("/bet", at(seat, BET))
        assert bet["balance"] == "6.44"
        assert bet["txID"].startswith("jrn_")
        assert (await swipe.ask("/win", at(seat, WIN)))["balance"] == "16.44"
        # A second stake in the round, such as a gamble, is taken all the same, and its win paid.
        assert (await swipe.ask("/bet", at(seat, BET, txID=tx(9))))["balance"] == "12.88"
        assert (await swipe.ask("/win", at(seat, WIN, txID=tx(10), amount="1.00")))["balance"] == "13.88"
        closing = call(close_session(seat.session_id, player_id=PLAYER))
        assert (await desk.ask(attempt(closing, PLAYER))).is_approved
        assert await read_value(database_url, "SELECT state FROM session") == "settled"


async def test_a_duplicate_gets_the_same_id_and_the_balance_of_now(database_url: str) -> None:
    async with swipe_at(database_url) as (swipe, _, seat):
        bet = await swipe.ask("/bet", at(seat, BET))
        win = await swipe.ask("/win", at(seat, WIN))
        assert await swipe.ask("/bet", at(seat, BET)) == {**bet, "balance": "16.44"}
        assert await swipe.ask("/win", at(seat, WIN)) == win
        for path, body in (("/bet", BET), ("/win", WIN)):
            assert await swipe.refusal(path, at(seat, body, amount="4")) == (400, None)
            assert await swipe.refusal(path, at(seat, body, roundID=tx(77))) == (400, None)
        assert await balance_of(database_url, PLAYER) == 1_644


async def test_a_bet_that_is_refused_moves_nothing_and_stays_refused(database_url: str) -> None:
    async with swipe_at(database_url) as (swipe, _, seat):
        dear = at(seat, BET, amount="10.01")
        assert await swipe.refusal("/bet", dear) == (400, "insufficient_funds")
        await swipe.ask("/win", at(seat, WIN, roundID=tx(70)))
        assert await swipe.refusal("/bet", dear) == (400, "insufficient_funds")
        refund = await swipe.ask("/refund", at(seat, REFUND, amount="10.01"))
        assert refund["balance"] == "20.00"
        assert await balance_of(database_url, PLAYER) == 2_000


async def test_a_refund_gives_the_bet_back_once_whatever_its_id(database_url: str) -> None:
    async with swipe_at(database_url) as (swipe, _, seat):
        await swipe.ask("/bet", at(seat, BET))
        first = await swipe.ask("/refund", at(seat, REFUND))
        assert first["balance"] == "10.00"
        assert await swipe.ask("/refund", at(seat, REFUND)) == first
        other = await swipe.ask("/refund", at(seat, REFUND, txID=tx(4)))
        assert other["balance"] == "10.00"
        assert other["txID"] not in (first["txID"], "")
        assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_bet_after_its_refund_is_refused_for_good(database_url: str) -> None:
    async with swipe_at(database_url) as (swipe, _, seat):
        assert (await swipe.ask("/refund", at(seat, REFUND)))["balance"] == "10.00"
        for _ in range(2):
            assert await swipe.refusal("/bet", at(seat, BET)) == (400, None)
        assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_refund_finds_its_bet_in_capitals_and_without_its_session(database_url: str) -> None:
    """Answering such a refund as one of nobody's bet would leave the player debited."""
    async with swipe_at(database_url) as (swipe, desk, seat):
        await swipe.ask("/bet", at(seat, BET))
        lost = REFUND | {"sessionID": "gs-4711", "origTxID": tx(1).upper()}
        assert (await swipe.ask("/refund", lost))["balance"] == "10.00"
        other = await desk.another_session(PLAYER)
        await swipe.ask("/bet", at(seat, BET, txID=tx(5)))
        refund = at(other, REFUND, txID=tx(6), origTxID=tx(5))
        assert (await swipe.ask("/refund", refund))["balance"] == "10.00"


async def test_nobodys_refund_is_done_under_a_lasting_id(database_url: str) -> None:
    async with swipe_at(database_url) as (swipe, _, _seat):
        nobody = REFUND | {"sessionID": "gs-4711"}
        first = await swipe.ask("/refund", nobody)
        assert (first["balance"], await swipe.ask("/refund", nobody)) == ("0", first)
        assert await swipe.refusal("/bet", BET | {"sessionID": "gs-4711"}) == (404, "session_not_found")
        assert (
            await read_value(database_url, "SELECT count(*) FROM money_reference WHERE provider = 'acme'")
            == 0
        )


async def test_a_refund_of_another_players_bet_moves_nothing(database_url: str) -> None:
    async with swipe_at(database_url) as (swipe, desk, seat):
        other = await desk.seat("player-2")
        await swipe.ask("/bet", at(seat, BET))
        assert await swipe.refusal("/refund", at(other, REFUND)) == (400, None)
        assert await swipe.refusal("/refund", at(seat, REFUND, roundID=tx(70))) == (400, None)
        assert await balance_of(database_url, PLAYER) == 644
        assert await balance_of(database_url, "player-2") == 1_000
        assert (
            await read_value(database_url, "SELECT count(*) FROM break_item WHERE kind = 'refused_credit'")
            >= 1
        )


async def test_free_rounds_are_notices_until_they_are_paid(database_url: str) -> None:
    async with swipe_at(database_url) as (swipe, _, seat):
        assert (await swipe.ask("/bet", at(seat, BET, **FREE)))["balance"] == "10.00"
        assert (await swipe.ask("/win", at(seat, WIN, **FREE)))["balance"] == "10.00"
        paid = at(seat, WIN, txID=tx(7), roundID=tx(70), frID="campaign-1", amount="2.50")
        first = await swipe.ask("/win", paid)
        assert first["balance"] == "12.50"
        assert await swipe.ask("/win", paid) == first
        assert await balance_of(database_url, PLAYER) == 1_250
        kinds = await read_value(
            database_url, "SELECT string_agg(action, ',') FROM money_reference WHERE reference = $1", tx(7)
        )
        assert kinds == "promo_win"


async def test_a_refund_of_a_free_bet_is_done_and_gives_nothing(database_url: str) -> None:
    """Its amount is the nominal one, which was never taken."""
    async with swipe_at(database_url) as (swipe, _, seat):
        await swipe.ask("/bet", at(seat, BET, **FREE))
        refund = await swipe.ask("/refund", at(seat, REFUND))
        assert refund["balance"] == "10.00"
        assert refund["txID"].startswith("ref_")
        assert await balance_of(database_url, PLAYER) == 1_000


@pytest.mark.parametrize("is_closed", [False, True])
async def test_wins_and_refunds_outlive_their_session(database_url: str, is_closed: bool) -> None:
    now = [make_stamp().now]
    stamp = lambda: structs.replace(make_stamp(), now=now[0])  # noqa: E731
    async with swipe_at(database_url, stamp=stamp) as (swipe, desk, seat):
        await swipe.ask("/bet", at(seat, BET))
        await swipe.ask("/bet", at(seat, BET, txID=tx(5), roundID=tx(70), amount="1"))
        if is_closed:
            closing = call(close_session(seat.session_id, player_id=PLAYER))
            assert (await desk.ask(attempt(closing, PLAYER))).is_approved
        else:
            now[0] = EXPIRES + timedelta(seconds=1)
        assert await swipe.refusal("/bet", at(seat, BET, txID=tx(9), roundID=tx(71))) == (
            400,
            "session_expired",
        )
        assert (await swipe.ask("/win", at(seat, WIN)))["balance"] == "15.44"
        late = at(seat, REFUND, origTxID=tx(5), roundID=tx(70), amount="1")
        assert (await swipe.ask("/refund", late))["balance"] == "16.44"


async def test_a_bet_posted_as_a_win_pays_nothing_once_it_is_known(database_url: str) -> None:
    """The signature covers no path."""
    async with swipe_at(database_url) as (swipe, _, seat):
        await swipe.ask("/bet", at(seat, BET))
        assert await swipe.refusal("/win", at(seat, BET)) == (400, None)
        assert await balance_of(database_url, PLAYER) == 644
