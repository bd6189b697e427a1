"""Restrictions through the operator API and on lanes of other processes (H4, I1, I2, I5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from lane_desk import attempt, held_wallet, open_desk, require_sound_books, waiting_for_locks
from operator_house import OPENING, PLAYER, House, open_house, session_uuid

from croupier.operator.permissions import Role
from croupier.operator.restrictions import CLOSED_AT_ONCE
from croupier.runtime.database import connect_app, connect_owner
from model.calls import bet, call, restrict, win

PATH = f"/v1/players/{PLAYER}/restrictions"
BLOCK = {"kind": "block", "reason": "case 4711"}
UNKNOWN = "rst_0195500000007000800000000000002a"
WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with open_house(database_url) as opened:
        yield opened
    await require_sound_books(database_url)


def stake(house: House, session: dict[str, Any], reference: str) -> Awaitable[Any]:
    return house.provider_call(bet(reference, 100, session_id=session_uuid(session), player_id=PLAYER))


async def state_of(house: House, session: dict[str, Any]) -> str:
    return str((await house.get(f"/v1/sessions/{session['session_id']}")).json()["state"])


async def test_stakes_stop_sessions_close_and_what_is_won_is_paid(house: House) -> None:
    await house.deposit("d-1", 500)
    session, unplayed = await house.open(), await house.open()
    await stake(house, session, "b-1")
    answer = await house.post(PATH, BLOCK | {"until": "2099-01-01T00:00:00Z"})
    assert answer.status_code == 201, answer.text
    placed = answer.json()
    assert placed.pop("restriction_id").startswith("rst_")
    assert datetime.now(UTC) - datetime.fromisoformat(placed.pop("placed_at")) < timedelta(minutes=1)
    assert placed == BLOCK | {
        "player_id": PLAYER,
        "placed_by": "operator",
        "until": "2099-01-01T00:00:00Z",
        "lifted_at": None,
        "lifted_by": None,
        "lift_reason": None,
    }
    assert [await state_of(house, one) for one in (session, unplayed)] == ["pending_settlement", "cancelled"]
    ((declined,), (paid,)) = (
        await stake(house, session, "b-2"),
        await house.provider_call(
            win("w-1", 700, session_id=session_uuid(session), player_id=PLAYER, close_round=True)
        ),
    )
    assert (declined.code, paid.code, paid.balance) == ("player_restricted", "ok", 1_100)
    assert await state_of(house, session) == "settled"
    withdrawn = await house.post(house.wallet("/withdrawals"), {"amount": "1100", "reference": "o-1"})
    assert withdrawn.json()["status"] == "approved", "a player's money is the player's"
    events = (await house.get(f"/v1/sessions/{session['session_id']}/timeline")).json()["events"]
    assert ("closed", "block") in [(event["cause"], event["code"]) for event in events]


async def test_a_restricted_player_gets_no_session_and_the_provider_hears_nothing(house: House) -> None:
    placed = (await house.post(PATH, BLOCK)).json()
    refused = await house.post("/v1/sessions", OPENING)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["retryable"]) == (403, "not_eligible", False)
    assert (problem["reason"], problem["field"], problem["money_moved"]) == (
        "player_restricted",
        "player_id",
        "no",
    )
    assert placed["restriction_id"] in problem["detail"]
    assert not house.studio.seen
    assert (await house.open(player_id="player-2"))["state"] == "launched"


async def test_lifting_says_by_whom_and_why_and_lets_play_go_on(house: House) -> None:
    placed = (await house.post(PATH, BLOCK, role=Role.ADMIN)).json()
    lifting = f"{PATH}/{placed['restriction_id']}/lift"
    lifted = await house.post(lifting, {"reason": "case closed"}, key="one")
    again = await house.post(lifting, {"reason": "case closed"}, key="one")
    assert (lifted.status_code, lifted.json()) == (200, again.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert (lifted.json()["placed_by"], lifted.json()["lifted_by"]) == ("admin", "operator")
    assert lifted.json()["lift_reason"] == "case closed"
    gone = await house.post(lifting, {"reason": "case closed"}, key="two")
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_restriction")
    assert (await house.open())["state"] == "launched"


async def test_a_repeat_under_its_key_places_nothing_and_still_closes_what_is_open(house: House) -> None:
    placed = await house.post(PATH, BLOCK, key="one")
    again = await house.post(PATH, BLOCK, key="one")
    assert (again.status_code, again.json()) == (201, placed.json())
    assert again.headers["idempotent-replayed"] == "true"
    other = await house.post(PATH, BLOCK | {"reason": "other"}, key="one")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len((await house.get(PATH)).json()["restrictions"]) == 1


async def test_all_of_many_open_sessions_are_closed(house: House) -> None:
    for _ in range(CLOSED_AT_ONCE + 3):
        await house.open(game_id="offline")
    await house.post(PATH, BLOCK)
    page = (await house.get("/v1/sessions", player_id=PLAYER, limit=200)).json()["sessions"]
    assert [one["state"] for one in page] == ["cancelled"] * (CLOSED_AT_ONCE + 3)


async def test_a_players_restrictions_are_listed_newest_first_page_by_page(house: House) -> None:
    placed = [(await house.post(PATH, BLOCK | {"reason": f"{one}"})).json() for one in range(3)]
    first = (await house.get(PATH, limit=2)).json()
    rest = (await house.get(PATH, limit=2, cursor=first["next_cursor"])).json()
    assert first["restrictions"] + rest["restrictions"] == placed[::-1]
    assert rest["next_cursor"] is None
    assert (await house.get("/v1/players/nobody/restrictions")).json()["restrictions"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "tired", "reason": "x"}, "kind"),
        ({"kind": "block"}, "reason"),
        ({"kind": "block", "reason": ""}, "reason"),
        (BLOCK | {"until": "2020-01-01T00:00:00Z"}, "until"),
        (BLOCK | {"until": "2099-01-01T00:00:00"}, "until"),
        (BLOCK | {"until": "soon"}, "until"),
        (BLOCK | {"credits": "too"}, "credits"),
    ],
)
async def test_a_restriction_that_cannot_be_is_refused_with_what_would_be_right(
    house: House, body: dict[str, str], field: str
) -> None:
    answer = await house.post(PATH, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert field in answer.json()["detail"]
    assert (await house.get(PATH)).json()["restrictions"] == []


async def test_a_restriction_of_nobody_or_of_another_cannot_be_lifted(house: House) -> None:
    placed = (await house.post(PATH, BLOCK)).json()
    for path in (f"{PATH}/{UNKNOWN}/lift", f"/v1/players/other/restrictions/{placed['restriction_id']}/lift"):
        answer = await house.post(path, {"reason": "x"})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_restriction")
    assert (await house.post(f"{PATH}/4711/lift", {"reason": "x"})).json()["code"] == "malformed"


async def test_roles_that_only_read_may_not_restrict(house: House) -> None:
    for role in (Role.SUPPORT, Role.FINANCE, Role.SECURITY, Role.READ_ONLY):
        assert (await house.post(PATH, BLOCK, role=role)).status_code == 403
        assert (await house.get(PATH, role=role)).status_code == 200


async def test_lanes_of_another_process_decline_the_very_next_bet(database_url: str) -> None:
    async with open_desk(database_url) as here, open_desk(database_url) as there:
        seat = await here.seat(PLAYER)
        assert (await there.ask(seat.bet("b-1"))).is_approved
        await here.ask(attempt(call(restrict(player_id=seat.player_id)), seat.player_id))
        assert (await there.ask(seat.bet("b-2"))).code == "player_restricted"
    await require_sound_books(database_url)


async def test_a_bet_that_waits_for_its_player_sees_what_was_placed_meanwhile(
    database_url: str, wait_until: WaitUntil
) -> None:
    """The restriction commits after the bet's statement began: its snapshot must not be the one of then."""
    async with open_desk(database_url) as desk:
        seat = await desk.seat(PLAYER)
        async with held_wallet(database_url, PLAYER) as holder:
            waiting = asyncio.ensure_future(desk.ask(seat.bet("b-1")))
            await wait_until(lambda: waiting_for_locks(database_url))
            await holder.execute(
                "INSERT INTO player_restriction (bucket, player_id, id, kind, reason, placed_by, placed_at) "
                "SELECT bucket, owner, $2, 'block', 'r', 'k', '2026-01-01Z' FROM account WHERE owner = $1",
                PLAYER,
                seat.session_id,
            )
        assert (await waiting).code == "player_restricted"


@pytest.mark.parametrize(
    "statement",
    ["UPDATE player_restriction SET kind = 'block'", "DELETE FROM player_restriction"],
)
async def test_the_application_can_neither_change_nor_forget_a_restriction(
    database_url: str, statement: str
) -> None:
    connection = await connect_app(database_url)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_nobody_lifts_twice_or_takes_a_lifting_back(house: House, database_url: str) -> None:
    placed = (await house.post(PATH, BLOCK)).json()
    await house.post(f"{PATH}/{placed['restriction_id']}/lift", {"reason": "x"})
    owner = await connect_owner(database_url)
    try:
        for statement in (
            "UPDATE croupier.player_restriction SET lifted_at = NULL, lifted_by = NULL, lift_reason = NULL",
            "DELETE FROM croupier.player_restriction",
        ):
            with pytest.raises(asyncpg.PostgresError) as refused:
                await owner.execute(statement)
            assert refused.value.sqlstate == "CR003"
    finally:
        await owner.close()
