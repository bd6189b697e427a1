"""The sandbox provider over HTTP: launches, retries, duplicates, attacks, shared crash games."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from native_gateway import KEY, NativeGateway, native_gateway
from sandbox_studio import (
    HOSTILE,
    IMPATIENT,
    LAUNCH_KEY,
    QUICK,
    Studio,
    account_at,
    launch_body,
    net,
    studio_of,
)

from croupier.sandbox.book import Book
from croupier.sandbox.calls import Seat
from croupier.sandbox.client import GatewayClient
from croupier.sandbox.crash_table import CrashTable
from croupier.sandbox.plan import WELL_BEHAVED, Attack, Flow, plan_round
from croupier.sandbox.protocols import open_wire
from croupier.sandbox.rounds import play_round
from croupier.sandbox.service import Settings
from croupier.sandbox.settling import Stage
from croupier.sandbox.tally import Tally
from croupier.sandbox.wire import RetryPolicy
from croupier.settlement.fairness import steps_to_terminating, verify_round
from croupier_signing import SigningKey, random_nonce

DEADLINE_S = 20.0


@pytest.fixture
async def gateway() -> AsyncIterator[NativeGateway]:
    async with native_gateway() as gateway:
        yield gateway


@pytest.fixture
async def studio(gateway: NativeGateway) -> AsyncIterator[Studio]:
    async with studio_of(gateway) as studio:
        yield studio


async def test_a_launch_is_verified_and_opens_one_page_however_often_it_comes(studio: Studio) -> None:
    body = launch_body("p-1", "dice")
    status, launched = await studio.launch(body)
    again = await studio.launch(body)
    assert status == 200
    assert launched["session_id"] == body["session_id"]
    assert launched["launch_url"].startswith(f"{studio.address}/play/")
    assert again == (200, launched)
    assert (await studio.launch({**body, "asset": "JPY"}))[0] == 422


async def test_a_launch_with_a_bad_signature_is_refused(studio: Studio) -> None:
    body = launch_body("p-1", "dice")
    forged = SigningKey(LAUNCH_KEY.id, b"somebody else's secret here")
    nonce = random_nonce()
    assert (await studio.launch(body, nonce=nonce))[0] == 200
    replayed = await studio.launch(body, nonce=nonce)
    mismatch = await studio.launch(body, key=forged)
    stale = await studio.launch(body, late_by_s=120)
    unsigned = await studio.ask("POST", "/v1/launch", body)
    refusals = {"replayed": replayed, "mismatch": mismatch, "stale": stale, "missing": unsigned}
    for reason, (status, problem) in refusals.items():
        assert (status, problem["code"], problem["detail"]) == (401, "unauthenticated", reason)


async def test_a_launch_of_a_game_the_studio_does_not_have_names_its_refusal(studio: Studio) -> None:
    status, problem = await studio.launch(launch_body("p-1", "roulette"))
    assert (status, problem["error"], problem["code"]) == (404, "unknown_game", "unknown_game")


@pytest.mark.parametrize("game", ["dice", "mines", "crash"])
async def test_a_well_behaved_batch_moves_exactly_what_was_played(
    gateway: NativeGateway, studio: Studio, game: str
) -> None:
    report = await studio.play("p-1", game, rounds=20, misbehaviour="none")
    assert gateway.wallets["p-1"] == gateway.opening_minor + net(report["money"])
    assert report["balance"] == str(gateway.wallets["p-1"])
    assert report["approved"]["bet"] == report["approved"]["close"] == 20
    assert int(report["money"]["won"]) > 0
    assert (report["retries"], report["faults"], report["wrong"]) == ({}, {}, [])
    assert len(report["latencies_us"]) == 20 + report["approved"]["win"]


async def test_the_book_holds_every_acknowledged_reference_once(
    gateway: NativeGateway, studio: Studio
) -> None:
    await studio.play("p-1", "dice", rounds=15, misbehaviour="everything")
    entries = await studio.book()
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert {entry["reference"] for entry in entries} == set(gateway.stored)
    for entry in entries:
        stored = gateway.stored[entry["reference"]]
        assert {name: entry[name] for name in ("status", "code", "journal_id")} == {
            name: stored[name] for name in ("status", "code", "journal_id")
        }
        assert (entry["balance"], entry["amount"].isdigit()) == (stored["balance"]["amount"], True)


@pytest.mark.parametrize("game", ["dice", "mines", "crash"])
async def test_every_attack_is_refused_and_every_fault_absorbed(
    gateway: NativeGateway, studio: Studio, game: str
) -> None:
    report = await studio.play("p-1", game, rounds=60, misbehaviour=HOSTILE, seed=3)
    attacks = report["attacks"]
    assert attacks["planted"] == attacks["refused"]
    assert set(attacks["planted"]) == {kind.value for kind in Attack}
    assert set(report["flows"]) == {flow.value for flow in Flow} - ({"bet_win"} if game == "crash" else set())
    assert (report["repeat_violations"], report["unexpected"], report["wrong"]) == (0, 0, [])
    assert report["unresolved"] == 0
    assert report["duplicates"]["sent"] == report["duplicates"]["absorbed"] > 0
    assert report["retries"]["dropped_reply"] > 0
    assert gateway.wallets["p-1"] == gateway.opening_minor + net(report["money"])


async def test_the_same_seed_plays_the_same_games_whatever_goes_wrong(studio: Studio) -> None:
    calm = await studio.play("p-1", "mines", rounds=30, misbehaviour="none", seed="s")
    faults = {"duplicate": 40, "drop_reply": 20, "win_before_bet": 30, "close_before_win": 30, "replayed": 50}
    await studio.launch({**launch_body("p-1", "mines"), "session_id": "ses-other"})
    status, launched = await studio.launch({**launch_body("p-1", "mines"), "session_id": "ses-other"})
    assert status == 200
    order = {"stake": "100", "rounds": 30, "seed": "s", "misbehaviour": faults}
    path = launched["launch_url"].removeprefix(studio.address)
    _, wild = await studio.ask("POST", path, order)
    assert wild["faults"]["duplicate"] > 0
    assert wild["money"] == calm["money"]


async def test_a_busy_gateway_is_asked_again_with_the_same_reference(
    gateway: NativeGateway, studio: Studio
) -> None:
    gateway.script.extend(["503", "503", "drop", "lose"])
    report = await studio.play("p-1", "dice", rounds=1)
    references = [reference for path, reference in gateway.seen if path == "/bet"]
    assert report["retries"] == {"status_503": 2, "connection": 2}
    assert len(references) == 5
    assert len(set(references)) == 1
    assert (await studio.book())[0]["repeat"] is True
    assert gateway.wallets["p-1"] == gateway.opening_minor + net(report["money"])
    assert report["unresolved"] == 0


async def test_a_caller_that_hangs_up_asks_again_and_moves_money_once(
    gateway: NativeGateway, studio: Studio
) -> None:
    report = await studio.play("p-1", "dice", rounds=10, misbehaviour={"drop_reply": 100})
    calls = sum(report["calls"].values())
    assert report["retries"] == {"dropped_reply": calls}
    # Of those that were hung up on, at least some arrived, and some of these were decided.
    assert len(gateway.seen) - 1 > calls
    assert any(entry["repeat"] for entry in await studio.book())
    assert gateway.wallets["p-1"] == gateway.opening_minor + net(report["money"])


async def test_a_bet_that_stays_undecided_is_rolled_back(gateway: NativeGateway) -> None:
    gateway.lost_paths.add("/bet")
    async with studio_of(gateway, IMPATIENT) as studio:
        report = await studio.play("p-1", "dice", rounds=3)
        assert (await studio.ask("GET", "/unresolved"))[1]["count"] == 0
    assert gateway.wallets["p-1"] == gateway.opening_minor
    assert (report["stopped_by"], report["rounds"], report["unresolved"]) == ("unresolved", 1, 0)
    assert report["approved"] == {"rollback_bet": 1}


async def test_a_win_that_stays_undecided_is_kept_and_can_be_asked_again(gateway: NativeGateway) -> None:
    gateway.down_paths.add("/win")
    async with studio_of(gateway, IMPATIENT) as studio:
        report = await studio.play("p-1", "dice", rounds=3, misbehaviour={"close_before_win": 100})
        _, kept = await studio.ask("GET", "/unresolved")
        assert report["unresolved"] == kept["count"] == 3
        gateway.down_paths.clear()
        status, retried = await studio.ask("POST", "/control/retry")
        assert (status, retried["tried"], retried["left"], retried["approved"]) == (200, 3, 0, {"win": 3})
        _, totals = await studio.ask("GET", "/status")
    assert gateway.wallets["p-1"] == gateway.opening_minor + net(totals["money"]["EUR"])


async def test_repeats_that_differ_from_the_original_are_counted(
    gateway: NativeGateway, studio: Studio
) -> None:
    gateway.repeats_differ = True
    report = await studio.play("p-1", "dice", rounds=4, misbehaviour={"duplicate": 100})
    assert report["repeat_violations"] >= 8
    assert "the answers to copies of one call differ" in report["wrong"][0]


async def test_a_gateway_that_checks_nothing_is_found_out(gateway: NativeGateway, studio: Studio) -> None:
    gateway.checks_signatures = False
    rates = dict.fromkeys(("forged_key", "stale", "replayed", "conflict"), 100)
    report = await studio.play("p-1", "dice", rounds=2, misbehaviour=rates)
    assert report["attacks"]["planted"] == dict.fromkeys(rates, 2)
    assert report["attacks"]["refused"] == {"conflict": 2}
    assert "stale: expected 401 unauthenticated stale, got 200 ok" in report["wrong"]


async def test_a_player_without_money_is_declined_and_nothing_is_left_behind(
    gateway: NativeGateway, studio: Studio
) -> None:
    gateway.opening_minor = 50
    rates = {"win_before_bet": 50, "bet_win": 50}
    report = await studio.play("p-1", "dice", rounds=6, misbehaviour=rates)
    assert report["declined"]["insufficient_funds"] >= 6
    assert gateway.wallets["p-1"] == 50
    assert set(report["money"].values()) == {"0"}


async def test_players_share_a_crash_game_and_its_hash(gateway: NativeGateway, studio: Studio) -> None:
    players = [f"p-{number}" for number in range(5)]
    await asyncio.gather(*(studio.play(player, "crash", rounds=3, misbehaviour="none") for player in players))
    closes = [body for body in gateway.bodies.values() if body["tail"] == "/close-round"]
    by_round: dict[str, list[dict[str, Any]]] = {}
    for close in closes:
        by_round.setdefault(close["round_id"], []).append(close)
        assert verify_round(close["outcome"], close["fairness"]).is_valid
    assert len(closes) == 15
    assert max(len({close["player_id"] for close in shared}) for shared in by_round.values()) >= 2
    _, status = await studio.ask("GET", "/status")
    terminating = status["crash"]["terminating_hash"]
    for shared in by_round.values():
        proofs = {(close["fairness"]["server_seed"], close["fairness"]["nonce"]) for close in shared}
        (seed, number), *others = proofs
        assert others == []
        assert steps_to_terminating(seed, terminating, limit=100) == number


async def test_the_control_api_sets_default_misbehaviour_and_takes_launches_down(studio: Studio) -> None:
    order = {"misbehaviour": {"duplicate": 100}, "launch": {"mode": "unavailable", "for_s": 60}}
    page = await studio.open("p-1", "dice")
    assert (await studio.ask("PUT", "/control", order))[1] == {
        "misbehaviour": {"duplicate": 100},
        "launch": {"mode": "unavailable"},
        "failed_launches": {},
    }
    assert (await studio.launch(launch_body("p-2", "dice")))[0] == 503
    _, report = await studio.ask("POST", page, {"rounds": 1, "stake": "100"})
    assert report["faults"]["duplicate"] >= 2
    await studio.ask("PUT", "/control", {"launch": {"mode": "normal"}})
    assert (await studio.launch(launch_body("p-2", "dice")))[0] == 200


async def test_launches_of_one_account_are_taken_down_alone_and_counted(studio: Studio) -> None:
    _, shown = await studio.ask("GET", "/status")
    (account, *_) = shown["accounts"]
    fault = {"mode": "unavailable", "account": account}
    await studio.ask("PUT", "/control", {"launch": fault})
    assert (await studio.launch(launch_body("p-1", "dice")))[0] == 503
    assert (await studio.ask("GET", "/control"))[1]["failed_launches"] == {account: 1}
    await studio.ask("PUT", "/control", {"launch": fault | {"mode": "normal"}})
    assert (await studio.launch(launch_body("p-1", "dice")))[0] == 200
    unknown = {"launch": fault | {"account": "nobody"}}
    assert (await studio.ask("PUT", "/control", unknown))[0] == 404


async def test_a_launch_whose_reply_is_lost_is_found_by_the_next_one(studio: Studio) -> None:
    await studio.ask("PUT", "/control", {"launch": {"mode": "lose_reply"}})
    with pytest.raises(aiohttp.ClientError):
        await studio.launch(launch_body("p-1", "dice"))
    assert (await studio.ask("GET", "/status"))[1]["sessions"] == 1
    await studio.ask("PUT", "/control", {"launch": {"mode": "normal"}})
    assert (await studio.launch(launch_body("p-1", "dice")))[0] == 200
    assert (await studio.ask("GET", "/status"))[1]["sessions"] == 1


@pytest.mark.parametrize(
    "order",
    [
        {"rounds": 0, "stake": "1"},
        {"rounds": 1, "stake": "01"},
        {"rounds": 1, "stake": 1},
        {"rounds": 1, "stake": "1", "misbehaviour": "some"},
        {"rounds": 1, "stake": "1", "misbehaviour": {"early_rollback": 60, "late_rollback": 60}},
        {"rounds": 1, "stake": "1", "typo": 1},
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(studio: Studio, order: dict[str, Any]) -> None:
    status, problem = await studio.ask("POST", await studio.open("p-1", "dice"), order)
    assert (status, problem["code"]) == (400, "malformed")


async def test_the_page_shows_the_game_and_unknown_pages_are_not_there(studio: Studio) -> None:
    page = await studio.open("<b>p-1", "dice")
    async with aiohttp.ClientSession() as http, http.get(studio.address + page) as reply:
        text = await reply.text()
    assert (reply.status, "<h1>Dice</h1>" in text, "<b>p-1" in text) == (200, True, False)
    assert (await studio.ask("GET", "/play/guessed"))[0] == 404


async def test_a_crash_round_tells_nothing_before_its_game_starts(gateway: NativeGateway) -> None:
    table = CrashTable(random.Random(1), chain_games=3, join_window_s=3600.0)
    seat = Seat("ses-1", "p-1", "crash", "crash", "EUR")
    async with GatewayClient(open_wire(account_at(gateway.address)), policy=QUICK) as client:
        stage = Stage(client, Book(), table, Tally(), seat, "s", stake_minor=100)
        playing = asyncio.create_task(play_round(stage, plan_round("s", WELL_BEHAVED, "crash", 1), tag="r-1"))
        await asyncio.wait_for(gateway.asked.wait(), DEADLINE_S)
        done, _ = await asyncio.wait({playing}, timeout=0.2)
        assert (done, [path for path, _ in gateway.seen]) == (set(), ["/bet"])
        table.start_open_game()
        assert await asyncio.wait_for(playing, DEADLINE_S) is None
    assert gateway.seen[-1][0] == "/close-round"


async def test_a_stop_ends_a_batch_between_two_rounds(gateway: NativeGateway) -> None:
    async with aiohttp.ClientSession() as http:
        async with studio_of(gateway) as studio:
            page = await studio.open("p-1", "dice")
            asked = asyncio.create_task(_post(http, studio.address + page, {"rounds": 9_999, "stake": "1"}))
            await asyncio.wait_for(gateway.asked.wait(), DEADLINE_S)
        report = await asyncio.wait_for(asked, DEADLINE_S)
    assert (report["stopped_by"], report["unresolved"]) == ("stopping", 0)
    assert report["approved"]["bet"] == report["approved"]["close"] == report["rounds"] < 9_999


async def test_a_stop_ends_the_patience_of_a_batch(gateway: NativeGateway) -> None:
    patient = RetryPolicy(attempt_s=1.0, total_s=60.0, first_wait_s=0.05, longest_wait_s=30.0)
    gateway.down_paths.add("/bet")
    async with aiohttp.ClientSession() as http:
        async with studio_of(gateway, patient) as studio:
            page = await studio.open("p-1", "dice")
            body = {"rounds": 5, "stake": "100"}
            asked = asyncio.create_task(_post(http, studio.address + page, body))
            await asyncio.wait_for(gateway.refused.wait(), DEADLINE_S)
        report = await asyncio.wait_for(asked, DEADLINE_S)
    assert (report["rounds"], report["stopped_by"]) == (1, "unresolved")


async def test_the_process_announces_itself_and_stops_on_sigterm(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_bytes(KEY.secret)
    secret.chmod(0o600)
    arguments = ["serve", "--listen", "127.0.0.1:0", "--key-id", KEY.id, "--secret", f"file:{secret}"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "croupier.sandbox", *arguments, stdout=subprocess.PIPE, env={**os.environ}
    )
    assert process.stdout is not None
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)).decode()
        address = line.removeprefix("sandbox listening on ").strip()
        async with aiohttp.ClientSession() as http, http.get(f"{address}/games") as reply:
            games = [game["game_id"] for game in (await reply.json())["games"]]
        assert games == ["dice", "mines", "crash"]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), DEADLINE_S) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_the_service_listens_on_loopback_only() -> None:
    with pytest.raises(ValueError, match="loopback only"):
        Settings(accounts=(account_at("http://127.0.0.1:1"),), host="0.0.0.0")


def test_accounts_have_ids_of_their_own() -> None:
    account = account_at("http://127.0.0.1:1")
    for accounts in ((), (account, account), (account_at("http://127.0.0.1:1", name="play"),)):
        with pytest.raises(ValueError, match="ids of their own"):
            Settings(accounts=accounts)


def test_the_sandbox_shares_no_code_with_the_gateway_that_could_hide_a_mistake() -> None:
    program = "import sys, croupier.sandbox.service; print('\\n'.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    ours = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("croupier.")}
    assert ours <= {"croupier.sandbox", "croupier.settlement", "croupier.money", "croupier.iso4217"}
    assert {name for name in loaded if name.startswith("croupier.settlement.")} <= {
        name for name in loaded if name.startswith("croupier.settlement.fairness")
    }


async def _post(http: aiohttp.ClientSession, url: str, body: object) -> Any:
    async with http.post(url, json=body) as reply:
        return await reply.json()
