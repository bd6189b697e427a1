"""The Beexar contract's table of duplicates, batches and rollbacks on the real money path."""

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

from model.calls import EXPIRES, call, close_session
from unit.adapters.softswiss_v2_calls import (
    BALANCE,
    FINISH,
    PLAYER,
    Beexar,
    betwin,
    prize,
    rollback,
    stake,
    undoing,
)


@asynccontextmanager
async def beexar_at(url: str, **settings: Any) -> AsyncIterator[tuple[Beexar, Desk, Seat]]:
    """Beexar in front of real lanes, and a player with 10 euros in a session."""
    async with open_desk(url, **settings) as desk:
        seat = await desk.seat(PLAYER)
        yield Beexar(desk.lanes.submit), desk, seat
    await require_sound_books(url)


def at(seat: Seat, body: dict[str, Any]) -> dict[str, Any]:
    """A body that names the player's session."""
    return body | {"session_id": str(seat.session_id)}


def unnamed(body: dict[str, Any]) -> dict[str, Any]:
    """A body that names no session."""
    return {name: value for name, value in body.items() if name != "session_id"}


def ids(answer: dict[str, Any]) -> list[str]:
    return [one["id"] for one in answer["transactions"]]


async def test_a_round_moves_money_and_tells_the_balance(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, _, seat):
        assert await beexar.ask("/balance", at(seat, BALANCE)) == {"balance": "10.00"}
        answer = await beexar.ask("/betwin", at(seat, betwin(stake(amount="3.56"), prize(amount="0.56"))))
        assert (answer["balance"], answer["round_id"]) == ("7.00", "round-1")
        assert [one["bonus_amount"] for one in answer["transactions"]] == ["0.00", "0.00"]
        assert all(one.startswith("jrn_") for one in ids(answer))
        assert await beexar.ask("/finish", at(seat, FINISH)) == {"balance": "7.00"}
        late = at(seat, betwin(stake("late")))
        assert await beexar.refusal("/betwin", late) == (400, "400", None)
        assert (await beexar.ask("/betwin", at(seat, betwin(prize("w2", "1")))))["balance"] == "8.00"
        assert await beexar.ask("/finish", at(seat, FINISH)) == {"balance": "8.00"}


async def test_calls_without_a_session_are_seated(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, _, _seat):
        assert await beexar.ask("/balance", unnamed(BALANCE)) == {"balance": "10.00"}
        answer = await beexar.ask("/betwin", unnamed(betwin(stake(), prize(), finished=True)))
        assert answer["balance"] == "16.44"
        assert await beexar.ask("/finish", unnamed(FINISH)) == {"balance": "16.44"}
        assert (await beexar.ask("/rollback", unnamed(rollback())))["balance"] == "20.00"
        states = await read_value(database_url, "SELECT string_agg(DISTINCT state, ',') FROM round")
        assert states == "closed"


async def test_a_duplicate_gets_the_stored_id_and_the_stored_balance(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, _, seat):
        batch = at(seat, betwin(stake(amount="1"), prize(amount="2")))
        first = await beexar.ask("/betwin", batch)
        await beexar.ask("/betwin", at(seat, betwin(stake("bet-2", "5"), round_id="round-2")))
        assert await beexar.ask("/betwin", batch) == first
        assert await balance_of(database_url, PLAYER) == 600


async def test_repeats_among_new_ones_tell_the_balance_they_result_in(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, _, seat):
        first = await beexar.ask("/betwin", at(seat, betwin(stake("a", "1"))))
        mixed = await beexar.ask(
            "/betwin", at(seat, betwin(stake("a", "1"), stake("b", "2"), stake("a", "1")))
        )
        assert mixed["balance"] == "7.00"
        assert ids(mixed)[0] == ids(mixed)[2] == ids(first)[0]
        turned = await beexar.ask("/betwin", at(seat, betwin(stake("c", "3"), stake("a", "1"))))
        assert turned["balance"] == "4.00"
        assert await balance_of(database_url, PLAYER) == 400


async def test_a_batch_is_all_or_nothing_and_tells_the_balance_before_it(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, _, seat):
        batch = at(seat, betwin(stake("a", "6"), stake("b", "6"), prize("w", "9"), finished=True))
        assert await beexar.refusal("/betwin", batch) == (400, "100", "10.00")
        assert await beexar.refusal("/betwin", batch) == (400, "100", "10.00")
        assert await balance_of(database_url, PLAYER) == 1_000
        assert (await beexar.ask("/betwin", at(seat, betwin(stake("a", "6")))))["balance"] == "4.00"


async def test_a_win_before_its_bet_in_a_batch_is_taken_back_with_it(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, _, seat):
        batch = at(seat, betwin(prize("w", "5"), stake("a", "16")))
        assert await beexar.refusal("/betwin", batch) == (400, "100", "10.00")
        assert await balance_of(database_url, PLAYER) == 1_000


@pytest.mark.parametrize(
    "changes",
    [{"round_id": "round-2"}, {"game_id": "other"}, {"currency": "USD"}, {"account_id": "player-2"}],
)
async def test_the_same_id_for_something_else_is_refused(database_url: str, changes: dict[str, str]) -> None:
    async with beexar_at(database_url) as (beexar, desk, _):
        await desk.seat("player-2")
        await beexar.ask("/betwin", unnamed(betwin(stake(), prize())))
        for transaction in (stake(), prize()):
            other = unnamed(betwin(transaction)) | changes
            assert await beexar.refusal("/betwin", other) == (400, "155", None)
        dearer = unnamed(betwin(stake(amount="3.57")))
        assert await beexar.refusal("/betwin", dearer) == (400, "155", None)
        assert await balance_of(database_url, PLAYER) == 1_644


async def test_a_rollback_reverses_once_whatever_its_id(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, _, seat):
        await beexar.ask("/betwin", at(seat, betwin(stake(amount="1"))))
        first = await beexar.ask("/rollback", at(seat, rollback()))
        assert first["balance"] == "10.00"
        assert ids(first)[0].startswith("jrn_")
        other = await beexar.ask("/rollback", at(seat, rollback(undoing(reference="back-2"))))
        assert (ids(other), other["balance"]) == ([""], "10.00")
        await beexar.ask("/betwin", at(seat, betwin(stake("bet-2", "4"), round_id="round-2")))
        assert await beexar.ask("/rollback", at(seat, rollback())) == first
        # The text is ambiguous here; the reference wallet compares ids first, and no money moves either way.
        assert (await beexar.ask("/betwin", at(seat, betwin(stake(amount="1")))))["balance"] == "9.00"
        assert await balance_of(database_url, PLAYER) == 600


async def test_a_rollback_list_reverses_in_order(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, _, seat):
        await beexar.ask("/betwin", at(seat, betwin(stake("a", "1"), prize("w", "5"))))
        undone = rollback(undoing("w", "r1"), undoing("a", "r2"), undoing("never", "r3"), undoing("a", "r4"))
        answer = await beexar.ask("/rollback", at(seat, undone))
        assert answer["balance"] == "10.00"
        assert [bool(one) for one in ids(answer)] == [True, True, False, False]


async def test_a_transaction_after_its_rollback_is_refused(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, _, seat):
        early = rollback(undoing("bet-1", "r1"), undoing("win-1", "r2"))
        answer = await beexar.ask("/rollback", at(seat, early))
        assert (ids(answer), answer["balance"]) == (["", ""], "10.00")
        for transactions in ([stake()], [prize()], [stake("ok", "1"), stake()], [prize("ok2", "1"), prize()]):
            assert await beexar.refusal("/betwin", at(seat, betwin(*transactions))) == (400, "409", None)
        assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_rollback_finds_its_bet_whatever_session_it_names(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, desk, seat):
        other = await desk.another_session(PLAYER)
        await beexar.ask("/betwin", at(seat, betwin(stake(amount="1"))))
        assert (await beexar.ask("/rollback", at(other, rollback())))["balance"] == "10.00"
        nobodys = rollback(undoing("x", "r")) | {"session_id": "9b2f7f5e-0000-7000-8000-00000000002a"}
        assert ids(await beexar.ask("/rollback", nobodys)) == [""]


@pytest.mark.parametrize(
    "changes", [{"account_id": "player-2"}, {"round_id_provider": "round-2"}, {"currency": "USD"}]
)
async def test_a_rollback_of_another_players_or_rounds_bet_moves_nothing(
    database_url: str, changes: dict[str, str]
) -> None:
    async with beexar_at(database_url) as (beexar, desk, _):
        await desk.seat("player-2")
        await beexar.ask("/betwin", unnamed(betwin(stake(amount="1"))))
        assert await beexar.refusal("/rollback", unnamed(rollback()) | changes) == (400, "155", None)
        assert await balance_of(database_url, PLAYER) == 900
        assert await balance_of(database_url, "player-2") == 1_000
        assert (
            await read_value(database_url, "SELECT count(*) FROM break_item WHERE kind = 'refused_credit'")
            == 1
        )


async def test_a_spent_win_is_taken_back_down_to_zero(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, _, seat):
        await beexar.ask("/betwin", at(seat, betwin(stake("a", "10"), prize("w", "5"), stake("b", "3"))))
        answer = await beexar.ask("/rollback", at(seat, rollback(undoing("w", "r"))))
        assert answer["balance"] == "0.00"
        assert ids(answer)[0] != ""
        again = await beexar.ask("/rollback", at(seat, rollback(undoing("w", "r"))))
        assert again == answer
        assert (
            await read_value(database_url, "SELECT count(*) FROM break_item WHERE kind = 'receivable'") == 0
        )
        assert (await beexar.ask("/betwin", at(seat, betwin(prize("w2", "1")))))["balance"] == "1.00"


async def test_an_expired_or_closed_session_takes_no_bets_and_still_pays(database_url: str) -> None:
    stamp = make_stamp()
    now = [stamp.now]
    async with beexar_at(database_url, stamp=lambda: structs.replace(make_stamp(), now=now[0])) as (
        beexar,
        desk,
        seat,
    ):
        await beexar.ask("/betwin", at(seat, betwin(stake(amount="1"))))
        now[0] = EXPIRES + timedelta(seconds=1)
        assert await beexar.refusal("/betwin", at(seat, betwin(stake("late", "1")))) == (400, "107", None)
        assert (await beexar.ask("/betwin", at(seat, betwin(prize(amount="2")))))["balance"] == "11.00"
        closing = call(close_session(seat.session_id, player_id=PLAYER))
        assert (await desk.ask(attempt(closing, PLAYER))).is_approved
        assert (await beexar.ask("/betwin", at(seat, betwin(prize("w2", "1"), finished=True))))[
            "balance"
        ] == "12.00"
        assert (await beexar.ask("/rollback", at(seat, rollback())))["balance"] == "13.00"


async def test_strangers_are_refused_with_their_own_codes(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, desk, seat):
        nobody = {"account_id": "nobody"}
        for path, body in (("/balance", BALANCE), ("/betwin", betwin()), ("/finish", FINISH)):
            code = "101" if path != "/finish" else "404"
            assert (await beexar.refusal(path, unnamed(body) | nobody))[:2] == (400, code)
            unknown = body | {"session_id": "9b2f7f5e-0000-7000-8000-00000000002a"}
            assert (await beexar.refusal(path, unknown))[:2] == (400, "404")
        other = await desk.seat("player-2")
        assert (await beexar.refusal("/betwin", at(other, betwin())))[:2] in ((400, "155"), (400, "404"))
        assert (await beexar.refusal("/betwin", at(seat, betwin(game_id="other"))))[:2] == (400, "155")
        assert (await beexar.refusal("/betwin", at(seat, betwin(currency="USD"))))[:2] == (400, "155")
        assert await balance_of(database_url, PLAYER) == 1_000


async def test_two_players_share_a_round(database_url: str) -> None:
    async with beexar_at(database_url) as (beexar, desk, seat):
        other = await desk.seat("player-2")
        for number, one in enumerate((seat, other)):
            body = betwin(stake(f"b{number}", "1"), prize(f"w{number}", "2"), finished=True)
            answer = await beexar.ask("/betwin", at(one, body) | {"account_id": one.player_id})
            assert answer["balance"] == "11.00"
        assert await read_value(database_url, "SELECT count(*) FROM round WHERE state = 'closed'") == 2
