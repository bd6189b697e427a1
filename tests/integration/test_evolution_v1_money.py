"""Evolution's table of duplicates, cancels and sessions on the real money path, as its licensees are tested."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from lane_desk import Desk, Seat, attempt, balance_of, open_desk, require_sound_books

from croupier.moneypath.commands import IssueToken
from croupier.runtime.database import connect_owner
from croupier_signing import hash_api_key
from model.calls import call, close_session
from unit.adapters.evolution_calls import BALANCE, CHECK, GAME, PLAYER, PROMO, SID, Evolution, moving


async def give_token(desk: Desk, seat: Seat, token: str) -> None:
    issue = IssueToken(
        session_id=seat.session_id, player_id=seat.player_id, token_hash=hash_api_key(token), replaces=None
    )
    assert (await desk.ask(attempt(call(issue), seat.player_id))).is_approved


@asynccontextmanager
async def evolution_at(url: str, purse: int = 10_000) -> AsyncIterator[tuple[Evolution, Desk]]:
    """Evolution in front of real lanes, and a player with 100 euros who has been checked."""
    async with open_desk(url) as desk:
        await give_token(desk, await desk.seat(PLAYER, purse), SID)
        evolution = Evolution(desk.lanes.submit)
        assert await evolution.check() == "OK"
        yield evolution, desk
    await require_sound_books(url)


async def sit_down(desk: Desk, player_id: str) -> Evolution:
    await give_token(desk, await desk.seat(player_id, 10_000), f"sid-of-{player_id}")
    return Evolution(desk.lanes.submit, sid=f"sid-of-{player_id}", user=player_id)


async def breaks(url: str) -> list[str]:
    connection = await connect_owner(url)
    try:
        return [row[0] for row in await connection.fetch("SELECT subject FROM break_item ORDER BY 1")]
    finally:
        await connection.close()


async def test_a_bet_is_taken_and_settled(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        assert await evolution.tell("/balance", BALANCE) == ("OK", 100)
        assert await evolution.tell("/debit", moving(2)) == ("OK", 98)
        assert await evolution.tell("/credit", moving(3.5, trans="trans-2")) == ("OK", 101.5)
        assert await balance_of(database_url, PLAYER) == 10_150


async def test_the_same_debit_takes_money_once(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        assert await evolution.tell("/debit", moving(2)) == ("OK", 98)
        for again in (moving(2), moving(2, trans="another"), moving(3), moving(2, game=GAME | {"id": "r2"})):
            assert await evolution.tell("/debit", again) == ("BET_ALREADY_EXIST", 98)
        assert await balance_of(database_url, PLAYER) == 9_800


async def test_debits_of_one_moment_take_money_once(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        answers = await asyncio.gather(*(evolution.tell("/debit", moving(2)) for _ in range(8)))
        assert sorted(status for status, _ in answers) == ["BET_ALREADY_EXIST"] * 7 + ["OK"]
        assert await balance_of(database_url, PLAYER) == 9_800


async def test_a_bet_is_settled_once(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        await evolution.tell("/debit", moving(2))
        assert await evolution.tell("/credit", moving(0, trans="t2")) == ("OK", 98)
        for again in (moving(0, trans="t2"), moving(0, trans="t3"), moving(5, trans="t2")):
            assert await evolution.tell("/credit", again) == ("BET_ALREADY_SETTLED", 98)
        assert await balance_of(database_url, PLAYER) == 9_800


async def test_a_credit_for_an_unknown_or_refused_bet_pays_nothing(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        assert await evolution.tell("/credit", moving(2)) == ("BET_DOES_NOT_EXIST", 100)
        assert await evolution.tell("/debit", moving(300)) == ("INSUFFICIENT_FUNDS", 100)
        assert await evolution.tell("/debit", moving(300)) == ("INSUFFICIENT_FUNDS", 100)
        assert await evolution.tell("/credit", moving(600)) == ("BET_DOES_NOT_EXIST", 100)
        assert await evolution.tell("/cancel", moving(300)) == ("BET_DOES_NOT_EXIST", 100)
        assert await breaks(database_url) == ["credit:ref-1:unknown_target"]


async def test_a_cancelled_bet_is_neither_settled_nor_cancelled_again(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        await evolution.tell("/debit", moving(2))
        assert await evolution.tell("/cancel", moving(2)) == ("OK", 100)
        assert await evolution.tell("/cancel", moving(2)) == ("OK", 100)
        assert await evolution.tell("/credit", moving(300)) == ("BET_ALREADY_SETTLED", 100)
        assert await evolution.tell("/debit", moving(2)) == ("BET_ALREADY_EXIST", 100)
        assert await balance_of(database_url, PLAYER) == 10_000


async def test_a_settled_bet_is_not_cancelled(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        for paid, ref in ((3, "won"), (0, "lost")):
            await evolution.tell("/debit", moving(2, ref))
            await evolution.tell("/credit", moving(paid, ref))
            assert (await evolution.tell("/cancel", moving(2, ref)))[0] == "BET_ALREADY_SETTLED"
        assert await balance_of(database_url, PLAYER) == 9_900


async def test_a_cancel_before_its_debit_is_an_error_and_the_debit_takes_nothing(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        for _ in range(2):
            assert await evolution.tell("/cancel", moving(2)) == ("BET_DOES_NOT_EXIST", 100)
        for _ in range(2):
            assert await evolution.tell("/debit", moving(2)) == ("FINAL_ERROR_ACTION_FAILED", 100)
        assert (await evolution.tell("/credit", moving(9)))[0] in (
            "BET_ALREADY_SETTLED",
            "BET_DOES_NOT_EXIST",
        )
        assert await balance_of(database_url, PLAYER) == 10_000


async def test_a_cancel_of_another_amount_round_or_currency_gives_nothing_back(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        await evolution.tell("/debit", moving(2))
        others = (moving(5), moving(2, game=GAME | {"id": "round-2"}), moving(2, currency="USD"))
        for other in others:
            assert (await evolution.tell("/cancel", other))[0] == "INVALID_PARAMETER"
        assert await balance_of(database_url, PLAYER) == 9_800
        assert await evolution.tell("/cancel", moving(2)) == ("OK", 100)


async def test_a_check_replaces_the_session_token(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        assert evolution.sid != SID
        await evolution.tell("/debit", moving(2))
        assert await evolution.tell("/balance", BALANCE, sid=SID) == ("INVALID_SID", None)
        assert (await evolution.tell("/debit", moving(2, "ref-2"), sid=SID))[0] == "INVALID_SID"
        assert await evolution.tell("/credit", moving(2), sid=SID) == ("OK", 100), (
            "a bet that was taken is paid"
        )
        assert await evolution.check() == "OK"
        assert await evolution.tell("/balance", BALANCE) == ("OK", 100)


@pytest.mark.parametrize("user", ["player-2", "nobody"])
async def test_another_users_session_token_is_refused_by_every_call(database_url: str, user: str) -> None:
    async with evolution_at(database_url) as (evolution, desk):
        await sit_down(desk, "player-2")
        await evolution.tell("/debit", moving(2))
        await evolution.tell("/debit", moving(2, "paid"))
        await evolution.tell("/credit", moving(2, "paid"))
        calls: list[tuple[str, dict[str, Any]]] = [
            ("/check", CHECK),
            ("/balance", BALANCE),
            ("/promo_payout", PROMO),
            ("/debit", moving(2, "other")),
        ]
        calls += [
            (path, moving(2, ref)) for path in ("/debit", "/credit", "/cancel") for ref in ("ref-1", "paid")
        ]
        for path, body in calls:
            assert (await evolution.tell(path, body, userId=user))[0] == "INVALID_SID", path
        assert await evolution.tell("/credit", moving(2)) == ("OK", 100)
        assert await balance_of(database_url, "player-2") == 10_000


async def test_a_known_users_own_token_does_not_open_anothers_bet(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, desk):
        other = await sit_down(desk, "player-2")
        await evolution.tell("/debit", moving(2))
        for path in ("/credit", "/cancel"):
            assert (await other.tell(path, moving(2)))[0] in ("INVALID_PARAMETER", "INVALID_SID")
        assert await balance_of(database_url, PLAYER) == 9_800
        assert await balance_of(database_url, "player-2") == 10_000


async def test_a_session_that_is_over_takes_no_bet_and_pays_what_is_owed(database_url: str) -> None:
    async with open_desk(database_url) as desk:
        seat = await desk.seat(PLAYER, 10_000)
        await give_token(desk, seat, SID)
        evolution = Evolution(desk.lanes.submit)
        for ref in ("ref-1", "ref-2"):
            await evolution.tell("/debit", moving(2, ref))
        await desk.ask(attempt(call(close_session(seat.session_id, PLAYER)), PLAYER))
        assert await evolution.tell("/debit", moving(2, "late")) == ("INVALID_SID", 96)
        assert await evolution.tell("/balance", BALANCE) == ("INVALID_SID", None)
        assert await evolution.tell("/credit", moving(2)) == ("OK", 98)
        assert await evolution.tell("/cancel", moving(2, "ref-2")) == ("OK", 100)
    await require_sound_books(database_url)


async def test_two_sessions_of_one_user_play_one_round(database_url: str) -> None:
    async with evolution_at(database_url) as (desktop, desk):
        await give_token(desk, await desk.another_session(PLAYER), "mobile")
        mobile = Evolution(desk.lanes.submit, sid="mobile")
        assert await mobile.check() == "OK"
        assert await desktop.tell("/debit", moving(2)) == ("OK", 98)
        assert await mobile.tell("/debit", moving(3, "ref-2")) == ("OK", 95)
        assert await mobile.tell("/credit", moving(5)) == ("OK", 100)


async def test_a_round_takes_a_hundred_and_one_bets(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        for number in range(101):
            assert await evolution.tell("/debit", moving(12, f"ref-{number}")) == ("OK", 88)
            assert await evolution.tell("/credit", moving(12, f"ref-{number}", "t")) == ("OK", 100)


async def test_a_payout_is_made_once_and_says_so_twice(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        for _ in range(2):
            assert await evolution.tell("/promo_payout", PROMO, game=GAME) == ("OK", 110)
        other = PROMO["promoTransaction"] | {"amount": 11}
        answer = await evolution.tell("/promo_payout", PROMO, game=GAME, promoTransaction=other)
        assert answer == ("FINAL_ERROR_ACTION_FAILED", 110)


@pytest.mark.parametrize("kind", ["JackpotWin", "RealTimeMonetaryReward", "SomethingNew", "", None])
async def test_payouts_of_every_type_are_paid(database_url: str, kind: str | None) -> None:
    async with evolution_at(database_url) as (evolution, _):
        promo = PROMO["promoTransaction"] | {"type": kind}
        assert await evolution.tell("/promo_payout", PROMO, promoTransaction=promo) == ("OK", 110)


async def test_a_big_payout_is_exact(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        await evolution.tell("/debit", moving(10))
        received = await evolution.send("/credit", moving(63_727_092.34, sid=evolution.sid))
        assert b'"balance":63727182.340000,' in received.body
        assert await evolution.tell("/debit", moving(63_727_092.34, "ref-2")) == ("OK", 90)


async def test_a_refused_credit_that_could_be_read_reaches_finance(database_url: str) -> None:
    async with evolution_at(database_url) as (evolution, _):
        await evolution.tell("/debit", moving(2))
        assert (await evolution.tell("/credit", moving(2.001)))[0] == "INVALID_PARAMETER"
        assert (await evolution.tell("/cancel", moving(2, currency="EURO")))[0] == "INVALID_PARAMETER"
        promo = PROMO["promoTransaction"] | {"amount": "10"}
        assert (await evolution.tell("/promo_payout", PROMO, promoTransaction=promo))[
            0
        ] == "INVALID_PARAMETER"
        assert await breaks(database_url) == [
            "cancel:ref-1:unknown_asset",
            "credit:ref-1:amount_not_representable",
            "promo:promo-1:malformed",
        ]
        assert await balance_of(database_url, PLAYER) == 9_800
