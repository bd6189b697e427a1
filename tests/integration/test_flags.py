"""Flags on a real database: changes, history, who follows them, and what the operator API makes of them (J1, I2)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from flag_desk import NEW, ROLLOUT, set_flag, set_on, take_back
from lane_desk import read_rows, require_sound_books
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason
from operator_house import OPENING, PLAYER, Door, House, anywhere_as, flags_of, open_house, session_uuid

from croupier.errors import PROVIDER_UNAVAILABLE
from croupier.governance.audit import verify_chain
from croupier.governance.flags.evaluation import StoredFlags
from croupier.governance.flags.history import Cause
from croupier.governance.flags.rules import Target
from croupier.governance.flags.store import FlagConflict, RollbackRefused, load_changes, load_rules
from croupier.providers.breakers.machine import BreakerSettings
from croupier.providers.breakers.store import LAUNCH as LAUNCHES
from croupier.providers.breakers.store import Endpoint
from croupier.runtime.config import Game
from croupier.runtime.database import connect_app
from croupier.runtime.flag_work import Flags
from model.calls import bet, win

LAUNCH = Target(flag="launch", provider="studio")
DICE = Game(id="dice", provider="studio", name="Dice")
IN_FORCE_S = 2.0
FOLLOWERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'croupier-flags'"
WaitUntil = Callable[..., Awaitable[None]]


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect_app(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    door = Door(served={name: anywhere_as(name) for name in ("MT", "SE")})
    async with open_house(database_url, successors=(NEW,), door=door) as opened:
        yield opened
    await require_sound_books(database_url)


async def test_a_change_has_its_line_of_history_and_its_record_of_audit(
    connection: asyncpg.Connection, database_url: str
) -> None:
    first = await set_on(connection, ROLLOUT, 500, reason="first step")
    again = await set_on(connection, ROLLOUT, 500, reason="first step")
    await set_on(connection, ROLLOUT, 2000, reason="it goes well", actor="cli:bob")
    assert (first.before.share_bps, first.after.share_bps, first.after.version) == (None, 500, 1)
    assert not again.is_new
    changes = await load_changes(connection, "rollout", NEW, 10)
    assert [(one.from_bps, one.to_bps, one.version, one.actor, one.reason) for one in changes] == [
        (500, 2000, 2, "cli:bob", "it goes well"),
        (None, 500, 1, "cli:ann", "first step"),
    ]
    assert {one.cause for one in changes} == {Cause.MANUAL}
    records = await read_rows(database_url, "SELECT * FROM croupier.audit_record ORDER BY seq")
    assert [(one["action"], one["subject"], one["reason"]) for one in records] == [
        ("flag.manual", "flag:rollout provider=studio_v2", "first step"),
        ("flag.manual", "flag:rollout provider=studio_v2", "it goes well"),
    ]
    assert (await verify_chain(connection)).is_whole


async def test_who_decided_on_an_older_version_is_told_so(connection: asyncpg.Connection) -> None:
    before = (await set_on(connection, ROLLOUT, 500)).after
    await set_on(connection, ROLLOUT, 0, expected=before.version)
    with pytest.raises(FlagConflict, match=r"is off \(version 2\), not what it was at version 1"):
        await set_on(connection, ROLLOUT, 2000, expected=before.version)
    assert [one.share_bps for one in await load_rules(connection)] == [0]


async def test_of_two_at_once_one_is_told_that_the_other_was_faster(database_url: str) -> None:
    await set_flag(database_url, ROLLOUT, 500)
    both = [set_flag(database_url, ROLLOUT, share, expected=1) for share in (1000, 0)]
    ended = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(one).__name__ for one in ended) == ["Changed", "FlagConflict"]


async def test_a_rollback_goes_back_step_by_step_and_never_forth(connection: asyncpg.Connection) -> None:
    for share in (500, 2000, 5000):
        await set_on(connection, ROLLOUT, share)
    found = [(await take_back(connection, ROLLOUT)).after.share_bps for _ in range(3)]
    assert found == [2000, 500, None]
    with pytest.raises(RollbackRefused, match="no change of it is in effect"):
        await take_back(connection, ROLLOUT)
    undone = [one.undoes for one in await load_changes(connection, None, None, 3)]
    assert undone == [1, 2, 3]


async def test_a_rollback_does_not_raise_a_rollout_that_was_lowered(connection: asyncpg.Connection) -> None:
    await set_on(connection, ROLLOUT, 500)
    await set_on(connection, ROLLOUT, 0, actor="guard", reason="9 of 20 launches failed", cause=Cause.GUARD)
    with pytest.raises(RollbackRefused, match="guard: 9 of 20 launches failed"):
        await take_back(connection, ROLLOUT)
    await set_on(connection, LAUNCH, 0)
    assert (await take_back(connection, LAUNCH)).after.share_bps is None, "a game is switched on again"


async def test_history_cannot_be_edited_and_rules_stay(connection: asyncpg.Connection) -> None:
    await set_on(connection, ROLLOUT, 500)
    for statement in (
        "UPDATE flag_change SET reason = 'x'",
        "DELETE FROM flag_change",
        "DELETE FROM flag_rule",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_a_flag_nobody_knows_is_not_stored(connection: asyncpg.Connection) -> None:
    with pytest.raises(ValueError, match="no flag is called lunch"):
        await set_on(connection, Target(flag="lunch"), 0)
    assert await load_rules(connection) == []


def sent_to(flags: Flags) -> str:
    """Where this process opens a player's game now."""
    return flags.launches.choose(DICE, player_id=PLAYER, jurisdiction="MT").provider


async def test_a_change_is_in_force_on_every_process_within_two_seconds(
    database_url: str, wait_until: WaitUntil
) -> None:
    processes = [flags_of(database_url, (NEW,)) for _ in range(2)]
    for one in processes:
        await one.start()
    tasks = [asyncio.create_task(one.follow()) for one in processes]
    try:
        for share, wanted in ((10_000, NEW), (0, "studio"), (10_000, NEW)):
            # Whoever follows loses its connection just before.
            await read_rows(database_url, FOLLOWERS)
            await set_flag(database_url, ROLLOUT, share)
            changed_s = time.monotonic()
            await wait_until(lambda wanted=wanted: {sent_to(one) for one in processes} == {wanted})
            assert time.monotonic() - changed_s < IN_FORCE_S
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_while_the_database_is_away_what_was_known_stands(
    database_url: str, wait_until: WaitUntil
) -> None:
    await set_flag(database_url, ROLLOUT, 10_000)
    flags = flags_of(database_url, (NEW,))
    await flags.start()
    tried = 0

    async def nobody_answers() -> asyncpg.Connection:
        nonlocal tried
        tried += 1
        raise ConnectionRefusedError("away")

    real, flags._connect = flags._connect, nobody_answers
    flags.close()
    following = asyncio.create_task(flags.follow())
    await wait_until(lambda: tried >= 2)
    assert sent_to(flags) == NEW
    await set_flag(database_url, ROLLOUT, 0)
    flags._connect = real
    await wait_until(lambda: sent_to(flags) == "studio")
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_process_that_has_seen_no_rules_does_not_begin(database_url: str) -> None:
    flags = flags_of(database_url, (NEW,))

    async def nobody_answers() -> asyncpg.Connection:
        raise ConnectionRefusedError("away")

    flags._connect = nobody_answers
    with pytest.raises(ConnectionRefusedError):
        await flags.start()


async def test_openfeature_says_which_rule_decided_and_why(
    connection: asyncpg.Connection, database_url: str
) -> None:
    flags = flags_of(database_url, (NEW,))
    client = flags.launches._client
    early = client.get_boolean_details("launch", True)
    assert (early.value, early.reason, early.error_code) == (True, Reason.ERROR, "PROVIDER_NOT_READY")
    await set_on(connection, ROLLOUT, 500)
    await set_on(connection, Target(flag="launch", jurisdiction="MT"), 0)
    await flags.start()
    flags.close()
    asked = EvaluationContext("alice", {"provider": NEW, "jurisdiction": "MT"})
    off = client.get_boolean_details("launch", True, asked)
    assert (off.value, off.reason, off.variant) == (False, Reason.TARGETING_MATCH, "off")
    assert off.flag_metadata == {"rule": "launch jurisdiction=MT", "version": 1}
    share = client.get_boolean_details("rollout", False, asked)
    assert (share.reason, share.flag_metadata["rule"]) == (Reason.SPLIT, "rollout provider=studio_v2")
    assert share.value is (int(share.flag_metadata["position"]) < 500)
    nobody = client.get_boolean_details("rollout", True, EvaluationContext(None, {"provider": NEW}))
    assert (nobody.value, nobody.error_code) == (True, "TARGETING_KEY_MISSING")
    unknown = client.get_boolean_details("lunch", True, asked)
    assert (unknown.value, unknown.error_code) == (True, "FLAG_NOT_FOUND")
    assert client.get_string_details("launch", "x", asked).error_code == "TYPE_MISMATCH"
    assert StoredFlags().get_metadata().name == "croupier"


async def tell(house: House, url: str, target: Target, share_bps: int | None) -> None:
    """Change a flag, and let the house know."""
    await set_flag(url, target, share_bps)
    await house.flags.look()


async def test_a_game_that_is_switched_off_is_refused_with_a_friendly_word(
    house: House, database_url: str
) -> None:
    opened = await house.post("/v1/sessions", OPENING, key="before")
    await tell(house, database_url, Target(flag="launch", game="dice", jurisdiction="MT"), 0)
    seen = len(house.studio.seen)
    refused = await house.post("/v1/sessions", OPENING)
    problem = refused.json()
    assert (refused.status_code, problem["code"], problem["reason"]) == (
        503,
        PROVIDER_UNAVAILABLE.code,
        "switched_off",
    )
    assert "short break" in problem["player_message"]
    assert refused.headers["retry-after"] == "60"
    assert len(house.studio.seen) == seen
    assert [one.result for one in house.launches] == ["launched", "held_back"]
    assert (await house.post("/v1/sessions", OPENING, key="before")).json() == opened.json(), "a repeat"
    for allowed in ({"game_id": "limbo"}, {"country": "SE"}):
        assert (await house.post("/v1/sessions", OPENING | allowed)).status_code == 201, allowed


async def test_a_game_without_launches_is_switched_off_too(house: House, database_url: str) -> None:
    await tell(house, database_url, Target(flag="launch", provider="paper"), 0)
    assert (await house.post("/v1/sessions", OPENING | {"game_id": "offline"})).status_code == 503


async def available(house: House) -> dict[str, bool]:
    games = (await house.get("/v1/games")).json()["games"]
    return {one["game_id"]: one["available"] for one in games}


async def test_the_catalogue_says_what_nobody_can_open(house: House, database_url: str) -> None:
    await tell(house, database_url, Target(flag="launch", game_group="crash"), 0)
    assert await available(house) == {"dice": True, "limbo": False, "offline": True}
    await tell(house, database_url, Target(flag="launch", game_group="crash"), 100)
    assert (await available(house))["limbo"], "one player in a hundred can"
    await tell(house, database_url, Target(flag="launch", provider=NEW), 0)
    assert (await available(house))["dice"], "nobody goes there"
    await tell(house, database_url, ROLLOUT, 5000)
    assert (await available(house))["dice"], "half of the players can"
    await tell(house, database_url, ROLLOUT, 10_000)
    assert not (await available(house))["dice"]


async def test_players_go_where_their_share_says_and_play_there(house: House, database_url: str) -> None:
    await tell(house, database_url, ROLLOUT, 5000)
    sent = {}
    for number in range(20):
        session = await house.open(player_id=f"player-{number}")
        sent[session["player_id"]] = session["provider"]
    assert set(sent.values()) == {"studio", NEW}
    assert {one.provider for one in house.launches} == {"studio", NEW}
    rows = await read_rows(database_url, "SELECT provider, contract_id, share_bps FROM croupier.session")
    assert {(one["provider"], one["share_bps"]) for one in rows} == {("studio", 1000), (NEW, 900)}
    assert all(one["contract_id"].startswith(f"{one['provider']}/") for one in rows), "its own terms"
    await tell(house, database_url, ROLLOUT, 9000)
    for player, provider in sent.items():
        if provider == NEW:
            assert (await house.open(player_id=player))["provider"] == NEW, "who was in stays in"


async def test_a_session_stays_with_its_account_for_its_whole_life(house: House, database_url: str) -> None:
    await house.deposit("d-1", 500)
    session = await house.open()
    await tell(house, database_url, ROLLOUT, 10_000)
    ours = {"session_id": session_uuid(session), "player_id": PLAYER}
    await house.provider_call(bet("b-1", 100, **ours))
    (paid,) = await house.provider_call(win("w-1", 300, **ours))
    assert (paid.code, paid.balance) == ("ok", 700)
    assert (await house.open())["provider"] == NEW


@pytest.mark.parametrize(("before", "after"), [(0, 10_000), (10_000, 0)])
async def test_a_repeat_gets_its_session_whatever_the_share_is_now(
    house: House, database_url: str, before: int, after: int
) -> None:
    await tell(house, database_url, ROLLOUT, before)
    opened = await house.post("/v1/sessions", OPENING, key="one")
    await tell(house, database_url, ROLLOUT, after)
    again = await house.post("/v1/sessions", OPENING, key="one")
    assert (again.status_code, again.json()) == (201, opened.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert len(house.studio.seen) == 1


@pytest.mark.parametrize(("before", "after", "account"), [(0, 10_000, "studio"), (10_000, 0, NEW)])
async def test_a_repeat_launches_its_session_where_it_was_opened(
    house: House, database_url: str, before: int, after: int, account: str
) -> None:
    await tell(house, database_url, ROLLOUT, before)
    house.studio.script.append("drop")
    opened = (await house.post("/v1/sessions", OPENING, key="one")).json()
    assert (opened["state"], opened["provider"]) == ("created", account)
    await tell(house, database_url, ROLLOUT, after)
    again = (await house.post("/v1/sessions", OPENING, key="one")).json()
    assert (again["session_id"], again["state"]) == (opened["session_id"], "launched")
    assert [one.provider for one in house.launches] == [account, account]


async def test_a_repeat_counts_for_the_breaker_of_the_account_it_was_opened_at(database_url: str) -> None:
    quick = BreakerSettings(min_calls=2, failure_percent=100, open_s=600, open_cap_s=600)
    async with open_house(database_url, breakers=quick, successors=(NEW,)) as house:
        house.studio.script.extend(["drop"] * 2)
        await house.post("/v1/sessions", OPENING, key="one")
        await tell(house, database_url, ROLLOUT, 10_000)
        await house.post("/v1/sessions", OPENING, key="one")
        await house.deps.breakers.look()
        opened = [house.deps.breakers.is_open(Endpoint(one, LAUNCHES)) for one in ("studio", NEW)]
        assert (opened, len(house.studio.seen)) == ([True, False], 2)


async def test_a_repeat_is_not_launched_while_its_game_is_switched_off(
    house: House, database_url: str
) -> None:
    house.studio.script.append("drop")
    opened = (await house.post("/v1/sessions", OPENING, key="one")).json()
    await tell(house, database_url, ROLLOUT, 10_000)
    await tell(house, database_url, Target(flag="launch"), 0)
    again = await house.post("/v1/sessions", OPENING, key="one")
    assert (again.status_code, again.json()["session_id"]) == (201, opened["session_id"])
    assert (again.json()["state"], len(house.studio.seen)) == ("created", 1)


async def test_a_flip_in_the_middle_of_a_request_changes_nothing_about_it(
    house: House, database_url: str, wait_until: WaitUntil
) -> None:
    house.studio.script.append("hang")
    opening = asyncio.create_task(house.open())
    await wait_until(lambda: house.studio.seen)
    await tell(house, database_url, ROLLOUT, 10_000)
    await tell(house, database_url, Target(flag="launch"), 0)
    house.studio.released.set()
    session = await opening
    assert (session["provider"], session["state"]) == ("studio", "launched")
    assert (await house.post("/v1/sessions", OPENING)).status_code == 503


async def test_the_breaker_of_the_chosen_account_counts(database_url: str) -> None:
    quick = BreakerSettings(min_calls=3, open_s=600, open_cap_s=600, probes=1)
    async with open_house(database_url, breakers=quick, successors=(NEW,)) as house:
        await tell(house, database_url, ROLLOUT, 10_000)
        house.studio.script.extend(["drop"] * 3)
        for number in range(3):
            await house.post("/v1/sessions", OPENING, key=f"sick-{number}")
        await house.deps.breakers.look()
        held: Any = (await house.post("/v1/sessions", OPENING)).json()
        assert (held["code"], held["reason"]) == (PROVIDER_UNAVAILABLE.code, "breaker_open")
        assert not (await available(house))["dice"]
        await tell(house, database_url, ROLLOUT, 0)
        assert (await house.open())["provider"] == "studio", "the account before is well"
        assert (await available(house))["dice"]
