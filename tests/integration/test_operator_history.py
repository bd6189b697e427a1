"""Wallets, rounds, the journal, breaks and the catalogue through the operator API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from operator_house import PLAYER, House, open_house, session_uuid

from croupier.operator.permissions import Role
from model.calls import bet, rollback, win


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with open_house(database_url) as opened:
        yield opened


def eur(amount: int) -> dict[str, str]:
    return {"amount": str(amount), "asset": "EUR"}


async def balance(house: House) -> dict[str, Any]:
    found: dict[str, Any] = (await house.get(house.wallet())).json()["funds"][0]["balance"]
    return found


async def withdraw(house: House, reference: str, amount: int) -> dict[str, Any]:
    answer = await house.post(house.wallet("/withdrawals"), {"amount": str(amount), "reference": reference})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def cancel(house: House, reference: str, body: Any = None) -> dict[str, Any]:
    answer = await house.post(house.wallet(f"/withdrawals/{reference}/cancel"), body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_deposit_says_what_it_did(house: House) -> None:
    answer = await house.deposit("d-1", 1_250)
    assert answer.pop("journal_id").startswith("jrn_")
    assert answer == {
        "status": "approved",
        "code": "ok",
        "reference": "d-1",
        "balance": eur(1_250),
        "repeat": False,
    }


async def test_a_known_reference_under_a_new_key_gets_the_original(house: House) -> None:
    first = await house.deposit("d-1", 1_250)
    await house.deposit("d-2", 50)
    again = await house.deposit("d-1", 1_250)
    assert again == first | {"repeat": True}
    assert await balance(house) == eur(1_300)


async def test_a_known_reference_with_other_content_is_a_conflict(house: House) -> None:
    await house.deposit("d-1", 1_250)
    for path in (
        house.wallet("/deposits"),
        house.wallet("/withdrawals"),
        house.wallet("/deposits", asset="USD"),
    ):
        answer = await house.post(path, {"amount": "1251", "reference": "d-1"})
        assert (answer.status_code, answer.json()["code"]) == (409, "reference_conflict")
    assert await balance(house) == eur(1_250)


async def test_a_withdrawal_beyond_the_balance_is_declined_for_ever(house: House) -> None:
    await house.deposit("d-1", 100)
    declined = await withdraw(house, "w-1", 500)
    assert (declined["status"], declined["code"]) == ("declined", "insufficient_funds")
    assert (declined["journal_id"], declined["balance"]) == (None, eur(100))
    await house.deposit("d-2", 1_000)
    assert await withdraw(house, "w-1", 500) == declined | {"repeat": True}
    assert await balance(house) == eur(1_100)


async def test_a_withdrawal_is_given_back_once(house: House) -> None:
    await house.deposit("d-1", 1_000)
    assert (await withdraw(house, "w/1", 400))["balance"] == eur(600)
    back = await cancel(house, "w%2F1", {})
    assert (back["status"], back["code"], back["balance"]) == ("approved", "ok", eur(1_000))
    assert (await cancel(house, "w%2F1"))["repeat"] is True
    assert await balance(house) == eur(1_000)


async def test_a_cancellation_that_comes_first_stops_the_withdrawal(house: House) -> None:
    await house.deposit("d-1", 1_000)
    assert (await cancel(house, "w-1"))["code"] == "nothing_to_roll_back"
    assert (await withdraw(house, "w-1", 400))["code"] == "tombstoned"
    assert await balance(house) == eur(1_000)


async def test_a_cancellation_with_a_body_of_its_own_is_refused(house: House) -> None:
    answer = await house.post(house.wallet("/withdrawals/w-1/cancel"), {"amount": "5"})
    assert (answer.status_code, answer.json()["field"]) == (400, "amount")


async def test_a_cancellation_of_a_deposit_is_refused(house: House) -> None:
    await house.deposit("d-1", 1_000)
    answer = await house.post(house.wallet("/withdrawals/d-1/cancel"))
    assert (answer.status_code, answer.json()["field"]) == (400, "reference")


async def test_the_wallet_of_nobody_is_unknown_and_an_unused_asset_is_empty(house: House) -> None:
    missing = await house.get(house.wallet())
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_player")
    await house.deposit("d-1", 1_000)
    usd = (await house.get(house.wallet(asset="USD"))).json()
    assert usd["funds"] == [{"fund": "cash", "balance": {"amount": "0", "asset": "USD"}, "flowed": None}]
    wrong = await house.get(house.wallet(asset="EURO"))
    assert (wrong.status_code, wrong.json()["code"]) == (422, "unknown_asset")
    assert "EUR" in wrong.json()["detail"]


async def test_amounts_of_38_digits_are_exact(house: House) -> None:
    amount = 10**38 - 1
    assert (await house.deposit("d-1", amount))["balance"] == eur(amount)
    assert await balance(house) == eur(amount)
    (entry,) = (await house.get("/v1/journal", player_id=PLAYER)).json()["entries"]
    assert sorted(one["amount"]["amount"] for one in entry["postings"]) == [f"-{amount}", str(amount)]


async def test_what_a_player_owes_is_shown_and_is_a_break(house: House) -> None:
    await house.deposit("d-1", 100)
    session = await house.open()
    given: dict[str, Any] = {"session_id": session_uuid(session), "player_id": PLAYER}
    await house.provider_call(bet("b-1", 100, **given))
    await house.provider_call(win("w-1", 300, **given))
    await withdraw(house, "out", 250)
    await house.provider_call(rollback("w-1", "rb-1", player_id=PLAYER))
    wallet = (await house.get(house.wallet())).json()
    assert (wallet["funds"][0]["balance"], wallet["receivable"]) == (eur(0), eur(250))
    for query in ({}, {"player_id": PLAYER}):
        (found,) = (await house.get("/v1/breaks", Role.FINANCE, **query)).json()["breaks"]
        assert (found["kind"], found["player_id"]) == ("receivable", PLAYER)
        assert found["break_id"].startswith("brk_")
    assert (await house.get("/v1/breaks", player_id="nobody")).json() == {"breaks": [], "next_cursor": None}


async def test_a_round_is_found_by_either_id(house: House) -> None:
    await house.deposit("d-1", 1_000)
    session = await house.open()
    await house.play(session["session_id"], "r/1", stake=100, won=40)
    (found,) = (
        await house.get("/v1/rounds", session_id=session["session_id"], provider_round_id="r/1")
    ).json()["rounds"]
    assert (found["state"], found["staked"], found["won"]) == ("closed", eur(100), eur(40))
    assert found["outcome"] == {"roll": 4200}
    assert (await house.get(f"/v1/rounds/{found['round_id']}")).json() == found
    other = "rnd_0195500000007000800000000000002a"
    missing = await house.get(f"/v1/rounds/{other}")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_round")


async def test_rounds_of_a_session_come_in_pages(house: House) -> None:
    await house.deposit("d-1", 1_000)
    session = await house.open()
    for number in range(5):
        await house.play(session["session_id"], f"r{number}")
    seen: list[str] = []
    query: dict[str, Any] = {"session_id": session["session_id"], "limit": 2}
    for _ in range(3):
        page = (await house.get("/v1/rounds", **query)).json()
        seen += [one["provider_round_id"] for one in page["rounds"]]
        query["cursor"] = page["next_cursor"]
    assert seen == ["r0", "r1", "r2", "r3", "r4"]
    assert query["cursor"] is None


async def test_the_journal_shows_both_sides_newest_first(house: House) -> None:
    await house.deposit("d-1", 1_000)
    session = await house.open()
    await house.play(session["session_id"], "r1", stake=100, won=40)
    entries = (await house.get("/v1/journal", Role.FINANCE, player_id=PLAYER)).json()["entries"]
    assert [entry["kind"] for entry in entries] == ["win", "bet", "deposit"]
    for entry in entries:
        assert sum(int(one["amount"]["amount"]) for one in entry["postings"]) == 0
    assert [entry["cause"] for entry in entries] == ["callback", "callback", "operator"]
    wallet = next(one for one in entries[0]["postings"] if one["account"] == "player_wallet")
    assert (wallet["owner"], wallet["amount"], wallet["balance_after"]) == (PLAYER, eur(40), eur(940))
    own = (await house.get("/v1/journal", session_id=session["session_id"])).json()["entries"]
    assert [entry["kind"] for entry in own] == ["win", "bet"]
    assert {entry["session_id"] for entry in own} == {session["session_id"]}


async def test_the_journal_comes_in_pages_without_gap_or_repeat(house: House) -> None:
    for number in range(5):
        await house.deposit(f"d-{number}", 10)
    first = (await house.get("/v1/journal", player_id=PLAYER, limit=3)).json()
    await house.deposit("d-late", 10)
    rest = (await house.get("/v1/journal", player_id=PLAYER, limit=3, cursor=first["next_cursor"])).json()
    references = [entry["reference"] for entry in first["entries"] + rest["entries"]]
    assert references == ["d-4", "d-3", "d-2", "d-1", "d-0"]


async def test_the_catalogue_is_filtered_by_asset_and_provider(house: House) -> None:
    async def games(**query: str) -> list[str]:
        return [one["game_id"] for one in (await house.get("/v1/games", **query)).json()["games"]]

    assert await games() == ["dice", "limbo", "offline"]
    assert await games(asset="USD") == ["offline"]
    assert await games(provider="studio", asset="EUR") == ["dice", "limbo"]
    page = (await house.get("/v1/games", limit=2)).json()
    rest = (await house.get("/v1/games", limit=2, cursor=page["next_cursor"])).json()
    assert [one["game_id"] for one in rest["games"]] == ["offline"]
