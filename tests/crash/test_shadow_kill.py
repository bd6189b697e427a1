"""Real workers with a shadow: what is planted is found, and killing the shadow fails no call (J2, I9, I12)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import aiohttp
from crash_books import require_sound_books
from crash_site import until
from msgspec import structs
from shadow_site import CANDIDATE, ORDER, SHADOW, Players, ShadowSite

from croupier.ids import SESSION, parse_id
from croupier.providers.candidates.planted import PLANTED

KILLS = 6
FOUND_S = 60.0
COUNTS = ("same", "different", "refused", "failed", "hung", "skipped", "dropped")


async def test_what_is_planted_is_found_in_the_traffic_of_real_workers(tmp_path: Path) -> None:
    site = ShadowSite(tmp_path, "queue = 10000\n")
    try:
        await site.serve()
        await until(lambda: site.shadow_pids(CANDIDATE) or site.shadow_pids(), "a shadow", within_s=FOUND_S)
        async with (
            site.sandbox_process(),
            aiohttp.ClientSession() as http,
            site.platform() as platform,
        ):
            players = Players(site, http)
            for number in range(4):
                session = await players.play_once(platform, f"player-{number}")
            place = {
                "account_id": session["player_id"],
                "currency": "EUR",
                "session_id": str(parse_id(SESSION, session["session_id"])),
                "game_id": "softswiss-dice",
            }
            stakes = [{"id_provider": f"many-{n}", "type": "bet", "amount": "0.01"} for n in range(4)]
            batch = {**place, "round_id": "many", "transactions": stakes}
            assert (await site.call(http, "/betwin", batch))[0] == 200
            poor = {**stakes[0], "id_provider": "poor", "amount": "100000"}
            status, told = await site.call(
                http, "/betwin", {**place, "round_id": "poor", "transactions": [poor]}
            )
            assert (status, told["meta"]["api_code"]) == (400, "100")
            planted = {tuple(structs.asdict(one).values()) for one in PLANTED}

            async def is_found() -> bool:
                document = await site.ask_shadow()
                return len(document["differences"]) >= len(planted)

            await until(is_found, f"what is planted\n{site.log_tail()}", within_s=FOUND_S)
            assert not await site.failed_requests(http)
        document = await site.ask_shadow()
        found = {
            tuple(one[name] for name in ("operation", "path", "live", "candidate"))
            for one in document["differences"]
        }
        assert found == planted
        assert not document["verdict"]["is_green"]
        assert document["counts"]["same"] > 0
        assert [report["wrong"] for report in players.reports] == [[]] * 4
    finally:
        await site.close()


async def test_killing_the_shadow_again_and_again_under_load_fails_no_call(tmp_path: Path) -> None:
    site = ShadowSite(tmp_path)
    try:
        await site.serve()
        async with site.sandbox_process(), aiohttp.ClientSession() as http:
            players = Players(site, http)
            players.start(4)
            for number in range(KILLS):
                what = (SHADOW, CANDIDATE)[number % 2]
                await until(
                    lambda what=what: site.shadow_pids(what), f"a process of {what}", within_s=FOUND_S
                )
                played = len(players.reports)
                for pid in site.shadow_pids(what):
                    os.kill(pid, signal.SIGKILL)
                await until(lambda played=played: players.has_played(played + 2), "play", within_s=FOUND_S)
            (frozen,) = await found(site)
            os.kill(frozen, signal.SIGSTOP)
            played = len(players.reports)
            await until(lambda: players.has_played(played + 8), "play beside a frozen one", within_s=FOUND_S)
            os.kill(frozen, signal.SIGKILL)
            await players.finish()
            assert [report["wrong"] for report in players.reports] == [[]] * len(players.reports)
            assert {report["stopped_by"] for report in players.reports} == {None}
            assert not await site.failed_requests(http)
        document = await site.ask_shadow()
        assert sum(document["counts"][name] for name in COUNTS) > len(players.reports) * ORDER["rounds"] // 4
        connection = await site.connect()
        try:
            await require_sound_books(connection)
        finally:
            await connection.close()
    finally:
        await site.close()


async def found(site: ShadowSite) -> list[int]:
    await until(lambda: site.shadow_pids(), "a shadow process", within_s=FOUND_S)
    return site.shadow_pids()
