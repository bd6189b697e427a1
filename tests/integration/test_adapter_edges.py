"""Where protocols meet the money path at their edges: repeated round ids, other sessions, lost credits, replays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from lane_desk import IDS, Desk, Seat, attempt, balance_of, open_desk, require_sound_books

from croupier.errors import CroupierError
from croupier.ids import SESSION, bucket_of, render_id
from croupier.moneypath.commands import IssueToken
from croupier.moneypath.outcomes import TOMBSTONED
from croupier.runtime.database import connect_owner
from croupier_signing import hash_api_key
from model.calls import call, close_session, deposit, open_session, rollback, win
from unit.adapters import hub88_calls, slotegrator_gis_calls, softswiss_v2_calls
from unit.adapters.hub88_calls import Hub88
from unit.adapters.slotegrator_gis_calls import Fields, Gis
from unit.adapters.softswiss_v2_calls import Beexar, betwin, prize, stake, undoing

PLAYER = "player-1"
MANY = 32
"""Sessions a player may open before an older one is out of sight of a call that names none."""
BET, WIN, ROLLBACK = "/transaction/bet", "/transaction/win", "/transaction/rollback"
EUR_1 = 100_000
"""One euro in Hub88's units."""


@asynccontextmanager
async def sound_desk(url: str) -> AsyncIterator[tuple[Desk, Seat]]:
    """Real lanes and a player with 10 euros in a session; the books are judged at the end."""
    async with open_desk(url) as desk:
        yield desk, await desk.seat(PLAYER)
    await require_sound_books(url)


async def rows(url: str, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
    """What a query finds."""
    connection = await connect_owner(url)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *arguments)]
    finally:
        await connection.close()


async def breaks(url: str) -> list[tuple[Any, ...]]:
    """What finance was told, by kind and subject."""
    return await rows(url, "SELECT kind, subject FROM break_item ORDER BY 1, 2")


async def states(url: str) -> list[tuple[Any, ...]]:
    """Every session's state and its rounds' states, in the order the sessions were opened."""
    sql = "SELECT s.state, r.state FROM session s JOIN round r ON r.session_id = s.id ORDER BY s.id, r.state"
    return await rows(url, sql)


async def state_of(url: str, seat: Seat) -> str:
    """The state of one session."""
    ((state,),) = await rows(url, "SELECT state FROM session WHERE id = $1", seat.session_id)
    return str(state)


async def leave(desk: Desk, seat: Seat) -> None:
    """End a session."""
    ending = call(close_session(seat.session_id, player_id=seat.player_id))
    assert (await desk.ask(attempt(ending, seat.player_id))).is_approved


async def give_token(desk: Desk, seat: Seat, token: str) -> None:
    """Let a session be presented as a token."""
    issue = IssueToken(session_id=seat.session_id, player_id=seat.player_id, token_hash=hash_api_key(token))
    assert (await desk.ask(attempt(call(issue), seat.player_id))).is_approved


async def sit_in_dollars(desk: Desk) -> Seat:
    """The player's session in another currency, with 10 dollars."""
    seat = Seat(PLAYER, IDS.new(bucket_of(PLAYER)))
    money = deposit("dollars", 1_000, asset="USD")
    for action in (open_session(seat.session_id, asset="USD"), money):
        assert (await desk.ask(attempt(call(action), PLAYER))).is_approved
    return seat


def at_beexar(seat: Seat, body: dict[str, Any], **changes: str) -> dict[str, Any]:
    """A Beexar body of the player's session."""
    return {**body, "session_id": str(seat.session_id), "account_id": seat.player_id, **changes}


def at_gis(seat: Seat, fields: Fields, **changes: str) -> Fields:
    """A GIS form of the player's session."""
    return {**fields, "session_id": render_id(SESSION, seat.session_id), **changes}


# A round's id may come back: in a later session, in another currency, in another player's name.


async def play_a_round_at_beexar(desk: Desk, seat: Seat) -> Beexar:
    """One bet of a euro that ends its round."""
    beexar = Beexar(desk.lanes.submit)
    await beexar.ask("/betwin", at_beexar(seat, betwin(stake("b1", "1.00"), finished=True)))
    return beexar


async def play_a_round_at_gis(desk: Desk, seat: Seat) -> Gis:
    """One bet that ends its round."""
    gis = Gis(desk.lanes.submit)
    assert await gis.code(at_gis(seat, slotegrator_gis_calls.BET, finished="1")) == "OK"
    return gis


async def test_a_round_id_of_an_earlier_session_is_closed_in_the_later_one_too(database_url: str) -> None:
    async with sound_desk(database_url) as (desk, earlier):
        beexar = await play_a_round_at_beexar(desk, earlier)
        await leave(desk, earlier)
        later = await desk.another_session(PLAYER)
        await beexar.ask("/betwin", at_beexar(later, betwin(stake("b2", "1.00"), finished=True)))
        await beexar.ask("/finish", at_beexar(later, softswiss_v2_calls.FINISH))
        await leave(desk, later)
        assert await states(database_url) == [("settled", "settled")] * 2


async def test_a_bet_that_names_a_round_but_no_session_may_use_an_old_sessions_round_id(
    database_url: str,
) -> None:
    async with sound_desk(database_url) as (desk, earlier):
        beexar = await play_a_round_at_beexar(desk, earlier)
        await leave(desk, earlier)
        later = await desk.another_session(PLAYER)
        body = betwin(stake("b2", "1.00"))
        del body["session_id"]
        assert (await beexar.ask("/betwin", body))["balance"] == "8.00"
        assert await rows(database_url, "SELECT session_id, state FROM round WHERE state = 'open'") == [
            (later.session_id, "open")
        ]


async def test_a_form_closes_the_round_of_its_own_session(database_url: str) -> None:
    async with sound_desk(database_url) as (desk, earlier):
        gis = await play_a_round_at_gis(desk, earlier)
        await leave(desk, earlier)
        later = await desk.another_session(PLAYER)
        bet = at_gis(later, slotegrator_gis_calls.BET, transaction_id="b2", finished="1")
        assert await gis.code(bet) == "OK"
        await leave(desk, later)
        assert await states(database_url) == [("settled", "settled")] * 2


async def test_a_win_is_paid_though_its_round_id_was_used_in_another_currency(database_url: str) -> None:
    async with sound_desk(database_url) as (desk, euros):
        beexar = await play_a_round_at_beexar(desk, euros)
        dollars = await sit_in_dollars(desk)
        bet = at_beexar(dollars, betwin(stake("b2", "1.00")), currency="USD")
        assert (await beexar.ask("/betwin", bet))["balance"] == "9.00"
        won = at_beexar(dollars, betwin(prize("w2", "500.00"), finished=True), currency="USD")
        assert (await beexar.ask("/betwin", won))["balance"] == "509.00"
        assert await breaks(database_url) == []


async def test_a_bet_is_refunded_though_its_round_id_was_used_in_another_currency(database_url: str) -> None:
    async with sound_desk(database_url) as (desk, euros):
        gis = await play_a_round_at_gis(desk, euros)
        dollars = await sit_in_dollars(desk)
        bet = at_gis(dollars, slotegrator_gis_calls.BET, transaction_id="b2", currency="USD")
        assert await gis.code(bet) == "OK"
        refund = slotegrator_gis_calls.REFUND | {"bet_transaction_id": "b2", "finished": "1"}
        assert (await gis.ask(at_gis(dollars, refund, currency="USD")))["balance"] == 10.0
        assert await breaks(database_url) == []


async def test_players_and_rounds_whose_ids_could_be_read_alike_do_not_meet(database_url: str) -> None:
    async with sound_desk(database_url) as (desk, _):
        one, other = await desk.seat("7"), await desk.seat("acme:7")
        beexar = Beexar(desk.lanes.submit)
        bet = betwin(stake("b1", "1.00"), finished=True)
        won = betwin(prize("w1", "9.00"), finished=True)
        await beexar.ask("/betwin", at_beexar(one, bet, round_id="55:acme"))
        answer = await beexar.ask("/betwin", at_beexar(other, won, round_id="55"))
        assert answer["balance"] == "19.00"


# A round belongs to one session, whatever other sessions of the player do.


@asynccontextmanager
async def desktop_and_mobile(url: str) -> AsyncIterator[tuple[Hub88, Desk, Seat, Seat]]:
    """Hub88, and a player in the same round in two sessions at once."""
    async with sound_desk(url) as (desk, desktop):
        await give_token(desk, desktop, "desktop")
        mobile = await desk.another_session(PLAYER)
        await give_token(desk, mobile, "mobile")
        hub88 = Hub88(desk.lanes.submit)
        assert await bet_at_hub88(hub88, "mobile", "m1") == "RS_OK"
        yield hub88, desk, desktop, mobile


async def bet_at_hub88(hub88: Hub88, token: str, reference: str, **changes: Any) -> str:
    """What a bet of one euro is told."""
    changes = {"amount": EUR_1, "transaction_uuid": reference, **changes}
    return await hub88.status(BET, hub88_calls.BET, token=token, **changes)


async def test_a_bet_that_closes_its_round_closes_it_in_its_own_session(database_url: str) -> None:
    async with desktop_and_mobile(database_url) as (hub88, desk, desktop, mobile):
        assert await bet_at_hub88(hub88, "desktop", "d1", round_closed=True) == "RS_OK"
        assert await rows(database_url, "SELECT session_id, state FROM round ORDER BY session_id") == [
            (desktop.session_id, "closed"),
            (mobile.session_id, "open"),
        ]
        assert await bet_at_hub88(hub88, "mobile", "m2") == "RS_OK"
        await leave(desk, desktop)
        assert await state_of(database_url, desktop) == "settled"


async def test_a_rollback_that_closes_its_round_closes_it_in_its_bets_session(database_url: str) -> None:
    async with desktop_and_mobile(database_url) as (hub88, _, desktop, _):
        assert await bet_at_hub88(hub88, "desktop", "d1") == "RS_OK"
        undone = {"reference_transaction_uuid": "d1", "round_closed": True}
        assert await hub88.status(ROLLBACK, hub88_calls.ROLLBACK, **undone) == "RS_OK"
        assert await bet_at_hub88(hub88, "mobile", "m2") == "RS_OK"
        closed = await rows(database_url, "SELECT session_id FROM round WHERE state = 'closed'")
        assert closed == [(desktop.session_id,)]


async def test_a_token_of_a_session_behind_many_newer_ones_keeps_its_round(database_url: str) -> None:
    async with sound_desk(database_url) as (desk, seat):
        await give_token(desk, seat, hub88_calls.TOKEN)
        for _ in range(MANY):
            await desk.another_session(PLAYER)
        hub88 = Hub88(desk.lanes.submit)
        for reference in ("bet-1", "bet-2"):
            assert await bet_at_hub88(hub88, hub88_calls.TOKEN, reference) == "RS_OK"
        assert await rows(database_url, "SELECT bets, live_bets, staked FROM round") == [(2, 2, 200)]
        won = {"amount": 0, "round_closed": True}
        assert await hub88.status(WIN, hub88_calls.WIN, **won) == "RS_OK"
        assert await bet_at_hub88(hub88, hub88_calls.TOKEN, "bet-3") != "RS_OK"
        await leave(desk, seat)
        assert await state_of(database_url, seat) == "settled"


async def test_a_win_that_finds_its_old_session_by_its_bet_does_not_write_the_named_round_anew(
    database_url: str,
) -> None:
    async with sound_desk(database_url) as (desk, seat):
        await give_token(desk, seat, hub88_calls.TOKEN)
        hub88 = Hub88(desk.lanes.submit)
        assert await bet_at_hub88(hub88, hub88_calls.TOKEN, "bet-1") == "RS_OK"
        assert await bet_at_hub88(hub88, hub88_calls.TOKEN, "bet-2", round="round-2") == "RS_OK"
        for _ in range(MANY):
            await desk.another_session(PLAYER)
        won = {"round": "round-2", "amount": EUR_1, "round_closed": True}
        assert await hub88.status(WIN, hub88_calls.WIN, **won) == "RS_OK"
        sql = "SELECT provider_round_id, bets, staked, won, state FROM round ORDER BY 1"
        assert await rows(database_url, sql) == [
            ("round-1", 1, 100, 0, "open"),
            ("round-2", 1, 100, 100, "closed"),
        ]


@pytest.mark.parametrize("is_seated", [True, False], ids=["in a session", "without a session"])
async def test_a_win_after_its_rollback_may_close_a_round_nobody_knew(
    database_url: str, is_seated: bool
) -> None:
    async with sound_desk(database_url) as (desk, seat):
        await desk.ask(seat.call(rollback("w1", "rb1")))
        session_id = seat.session_id if is_seated else None
        late = win("w1", 40, session_id=session_id, round_id="r9", close_round=True)
        assert (await desk.ask(seat.call(late))).code == TOMBSTONED
        assert await rows(database_url, "SELECT provider_round_id, state FROM round") == [("r9", "closed")]
        assert await balance_of(database_url, PLAYER) == 1_000


# A call is applied whole or not at all.


async def test_a_call_that_rolls_back_its_own_later_action_is_not_applied_in_part(database_url: str) -> None:
    async with sound_desk(database_url) as (desk, seat):
        actions = seat.bet_action("a", 100), rollback("x", "r"), seat.bet_action("x", 5)
        with pytest.raises(CroupierError, match="comes later; nothing was applied"):
            await desk.lanes.submit(seat.call(*actions))
        assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_rollback_list_that_names_its_own_element_keeps_what_it_says(database_url: str) -> None:
    async with sound_desk(database_url) as (desk, seat):
        beexar = Beexar(desk.lanes.submit)
        bets = betwin(stake("b0", "1.00"), stake("b1", "1.00"))
        await beexar.ask("/betwin", at_beexar(seat, bets))
        odd = softswiss_v2_calls.rollback(undoing("b0", "r0"), undoing("r2", "r1"), undoing("b1", "r2"))
        assert (await beexar.send("/rollback", at_beexar(seat, odd))).status == 400
        assert await balance_of(database_url, PLAYER) == 800


# A credit that cannot be paid is finance's to know.


async def test_a_win_whose_amount_holds_a_nul_is_refused_and_finance_is_told(database_url: str) -> None:
    async with sound_desk(database_url) as (desk, seat):
        gis = Gis(desk.lanes.submit)
        answer = await gis.ask(at_gis(seat, slotegrator_gis_calls.WIN, amount="5\0"))
        assert answer["error_code"] == "INTERNAL_ERROR"
        assert await breaks(database_url) == [("refused_credit", "win-1:malformed")]
        assert await balance_of(database_url, PLAYER) == 1_000


async def test_a_win_that_is_refused_with_its_batch_is_told_to_finance(database_url: str) -> None:
    async with sound_desk(database_url) as (desk, seat):
        batch = betwin(prize("w1", "50.00"), stake("b1", "99999.00"))
        refused = await Beexar(desk.lanes.submit).refusal("/betwin", at_beexar(seat, batch))
        assert refused == (400, "100", "10.00")
        assert [subject.split(":")[0] for _, subject in await breaks(database_url)] == ["w1"]


# What an answer may say, and to whom.


async def test_the_same_bytes_of_an_applied_bet_are_not_told_that_it_was_not_applied(
    database_url: str,
) -> None:
    async with sound_desk(database_url) as (desk, seat):
        gis = Gis(desk.lanes.submit)
        bet = at_gis(seat, slotegrator_gis_calls.BET)
        headers = slotegrator_gis_calls.signed_headers(urlencode(bet).encode())
        assert (await gis.send(bet, headers)).status == 200
        assert (await gis.send(bet, headers)).status == 500
        assert await balance_of(database_url, PLAYER) == 644


async def test_a_balance_is_not_told_of_a_player_who_never_sat_at_the_provider(database_url: str) -> None:
    async with sound_desk(database_url) as (desk, _):
        money = call(deposit("d", 4_242, player_id="stranger"))
        assert (await desk.ask(attempt(money, "stranger"))).is_approved
        question = {**softswiss_v2_calls.BALANCE, "account_id": "stranger"}
        form = {**slotegrator_gis_calls.BALANCE, "player_id": "stranger"}
        del question["session_id"], form["session_id"]
        answers = [
            await Beexar(desk.lanes.submit).send("/balance", question),
            await Gis(desk.lanes.submit).send(form),
        ]
        assert [b"the player is not known" in answer.body for answer in answers] == [True, True]
        assert not any(b"42.42" in answer.body for answer in answers)
