"""GIS's table of duplicates, refunds and rollback lists on the real money path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from lane_desk import Desk, attempt, balance_of, open_desk, require_sound_books

from croupier.ids import SESSION, render_id
from croupier.runtime.database import connect_owner
from model.calls import call, close_session
from unit.adapters import slotegrator_gis_calls as forms
from unit.adapters.slotegrator_gis_calls import PLAYER, Fields, Gis, signed_headers, undoing, without

STAKE = 356
"""What BET takes and WIN gives, in cents."""


class Table:
    """GIS at the player's session: every form names it."""

    def __init__(self, gis: Gis, session: str, desk: Desk) -> None:
        self.gis, self.session, self.desk = gis, session, desk

    async def ask(self, fields: Fields, **changes: str) -> dict[str, Any]:
        return await self.gis.ask({**fields, "session_id": self.session, **changes})

    async def balance(self) -> str:
        received = await self.gis.send({**forms.BALANCE, "session_id": self.session})
        return received.body.decode()


@asynccontextmanager
async def table_at(url: str) -> AsyncIterator[Table]:
    """GIS in front of real lanes, and a player with 10 euros in a session."""
    async with open_desk(url) as desk:
        seat = await desk.seat(PLAYER)
        yield Table(Gis(desk.lanes.submit), render_id(SESSION, seat.session_id), desk)
    await require_sound_books(url)


async def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    connection = await connect_owner(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def rounds(url: str) -> dict[str, str]:
    found = await rows(url, "SELECT provider_round_id, state FROM round")
    return {row[0]: row[1] for row in found}


async def test_a_round_moves_money_and_tells_the_balance(database_url: str) -> None:
    async with table_at(database_url) as table:
        assert await table.balance() == '{"balance":10.0000}'
        bet = await table.ask(forms.BET)
        assert (bet["balance"], bet["transaction_id"][:4]) == (6.44, "jrn_")
        win = await table.ask(forms.WIN, amount="5.0000", finished="1")
        assert win["balance"] == 11.44
        assert (await table.ask(forms.BET, transaction_id="late"))["error_code"] == "INTERNAL_ERROR"
        assert await rounds(database_url) == {"round-1": "closed"}
    assert await balance_of(database_url, PLAYER) == 1144


async def test_a_repeat_gets_the_same_id_and_the_balance_of_now(database_url: str) -> None:
    async with table_at(database_url) as table:
        first = await table.ask(forms.BET)
        await table.ask(forms.WIN)
        again = await table.ask(forms.BET, casino_request_retry_count="1")
        assert again == {"balance": 10.0, "transaction_id": first["transaction_id"]}
        assert (await table.ask(forms.WIN, casino_request_retry_count="7"))["balance"] == 10.0
    assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_nonce_is_good_for_one_request(database_url: str) -> None:
    async with table_at(database_url) as table:
        fields = {**forms.BET, "session_id": table.session}
        first = await table.gis.send(fields)
        headers = signed_headers(urlencode(fields).encode())
        assert (await table.gis.send(fields, headers)).json["balance"] == 6.44
        replayed = await table.gis.send(fields, headers)
        assert (replayed.status, replayed.json["error_code"]) == (500, "INTERNAL_ERROR")
        assert table.gis.gateway.records[-1].reason == "replayed"
        assert first.status == 200


@pytest.mark.parametrize(
    "changes",
    [{"amount": "3.5700"}, {"round_id": "round-2"}, {"game_uuid": "another"}, {"player_id": "player-2"}],
)
async def test_an_id_with_other_content_is_refused(database_url: str, changes: Fields) -> None:
    async with table_at(database_url) as table:
        await table.ask(forms.BET)
        assert (await table.ask(forms.BET, **changes))["error_code"] == "INTERNAL_ERROR"
        assert (await table.ask(forms.WIN, transaction_id="bet-1"))["error_code"] == "INTERNAL_ERROR"
    assert await balance_of(database_url, PLAYER) == 1_000 - STAKE


async def test_a_lack_of_money_is_remembered(database_url: str) -> None:
    async with table_at(database_url) as table:
        for _ in range(2):
            answer = await table.ask(forms.BET, amount="10.0100")
            assert answer == {"error_code": "INSUFFICIENT_FUNDS", "error_description": "not enough funds"}
    assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_refund_gives_the_bet_back_once(database_url: str) -> None:
    async with table_at(database_url) as table:
        await table.ask(forms.BET)
        first = await table.ask(forms.REFUND, finished="1")
        assert first["balance"] == 10.0
        assert await table.ask(forms.REFUND, finished="1", casino_request_retry_count="1") == first
        other = await table.ask(forms.REFUND, transaction_id="refund-2")
        assert other["balance"] == 10.0
        assert other["transaction_id"][:4] == "ref_"
        assert await rounds(database_url) == {"round-1": "closed"}
    assert await balance_of(database_url, PLAYER) == 1_000


@pytest.mark.parametrize("changes", [{"amount": "1.0000"}, {"round_id": "round-2"}, {"currency": "USD"}])
async def test_a_refund_that_disagrees_with_its_bet_moves_nothing(database_url: str, changes: Fields) -> None:
    async with table_at(database_url) as table:
        await table.ask(forms.BET)
        assert (await table.ask(forms.REFUND, **changes))["error_code"] == "INTERNAL_ERROR"
        assert [row[0] for row in await rows(database_url, "SELECT kind FROM break_item")] == [
            "refused_credit"
        ]
    assert await balance_of(database_url, PLAYER) == 1_000 - STAKE


@pytest.mark.parametrize(
    "undo", [forms.REFUND, undoing(("bet", "3.5600", "bet-1"), ("win", "1.0000", "win-9"))]
)
async def test_a_bet_after_its_reversal_is_void(database_url: str, undo: Fields) -> None:
    async with table_at(database_url) as table:
        answer = await table.ask(undo)
        assert answer["balance"] == 10.0
        for _ in range(2):
            assert (await table.ask(forms.BET))["error_code"] == "INTERNAL_ERROR"
    assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_list_is_reversed_once_and_names_what_is_unknown_too(database_url: str) -> None:
    async with table_at(database_url) as table:
        await table.ask(forms.BET)
        await table.ask(forms.WIN, amount="20.0000")
        undo = undoing(("win", "20.0000", "win-1"), ("bet", "3.5600", "bet-1"), ("bet", "1.0000", "bet-9"))
        first = await table.ask(undo)
        assert first["balance"] == 10.0
        assert first["rollback_transactions"] == ["win-1", "bet-1", "bet-9"]
        assert await table.ask(undo, casino_request_retry_count="1") == first
        moved = undoing(("bet", "1.0000", "bet-9"), ("bet", "3.5600", "bet-1"), ("win", "20.0000", "win-1"))
        again = await table.ask(moved)
        assert again["transaction_id"] == first["transaction_id"]
        assert again["rollback_transactions"] == ["bet-9", "bet-1", "win-1"]
        assert (await table.ask(forms.BET, transaction_id="bet-9", amount="1.0000"))["error_code"] == (
            "INTERNAL_ERROR"
        )
    assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_list_with_one_wrong_amount_reverses_nothing(database_url: str) -> None:
    async with table_at(database_url) as table:
        await table.ask(forms.BET)
        await table.ask(forms.WIN)
        undo = undoing(("bet", "3.5600", "bet-1"), ("win", "3.5500", "win-1"))
        assert (await table.ask(undo))["error_code"] == "INTERNAL_ERROR"
        assert await table.balance() == '{"balance":10.0000}'
        assert (await table.ask(undoing(("bet", "3.5600", "bet-1"), ("win", "3.5600", "win-1"))))[
            "balance"
        ] == 10.0


async def test_a_rolled_back_refund_puts_the_debit_back(database_url: str) -> None:
    async with table_at(database_url) as table:
        await table.ask(forms.BET)
        await table.ask(forms.REFUND)
        answer = await table.ask(undoing(("refund", "3.5600", "refund-1")))
        assert (answer["balance"], answer["rollback_transactions"]) == (6.44, ["refund-1"])
        assert (await table.ask(undoing(("bet", "3.5600", "bet-1"), transaction_id="undo-2")))[
            "balance"
        ] == 10.0
    assert await balance_of(database_url, PLAYER) == 1_000


@pytest.mark.parametrize("is_refund_first", [True, False])
async def test_a_bet_and_its_refund_reversed_together_cancel_out(
    database_url: str, is_refund_first: bool
) -> None:
    async with table_at(database_url) as table:
        await table.ask(forms.BET)
        await table.ask(forms.REFUND)
        targets = [("refund", "3.5600", "refund-1"), ("bet", "3.5600", "bet-1")]
        answer = await table.ask(undoing(*(targets if is_refund_first else targets[::-1])))
        assert answer["balance"] == 10.0
    assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_reversed_round_leaves_nothing_for_finance(database_url: str) -> None:
    async with table_at(database_url) as table:
        await table.ask(forms.BET, amount="10.0000")
        await table.ask(forms.WIN, amount="4.0000")
        undo = undoing(("bet", "10.0000", "bet-1"), ("win", "4.0000", "win-1"))
        assert (await table.ask(undo))["balance"] == 10.0
        assert await rows(database_url, "SELECT kind FROM break_item") == []
    assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_spent_win_that_is_reversed_is_owed_by_the_player(database_url: str) -> None:
    async with table_at(database_url) as table:
        await table.ask(forms.BET, amount="10.0000")
        await table.ask(forms.WIN, amount="4.0000")
        await table.ask(forms.BET, transaction_id="bet-2", amount="4.0000", round_id="round-2")
        answer = await table.ask(undoing(("win", "4.0000", "win-1")))
        assert (answer["balance"], answer["rollback_transactions"]) == (0.0, ["win-1"])
        assert await rows(database_url, "SELECT kind FROM break_item") == [("receivable",)]


async def test_free_spins_take_nothing_and_pay_from_the_promotion(database_url: str) -> None:
    async with table_at(database_url) as table:
        free = {"type": "freespin", "freespin_id": "fs-1"}
        assert (await table.ask(forms.BET, **free))["balance"] == 10.0
        assert (await table.ask(forms.WIN, **free, amount="2.0000"))["balance"] == 12.0
        assert (await table.ask(forms.REFUND, freespin_id="fs-1"))["balance"] == 12.0
        kinds = await rows(database_url, "SELECT DISTINCT kind FROM journal_entry ORDER BY 1")
        assert ("promo_win",) in kinds
        assert ("bet",) not in kinds


async def test_a_bet_without_a_round_does_not_keep_its_session_open(database_url: str) -> None:
    async with table_at(database_url) as table:
        await table.ask(without(forms.BET, "round_id", "finished"))
        await table.ask(without(forms.BET, "round_id", "finished"), casino_request_retry_count="1")
        assert (await table.ask(without(forms.WIN, "round_id"), amount="1.0000"))["balance"] == 7.44
        assert await rounds(database_url) == {"bet:bet-1": "closed"}
        assert (await table.ask(without(forms.REFUND, "round_id")))["balance"] == 11.0


async def test_credits_are_paid_after_the_session_and_bets_are_not_taken(database_url: str) -> None:
    async with table_at(database_url) as table:
        await table.ask(forms.BET)
        seat_id = (await rows(database_url, "SELECT id FROM session"))[0][0]
        await table.desk.ask(attempt(call(close_session(seat_id, PLAYER)), PLAYER))
        assert (await table.ask(forms.BET, transaction_id="bet-2"))["error_code"] == "INTERNAL_ERROR"
        assert (await table.ask(forms.WIN))["balance"] == 10.0
        assert (await table.ask(undoing(("win", "3.5600", "win-1"))))["balance"] == 6.44
        assert (await table.ask(forms.REFUND))["balance"] == 10.0


async def test_who_is_not_known_gets_no_balance(database_url: str) -> None:
    async with table_at(database_url) as table:
        stranger = {**without(forms.BALANCE, "session_id"), "player_id": "nobody"}
        assert await table.gis.code(stranger) == "INTERNAL_ERROR"
        assert await table.gis.code(without(forms.BALANCE, "session_id")) == "OK"
        assert await table.gis.code(forms.BALANCE) == "INTERNAL_ERROR"
