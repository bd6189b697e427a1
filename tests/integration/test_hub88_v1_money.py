"""Hub88's table of duplicates, rollbacks and tokens on the real money path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from lane_desk import Desk, Seat, attempt, balance_of, make_stamp, open_desk, require_sound_books
from msgspec import structs

from croupier.moneypath.commands import IssueToken
from croupier.runtime.database import connect_owner
from croupier_signing import hash_api_key
from model.calls import EXPIRES, call, close_session
from unit.adapters.hub88_calls import BALANCE, BET, INFO, PLAYER, ROLLBACK, TOKEN, WIN, Hub88

STAKE = 356
"""What BET takes, in cents."""
REFUSED_WINS = {"RS_ERROR_TRANSACTION_ROLLED_BACK", "RS_ERROR_TRANSACTION_DOES_NOT_EXIST"}


@asynccontextmanager
async def hub88_at(url: str, **settings: Any) -> AsyncIterator[tuple[Hub88, Desk, Seat]]:
    """Hub88 in front of real lanes, a player with 10 euros and a token of a session."""
    async with open_desk(url, **settings) as desk:
        seat = await desk.seat(PLAYER)
        await give_token(desk, seat, TOKEN)
        yield Hub88(desk.lanes.submit), desk, seat
    await require_sound_books(url)


async def give_token(desk: Desk, seat: Seat, token: str, **fields: Any) -> None:
    issue = IssueToken(
        session_id=seat.session_id, player_id=seat.player_id, token_hash=hash_api_key(token), **fields
    )
    assert (await desk.ask(attempt(call(issue), seat.player_id))).is_approved


async def breaks(url: str) -> list[tuple[str, str]]:
    connection = await connect_owner(url)
    try:
        return [
            (row[0], row[1])
            for row in await connection.fetch("SELECT kind, subject FROM break_item ORDER BY 1, 2")
        ]
    finally:
        await connection.close()


async def test_a_round_moves_money_and_tells_the_balance(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        assert await hub88.ask("/user/balance", BALANCE) == {
            "status": "RS_OK",
            "user": PLAYER,
            "request_uuid": INFO["request_uuid"],
            "currency": "EUR",
            "balance": 1_000_000,
        }
        assert await hub88.ask("/user/info", INFO) == {"status": "RS_OK", **INFO}
        assert (await hub88.ask("/transaction/bet", BET))["balance"] == 644_000
        assert (await hub88.ask("/transaction/win", WIN, amount=1_000, round_closed=True))[
            "balance"
        ] == 645_000
        assert (
            await hub88.status("/transaction/bet", BET, transaction_uuid="late") == "RS_ERROR_LIMIT_REACHED"
        )
        assert await balance_of(database_url, PLAYER) == 645


async def test_the_same_request_gets_the_same_bytes(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        first = [await hub88.send("/transaction/bet", BET), await hub88.send("/transaction/win", WIN)]
        await hub88.ask("/transaction/bet", BET, transaction_uuid="bet-2", amount=100_000)
        again = [await hub88.send("/transaction/bet", BET), await hub88.send("/transaction/win", WIN)]
        assert [one.body for one in first] == [one.body for one in again]
        assert await balance_of(database_url, PLAYER) == 900


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 357_000},
        {"round": "round-2"},
        {"game_code": "another"},
        {"currency": "USD"},
        {"user": "player-2"},
    ],
)
async def test_a_transaction_with_other_content_is_a_duplicate(database_url: str, changes: Any) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        await hub88.ask("/transaction/bet", BET)
        await hub88.ask("/transaction/win", WIN, amount=0)
        assert await hub88.status("/transaction/bet", BET, **changes) == "RS_ERROR_DUPLICATE_TRANSACTION"
        win = WIN | {"amount": 0} | changes
        assert await hub88.status("/transaction/win", win) == "RS_ERROR_DUPLICATE_TRANSACTION"
        assert await balance_of(database_url, PLAYER) == 1_000 - STAKE


async def test_one_uuid_for_bet_win_and_rollback_is_a_duplicate(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        await hub88.ask("/transaction/bet", BET)
        assert await hub88.status("/transaction/win", WIN, transaction_uuid="bet-1") == (
            "RS_ERROR_DUPLICATE_TRANSACTION"
        )
        assert await hub88.status("/transaction/rollback", ROLLBACK, transaction_uuid="bet-1") == (
            "RS_ERROR_DUPLICATE_TRANSACTION"
        )
        assert await balance_of(database_url, PLAYER) == 1_000 - STAKE


async def test_rollbacks_are_answered_ok_until_nothing_is_left_to_undo(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        await hub88.ask("/transaction/bet", BET)
        first = await hub88.ask("/transaction/rollback", ROLLBACK)
        assert (first["status"], first["balance"]) == ("RS_OK", 1_000_000)
        assert await hub88.ask("/transaction/rollback", ROLLBACK) == first
        assert await hub88.status("/transaction/rollback", ROLLBACK, transaction_uuid="back-2") == "RS_OK"
        assert await hub88.status("/transaction/win", WIN) == "RS_ERROR_TRANSACTION_ROLLED_BACK"
        assert await balance_of(database_url, PLAYER) == 1_000


@pytest.mark.parametrize("closed", [False, True])
async def test_a_bet_after_its_rollback_takes_nothing(database_url: str, closed: bool) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        assert await hub88.status("/transaction/rollback", ROLLBACK, round_closed=closed) == "RS_OK"
        assert await hub88.status("/transaction/win", WIN) == "RS_ERROR_TRANSACTION_ROLLED_BACK"
        for _ in range(2):
            assert await hub88.status("/transaction/bet", BET) == "RS_ERROR_TRANSACTION_ROLLED_BACK"
        assert await hub88.status("/transaction/win", WIN) in REFUSED_WINS
        assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_win_without_its_bet_is_refused_and_told_to_finance(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        assert await hub88.status("/transaction/win", WIN) == "RS_ERROR_TRANSACTION_DOES_NOT_EXIST"
        assert await hub88.status("/transaction/bet", BET, amount=200_000_000) == "RS_ERROR_NOT_ENOUGH_MONEY"
        assert await hub88.status("/transaction/win", WIN) == "RS_ERROR_TRANSACTION_DOES_NOT_EXIST"
        assert await balance_of(database_url, PLAYER) == 1_000
        assert await breaks(database_url) == [("refused_credit", "win-1:unknown_target")]


async def test_a_rolled_back_win_is_taken_back(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        await hub88.ask("/transaction/bet", BET)
        await hub88.ask("/transaction/win", WIN)
        undo = ROLLBACK | {"reference_transaction_uuid": "win-1"}
        assert (await hub88.ask("/transaction/rollback", undo))["balance"] == 644_000


async def test_not_enough_money_carries_the_balance(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        answer = await hub88.ask("/transaction/bet", BET, amount=100_001_000)
        assert (answer["status"], answer["balance"]) == ("RS_ERROR_NOT_ENOUGH_MONEY", 1_000_000)


async def test_a_bad_token_stops_bet_and_balance_but_never_win_and_rollback(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, desk, seat):
        await hub88.ask("/transaction/bet", BET)
        await hub88.ask("/transaction/bet", BET, transaction_uuid="bet-2", amount=100_000)
        await give_token(desk, seat, "newer", replaces=hash_api_key(TOKEN))
        for token, status in (("unknown", "RS_ERROR_INVALID_TOKEN"), (TOKEN, "RS_ERROR_TOKEN_EXPIRED")):
            other = {"token": token, "transaction_uuid": f"bet-{token}"}
            assert await hub88.status("/transaction/bet", BET, **other) == status
            assert await hub88.status("/user/balance", BALANCE, token=token) == status
        assert await hub88.status("/transaction/win", WIN, token="unknown") == "RS_OK"
        undo = ROLLBACK | {"reference_transaction_uuid": "bet-2", "token": None}
        assert await hub88.status("/transaction/rollback", undo) == "RS_OK"
        assert await hub88.status("/transaction/bet", BET, token="unknown") == "RS_OK", (
            "a repeat moves nothing"
        )
        assert await balance_of(database_url, PLAYER) == 1_000


@pytest.mark.parametrize("ends", ["closed", "expired"])
async def test_a_session_that_is_over_takes_no_bet_and_pays_what_is_owed(
    database_url: str, ends: str
) -> None:
    moment = [make_stamp()]
    async with hub88_at(database_url, stamp=lambda: moment[0]) as (hub88, desk, seat):
        await hub88.ask("/transaction/bet", BET)
        if ends == "closed":
            await desk.ask(attempt(call(close_session(seat.session_id, PLAYER)), PLAYER))
        else:
            moment[0] = structs.replace(moment[0], now=EXPIRES + timedelta(seconds=1))
        assert await hub88.status("/transaction/bet", BET, transaction_uuid="x") == "RS_ERROR_TOKEN_EXPIRED"
        assert (await hub88.ask("/user/balance", BALANCE))["status"] != "RS_OK"
        assert await hub88.status("/transaction/win", WIN, round_closed=True) == "RS_OK"
        undo = ROLLBACK | {"reference_transaction_uuid": "win-1"}
        assert await hub88.status("/transaction/rollback", undo) == "RS_OK"
        assert await hub88.status("/transaction/rollback", ROLLBACK, transaction_uuid="back-2") == "RS_OK"
        assert await balance_of(database_url, PLAYER) == 1_000


async def test_another_players_bet_is_neither_won_nor_rolled_back(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, desk, _):
        await desk.seat("player-2")
        await hub88.ask("/transaction/bet", BET)
        for path, body in (("/transaction/win", WIN), ("/transaction/rollback", ROLLBACK)):
            status = await hub88.status(path, body, user="player-2")
            assert status not in ("RS_OK", "RS_ERROR_UNKNOWN"), path
        assert await balance_of(database_url, PLAYER) == 1_000 - STAKE
        assert await balance_of(database_url, "player-2") == 1_000


async def test_players_of_one_table_close_the_same_round_each(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, desk, _):
        other = await desk.seat("player-2")
        await give_token(desk, other, "token-2")
        for user, token in ((PLAYER, TOKEN), ("player-2", "token-2")):
            own = {"user": user, "token": token, "round_closed": True, "transaction_uuid": f"bet-{user}"}
            assert await hub88.status("/transaction/bet", BET, **own) == "RS_OK"
            assert await hub88.status("/transaction/bet", BET, **own) == "RS_OK"


async def test_free_bets_take_nothing_and_their_wins_are_promotional(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        assert (await hub88.ask("/transaction/bet", BET, is_free=True))["balance"] == 1_000_000
        assert (await hub88.ask("/transaction/win", WIN, is_free=True))["balance"] == 1_356_000
        assert await hub88.status("/transaction/bet", BET) == "RS_ERROR_DUPLICATE_TRANSACTION"


async def test_a_rollback_of_an_unknown_player_is_refused_and_nothing_is_left_behind(
    database_url: str,
) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        for path, body in (
            ("/user/info", INFO),
            ("/transaction/rollback", ROLLBACK),
            ("/transaction/bet", BET),
        ):
            assert await hub88.status(path, body, user="nobody") == "RS_ERROR_INVALID_TOKEN", path


async def test_a_refused_credit_that_could_be_read_reaches_finance(database_url: str) -> None:
    async with hub88_at(database_url) as (hub88, _, _):
        await hub88.ask("/transaction/bet", BET)
        assert await hub88.status("/transaction/win", WIN, amount=1) == "RS_ERROR_WRONG_TYPES"
        assert await hub88.status("/transaction/win", WIN, currency="EURO") == "RS_ERROR_WRONG_CURRENCY"
        assert await hub88.status("/transaction/win", WIN, currency="USD") not in (
            "RS_OK",
            "RS_ERROR_UNKNOWN",
        )
        assert [kind for kind, _ in await breaks(database_url)] == ["refused_credit"] * 3
        assert await balance_of(database_url, PLAYER) == 1_000 - STAKE
