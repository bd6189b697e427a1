"""The sandbox's webhooks: echoes, a time in the dark, the storm afterwards, and a gateway that is found out."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from foreign_gateway import account_of
from native_gateway import NativeGateway, native_gateway
from sandbox_studio import HOSTILE, IMPATIENT, Studio, net, studio_of

from croupier.sandbox.plan import NoticeAttack
from croupier.sandbox.service import SandboxService, Settings

DEADLINE_S = 20.0
ATTACKS = {kind.value for kind in NoticeAttack}
STORM = {"seed": 5, "duplicate": 30, "refiled": 20, "poison": 1, **dict.fromkeys(ATTACKS, 10)}


@pytest.fixture
async def gateway() -> AsyncIterator[NativeGateway]:
    async with native_gateway() as gateway:
        yield gateway


@pytest.fixture
async def studio(gateway: NativeGateway) -> AsyncIterator[Studio]:
    async with studio_of(gateway) as studio:
        yield studio


async def storm(studio: Studio, **order: Any) -> dict[str, Any]:
    """Come back; the report."""
    status, report = await studio.ask("POST", "/control/storm", order)
    assert status == 200, report
    assert isinstance(report, dict)
    return report


async def go_dark(studio: Studio) -> None:
    status, shown = await studio.ask("POST", "/control/dark")
    assert (status, shown["dark"]) == (200, True)


async def effects(studio: Studio) -> Counter[str]:
    """What each player's wallet gained by the provider's own book."""
    gained: Counter[str] = Counter()
    for entry in await studio.book():
        gained[entry["player_id"]] += int(entry["effect"])
    return gained


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def told(gateway: NativeGateway) -> list[dict[str, Any]]:
    """The webhooks that were accepted, in order."""
    return [json.loads(body) for body in gateway.deliveries.values()]


@pytest.mark.parametrize("game", ["dice", "mines", "crash"])
async def test_in_the_dark_nothing_after_a_bet_is_called_back_and_the_storm_tells_all_of_it(
    gateway: NativeGateway, studio: Studio, game: str
) -> None:
    await go_dark(studio)
    report = await studio.play("p-1", game, rounds=40, misbehaviour={**HOSTILE, "jackpot": 20}, seed=3)
    assert {path for path, _ in gateway.seen} <= {"/balance", "/bet", "/bet-win", "/win"}
    assert gateway.deliveries == {}
    assert (report["unexpected"], report["wrong"], report["unresolved"]) == (0, [], 0)
    came = await storm(studio, seed=1)
    assert came["held"] == came["accepted"] == came["sent"] == len(gateway.deliveries) > 40
    assert (came["unexpected"], came["wrong"], came["waiting"]) == (0, [], 0)
    assert came["dark_s"] > 0
    assert {"round.completed", "round.rolled_back", "jackpot.won"} == {one["type"] for one in told(gateway)}
    assert gateway.wallets["p-1"] == gateway.opening_minor + (await effects(studio))["p-1"]
    assert {entry["reference"] for entry in await studio.book()} == set(gateway.stored)


async def test_going_dark_and_coming_back_while_rounds_run_loses_nothing(
    gateway: NativeGateway, studio: Studio
) -> None:
    rates = {**HOSTILE, "late_rollback": 25, "win_before_bet": 5, "jackpot": 20, "echo": 30}
    playing = asyncio.create_task(studio.play("p-1", "dice", rounds=60, misbehaviour=rates, seed=3))
    storms = 0
    while not playing.done():
        await go_dark(studio)
        seen = len(gateway.seen)
        await until(lambda seen=seen: len(gateway.seen) > seen + 20 or playing.done())
        storms += (await storm(studio, **STORM))["held"] > 0
    report = await playing
    last = await storm(studio)
    assert storms > 3
    assert (report["unexpected"], report["wrong"], report["unresolved"]) == (0, [], 0)
    assert (last["unexpected"], last["waiting"]) == (0, 0)
    assert gateway.wallets["p-1"] == gateway.opening_minor + (await effects(studio))["p-1"]


@pytest.mark.parametrize("flow", ["win_before_bet", "early_rollback"])
async def test_in_the_dark_a_bet_without_answer_is_undone_by_webhook_and_not_asked_for_again(
    gateway: NativeGateway, flow: str
) -> None:
    gateway.lost_paths.add("/bet")
    async with studio_of(gateway, IMPATIENT) as studio:
        await go_dark(studio)
        report = await studio.play("p-1", "dice", rounds=1, misbehaviour={flow: 100})
        assert report["unresolved"] == (await studio.ask("GET", "/unresolved"))[1]["count"] == 0
        assert gateway.wallets["p-1"] != gateway.opening_minor
        came = await storm(studio)
        assert (came["held"] > 0, came["unexpected"]) == (True, 0)
        assert (await effects(studio))["p-1"] == 0
    assert gateway.wallets["p-1"] == gateway.opening_minor


async def test_what_only_a_webhook_told_is_in_the_book_once_it_was_accepted(
    gateway: NativeGateway, studio: Studio
) -> None:
    await go_dark(studio)
    await studio.play("p-1", "dice", rounds=3)
    before = {entry["reference"] for entry in await studio.book()}
    await storm(studio)
    entries = [entry for entry in await studio.book() if entry["reference"] not in before]
    assert [(entry["action"], entry["status"], entry["effect"]) for entry in entries] == [
        ("close", "told", "0")
    ] * 3


async def test_a_storm_duplicates_reorders_and_attacks_and_moves_nothing_twice(
    gateway: NativeGateway, studio: Studio
) -> None:
    await go_dark(studio)
    for player in ("p-1", "p-2"):
        await studio.play(player, "dice", rounds=40, misbehaviour={"late_rollback": 40, "jackpot": 20})
    came = await storm(studio, **STORM)
    assert came["attacks"]["planted"] == came["attacks"]["refused"]
    assert set(came["attacks"]["planted"]) == ATTACKS
    assert came["duplicates"]["sent"] == came["duplicates"]["absorbed"] > 0
    assert came["sent"] == came["accepted"] + came["duplicates"]["sent"]
    assert came["accepted"] == len(gateway.deliveries) > came["held"] + 1
    assert came["answers"] == {"202": came["sent"]}
    assert (came["unexpected"], came["wrong"]) == (0, [])
    for player, gained in (await effects(studio)).items():
        assert gateway.wallets[player] == gateway.opening_minor + gained


async def test_the_order_of_a_storm_is_not_that_of_play_unless_it_is_asked_for(
    gateway: NativeGateway, studio: Studio
) -> None:
    orders = []
    for in_order in (True, False):
        await go_dark(studio)
        await studio.play(f"p-{in_order}", "dice", rounds=30)
        gateway.deliveries.clear()
        await storm(studio, in_order=in_order)
        played = [one["data"]["reference"] for one in sorted(told(gateway), key=lambda one: one["timestamp"])]
        came = [one["data"]["reference"] for one in told(gateway)]
        orders.append(sum(one == other for one, other in zip(played, came, strict=True)))
    assert orders[0] > 2 * orders[1]


async def test_a_busy_gateway_gets_the_same_id_again_signed_anew(
    gateway: NativeGateway, studio: Studio
) -> None:
    await go_dark(studio)
    await studio.play("p-1", "dice", rounds=4)
    gateway.webhook_script.extend(["429", "503", "drop", "lose"])
    came = await storm(studio)
    assert came["retries"] == {"status_429": 1, "status_503": 1, "connection": 2}
    assert len(gateway.attempts) == 8
    assert {webhook_id for webhook_id, _ in gateway.attempts} == set(gateway.deliveries)
    assert (came["accepted"], len(gateway.deliveries), came["waiting"]) == (4, 4, 0)


async def test_what_nobody_took_waits_for_the_next_storm_under_its_id(gateway: NativeGateway) -> None:
    async with studio_of(gateway, IMPATIENT) as studio:
        await go_dark(studio)
        await studio.play("p-1", "dice", rounds=3)
        gateway.webhooks_down = True
        first = await storm(studio, refiled=50, duplicate=50)
        assert (first["accepted"], first["waiting"], first["unexpected"]) == (0, 3, 0)
        seen = {webhook_id for webhook_id, _ in gateway.attempts}
        gateway.webhooks_down = False
        second = await storm(studio)
        assert (second["accepted"], second["waiting"]) == (3, 0)
        assert set(gateway.deliveries) <= seen
        assert len([entry for entry in await studio.book() if entry["status"] == "told"]) == 3


async def test_a_webhook_that_is_turned_away_for_good_is_said(gateway: NativeGateway, studio: Studio) -> None:
    await go_dark(studio)
    await studio.play("p-1", "dice", rounds=1)
    gateway.webhook_script.append("400")
    came = await storm(studio)
    assert (came["accepted"], came["waiting"], came["unexpected"]) == (0, 0, 1)
    assert came["answers"] == {"400": 1}
    assert came["wrong"][0].startswith("round.completed msg_")


async def test_what_is_called_back_can_be_told_again_under_the_same_reference(
    gateway: NativeGateway, studio: Studio
) -> None:
    rates = {"late_rollback": 30, "early_rollback": 30, "echo": 100}
    report = await studio.play("p-1", "dice", rounds=12, misbehaviour=rates)
    await storm(studio)
    called = {reference for path, reference in gateway.seen if path in ("/close-round", "/rollback")}
    assert {one["data"]["reference"] for one in told(gateway)} == called
    assert (report["unexpected"], report["wrong"]) == (0, [])
    assert "told" not in {entry["status"] for entry in await studio.book()}
    assert gateway.wallets["p-1"] == gateway.opening_minor + net(report["money"])


async def test_jackpots_are_fed_by_bets_and_paid_by_webhook_alone(
    gateway: NativeGateway, studio: Studio
) -> None:
    report = await studio.play("p-1", "dice", rounds=30, misbehaviour={"jackpot": 30})
    again = await studio.play("p-1", "mines", rounds=10, misbehaviour={"jackpot": 30})
    await storm(studio)
    bets = [body for body in gateway.bodies.values() if body["tail"] == "/bet"]
    assert {body["jackpot_contribution"] for body in bets} == {"1"}
    won = [one["data"] for one in told(gateway)]
    assert {(one["kind"], one["player_id"]) for one in won} == {("jackpot", "p-1")}
    assert 0 < sum(int(one["amount"]) for one in won) <= len(bets)
    assert (report["wrong"], again["wrong"]) == ([], [])
    assert gateway.wallets["p-1"] == gateway.opening_minor + (await effects(studio))["p-1"]


async def test_a_player_who_leaves_is_told_of(gateway: NativeGateway, studio: Studio) -> None:
    await studio.play("p-1", "dice", rounds=1, is_last=True)
    await storm(studio)
    (left,) = told(gateway)
    assert (left["type"], left["data"]["session_id"]) == ("session.closed", "ses-p-1-dice")


async def test_poison_is_genuine_and_its_id_is_told(gateway: NativeGateway, studio: Studio) -> None:
    came = await storm(studio, poison=2)
    assert sorted(came["poison"]) == sorted(gateway.deliveries)
    assert [one["type"] for one in told(gateway)] == ["round.exploded"] * 2
    _, shown = await studio.ask("GET", "/control/webhooks")
    assert (shown["poison"], shown["accepted"], shown["dark"]) == (came["poison"], 2, False)


async def test_a_gateway_that_believes_every_webhook_is_found_out(
    gateway: NativeGateway, studio: Studio
) -> None:
    gateway.checks_signatures = False
    await go_dark(studio)
    await studio.play("p-1", "dice", rounds=5)
    came = await storm(studio, **STORM)
    assert set(came["attacks"]["planted"]) == ATTACKS
    assert set(came["attacks"]["refused"]) == {NoticeAttack.REUSED_ID.value}
    assert "webhook_stale: expected 401 unauthenticated stale, got 202" in came["wrong"]


@pytest.mark.parametrize(
    "order", [{"duplicate": 101}, {"poison": 1_000}, {"typo": 1}, {"seed": 1.5}, {"in_order": 1}]
)
async def test_a_storm_that_makes_no_sense_is_refused(studio: Studio, order: dict[str, Any]) -> None:
    status, problem = await studio.ask("POST", "/control/storm", order)
    assert (status, problem["code"]) == (400, "malformed")


async def test_a_protocol_without_webhooks_cannot_go_dark() -> None:
    settings = Settings(accounts=(account_of("softswiss_v2", "http://127.0.0.1:1"),), port=0)
    async with SandboxService(settings) as service, aiohttp.ClientSession() as http:
        studio = Studio(service.address, http)
        for method, path in (
            ("POST", "/control/dark"),
            ("GET", "/control/webhooks"),
        ):
            status, problem = await studio.ask(method, path)
            assert (status, problem["code"]) == (409, "no_webhooks")
        _, status_page = await studio.ask("GET", "/status")
        assert status_page["webhooks"] is None
