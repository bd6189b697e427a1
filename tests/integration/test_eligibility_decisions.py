"""Who may play, decided before a session exists: refusals with their texts, evidence of both kinds, and the stakes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from msgspec import structs

from croupier.operator.exclusion import ExclusionQuestion
from croupier.operator.permissions import Role
from croupier.play.eligibility import Enablement, Located, Reason, Standing, Unanswered
from croupier.runtime.config import built_in_packs
from croupier.runtime.database import connect_owner
from integration.operator_house import OPENING, PLAYER, Door, House, open_house

EXCLUDED = {"excluded-carl"}


def enabled(name: str, **changes: Any) -> Enablement:
    """A jurisdiction with everything enabled, except for what is given."""
    pack = built_in_packs()[name]
    whole = Enablement(pack=pack, countries=pack.countries, providers=("*",), games=("*",), assets=("*",))
    return structs.replace(whole, **changes)


class Check:
    """The operator's check as a test wants it; `asked` is what it was asked."""

    def __init__(self) -> None:
        self.asked: list[ExclusionQuestion] = []
        self.is_silent = False

    async def __call__(self, question: ExclusionQuestion) -> Standing | Unanswered:
        self.asked.append(question)
        if self.is_silent:
            return Unanswered("timeout")
        is_excluded = question.player_id in EXCLUDED
        return Standing(is_excluded=is_excluded, reference=f"chk-{len(self.asked)}", age=30)


@pytest.fixture
async def check() -> Check:
    return Check()


@pytest.fixture
async def house(database_url: str, check: Check) -> AsyncIterator[House]:
    served = {
        "DK": enabled("DK"),
        "BR": enabled("BR"),
        "US-NJ": enabled("US-NJ", games=("limbo",)),
        "MT": enabled("MT", providers=("paper",)),
    }

    def locate(ip: str) -> Located:
        return {"203.0.113.1": Located("US", ("NJ",)), "203.0.113.2": Located("DK")}.get(ip, Located(None))

    async with open_house(database_url, door=Door(served=served, locate=locate, ask=check)) as found:
        yield found


HERE = OPENING | {"country": "DK"}


async def decisions(house: House, player: str = PLAYER) -> list[dict[str, Any]]:
    """A player's decisions, newest first."""
    found: list[dict[str, Any]] = (await house.get(f"/v1/players/{player}/eligibility")).json()["decisions"]
    return found


async def test_what_a_session_was_opened_on_is_kept_with_it(house: House, check: Check) -> None:
    session = (await house.post("/v1/sessions", HERE | {"ip": "203.0.113.2"})).json()
    assert session["jurisdiction"] == "DK"
    (kept,) = await decisions(house)
    assert kept["eligibility_id"].startswith("elg_")
    assert (kept["granted"], kept["reason"], kept["rules"]) == (True, "ok", "DK/1")
    assert kept["session_id"] == session["session_id"]
    evidence = kept["evidence"]
    assert evidence["exclusion"] == {"status": "clear", "reference": "chk-1"}
    assert evidence["located"] == {"country": "DK", "subdivisions": []}
    assert (evidence["country"], evidence["game_id"]) == ("DK", "dice")
    assert "203.0.113.2" not in str(kept)
    assert len(evidence["ip"]["sha256"]) == 64
    assert "30" not in str(evidence["exclusion"])
    (question,) = check.asked
    assert (question.player_id, question.jurisdiction, question.register) == (PLAYER, "DK", "ROFUS")
    assert question.correlation_id == evidence["correlation_id"]


@pytest.mark.parametrize(
    ("changes", "reason", "rules"),
    [
        ({"country": "KP"}, Reason.JURISDICTION_UNKNOWN, None),
        ({"jurisdiction": "GB"}, Reason.JURISDICTION_UNKNOWN, None),
        ({"jurisdiction": "BR"}, Reason.COUNTRY_NOT_SERVED, "BR/1"),
        ({"country": "MT"}, Reason.PROVIDER_NOT_ENABLED, "MT/1"),
        ({"country": "BR"}, Reason.RETURN_TOO_LOW, "BR/1"),
        ({"country": "US"}, Reason.LOCATION_REQUIRED, "US-NJ/1"),
        ({"country": "US", "ip": "127.0.0.1"}, Reason.LOCATION_UNKNOWN, "US-NJ/1"),
        ({"country": "US", "ip": "203.0.113.2"}, Reason.LOCATION_MISMATCH, "US-NJ/1"),
        ({"country": "US", "ip": "203.0.113.1"}, Reason.GAME_NOT_ENABLED, "US-NJ/1"),
        ({"player_id": "excluded-carl"}, Reason.SELF_EXCLUDED, "DK/1"),
    ],
)
async def test_a_refusal_has_a_reason_a_text_for_the_player_and_is_kept(
    house: House, changes: dict[str, str], reason: Reason, rules: str | None
) -> None:
    answer = await house.post("/v1/sessions", HERE | changes)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["reason"]) == (403, "not_eligible", reason.value)
    assert (problem["money_moved"], problem["retryable"]) == ("no", False)
    assert "exclu" not in problem["player_message"]
    (kept,) = await decisions(house, changes.get("player_id", PLAYER))
    assert (kept["granted"], kept["reason"], kept["rules"], kept["session_id"]) == (
        False,
        reason,
        rules,
        None,
    )
    assert kept["eligibility_id"] in problem["detail"]
    assert not house.studio.seen
    assert [record.result for record in house.launches] == ["not_eligible"]


async def test_a_check_that_says_nothing_lets_nobody_in_until_it_does(house: House, check: Check) -> None:
    check.is_silent = True
    answer = await house.post("/v1/sessions", HERE, key="k")
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "eligibility_unanswered")
    assert (problem["retryable"], answer.headers["retry-after"]) == (True, "2")
    assert "check" in problem["player_message"]
    assert not house.studio.seen
    check.is_silent = False
    assert (await house.post("/v1/sessions", HERE, key="k")).status_code == 201
    granted = [one["granted"] for one in await decisions(house)]
    assert granted == [True, False]


async def test_a_repeat_gets_its_session_but_nothing_is_launched_for_who_may_not_play_any_more(
    house: House, check: Check
) -> None:
    house.studio.script.extend(["drop", "drop"])
    first = await house.post("/v1/sessions", HERE, key="k")
    assert (first.status_code, first.json()["launch_url"]) == (201, None)
    launched = len(house.studio.seen)
    check.is_silent = True
    repeat = await house.post("/v1/sessions", HERE, key="k")
    assert (repeat.status_code, repeat.json()) == (201, first.json())
    assert len(house.studio.seen) == launched
    assert (await house.post("/v1/sessions", HERE | {"locale": "da"}, key="k")).status_code == 422
    check.is_silent = False
    house.studio.script.clear()
    again = await house.post("/v1/sessions", HERE, key="k")
    assert again.json()["session_id"] == first.json()["session_id"]
    assert again.json()["launch_url"] is not None
    newest = (await decisions(house))[0]
    assert (newest["granted"], newest["reason"]) == (True, "relaunch")
    assert newest["session_id"] == first.json()["session_id"]


async def test_a_restriction_that_is_found_under_the_lock_is_kept_as_a_refusal_too(house: House) -> None:
    body = {"kind": "block", "reason": "case 1"}
    assert (await house.post(f"/v1/players/{PLAYER}/restrictions", body)).status_code == 201
    answer = await house.post("/v1/sessions", HERE)
    assert (answer.status_code, answer.json()["reason"]) == (403, "player_restricted")
    (kept,) = await decisions(house)
    assert (kept["granted"], kept["reason"], kept["rules"]) == (False, "player_restricted", "DK/1")


async def test_a_session_lives_no_longer_than_the_decision_it_stands_on(house: House) -> None:
    body = OPENING | {"country": "US", "game_id": "limbo", "ip": "203.0.113.1"}
    session = (await house.post("/v1/sessions", body)).json()
    (kept,) = await decisions(house)
    assert session["expires_at"] == kept["expires_at"]


async def test_who_may_see_decisions(house: House) -> None:
    path = f"/v1/players/{PLAYER}/eligibility"
    assert {(await house.get(path, role)).status_code for role in Role} == {200}
    for _ in range(3):
        await house.post("/v1/sessions", HERE | {"country": "KP"})
    first = (await house.get(path, limit=2)).json()
    rest = (await house.get(path, limit=2, cursor=first["next_cursor"])).json()
    assert (len(first["decisions"]), len(rest["decisions"]), rest["next_cursor"]) == (2, 1, None)


async def test_the_catalogue_tells_where_a_game_may_be_played(house: House) -> None:
    games = {game["game_id"]: game for game in (await house.get("/v1/games")).json()["games"]}
    assert games["limbo"]["jurisdictions"] == ["DK", "US-NJ"]
    assert (games["dice"]["jurisdictions"], games["offline"]["jurisdictions"]) == (["DK"], ["DK"])
    assert (games["limbo"]["category"], games["dice"]["category"]) == ("instant", "slots")
    there = (await house.get("/v1/games", jurisdiction="US-NJ")).json()["games"]
    assert [game["game_id"] for game in there] == ["limbo"]
    unknown = await house.get("/v1/games", jurisdiction="GB")
    assert (unknown.status_code, unknown.json()["field"]) == (400, "jurisdiction")


async def test_decisions_and_terms_are_never_edited(house: House, database_url: str) -> None:
    await house.post("/v1/sessions", HERE)
    connection = await connect_owner(database_url)
    try:
        for table in ("eligibility_decision", "play_terms"):
            for statement in (f"UPDATE {table} SET rules = 'x'", f"DELETE FROM {table}"):
                with pytest.raises(asyncpg.PostgresError, match="append-only"):
                    await connection.execute(statement)
    finally:
        await connection.close()
