"""A candidate reads along with real calls: what is planted is found, and nothing reaches a call (J2, I9, I12)."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from lane_desk import balance_of
from shadow_desk import ShadowStage, counts, misfit, shadow_stage

from croupier.providers.candidates.planted import PLANTED
from croupier.providers.shadow.store import Comparison, load_differences, load_tallies
from croupier.providers.shadow.tally import EXAMPLES, Kind
from croupier.providers.shadow.verdict import shadow_verdict
from croupier.runtime.database import connect_app
from croupier.runtime.shadow_child import render_frame
from unit.adapters.softswiss_v2_calls import (
    BALANCE,
    BEEXAR,
    FINISH,
    PLAYER,
    betwin,
    prize,
    rollback,
    stake,
    undoing,
)

WaitUntil = Callable[..., Awaitable[None]]


async def play(stage: ShadowStage, *, rounds: int = 4, bait: str = "") -> list[tuple[str, int, bytes]]:
    """Rounds of bets, wins, ends and rollbacks; every answer. With `bait`, each round's bet carries it."""
    told = []
    for number in range(rounds):
        bet, place = f"bet-{number}{bait}", {"round_id": f"round-{number}"}
        calls: list[tuple[str, dict[str, Any]]] = [
            ("/balance", BALANCE),
            ("/betwin", betwin(stake(bet, "1.00"), **place)),
            ("/betwin", betwin(prize(f"win-{number}", "0.50"), finished=True, **place)),
            ("/rollback", rollback(undoing(bet, f"back-{number}"), round_id_provider=f"round-{number}")),
        ]
        for path, body in calls:
            received = await stage.beexar.send(path, stage.at(body))
            told.append((path, received.status, received.body))
    return told


async def test_what_is_planted_in_version_3_is_found_and_nothing_else(
    database_url: str, tmp_path: Path
) -> None:
    async with shadow_stage(database_url, tmp_path) as stage:
        async with stage.shadowing():
            for number in range(5):
                place = {"round_id": f"round-{number}"}
                bet = betwin(stake(f"bet-{number}", "1.00"), prize(f"win-{number}", "2.00"), **place)
                assert (await stage.beexar.send("/betwin", stage.at(bet))).status == 200
            await stage.beexar.ask("/betwin", stage.at(betwin(stake("a", "1"), round_id="r", finished=True)))
            await stage.beexar.ask("/rollback", stage.at(rollback(undoing("a", "b"), round_id_provider="r")))
            poor = stage.at(betwin(stake("rich", "999"), round_id="r2"))
            assert await stage.beexar.refusal("/betwin", poor) == (400, "100", "105.00")
            many = betwin(*(stake(f"many-{n}", "1") for n in range(4)), round_id="r3")
            await stage.beexar.ask("/betwin", stage.at(many))
            await stage.beexar.ask("/balance", stage.at(BALANCE))
            await stage.beexar.ask("/finish", stage.at(FINISH | {"round_id": "r3"}))
            await stage.beexar.refusal("/betwin", stage.at(betwin(stake(amount="1e2"))))
            await stage.caught_up(12)
        report = await stage.report()
        found = {(one.operation, one.path, one.live, one.candidate) for one in report.differences}
        assert found == {(one.operation, one.path, one.live, one.candidate) for one in PLANTED}
        assert counts(report.totals) == {"same": 3, "different": 8, "failed": 1}
        assert not report.verdict.is_green
        (wins,) = (group for kind, group in report.differences.items() if "win" in kind.path)
        assert (wins.count, len(wins.examples)) == (5, EXAMPLES)
        assert [(one.live, one.candidate) for one in wins.examples] == [("200", "20000")] * EXAMPLES
        assert not stage.lost


async def test_the_adapter_itself_as_candidate_is_green(database_url: str, tmp_path: Path) -> None:
    """The comparison makes no differences of its own, over every kind of call and of refusal."""
    async with shadow_stage(database_url, tmp_path) as stage:
        async with stage.shadowing(misfit("dawdle")):
            told = await play(stage)
            await play(stage)
            await stage.beexar.refusal("/betwin", stage.at(betwin(stake("rich", "999"), round_id="x")))
            await stage.beexar.refusal("/betwin", stage.at(betwin(stake("bet-0", "7"))))
            await stage.beexar.refusal("/betwin", betwin(stake("ghost", "1")) | {"account_id": "nobody"})
            await stage.beexar.refusal("/rollback", b"no json")
            await stage.caught_up(2 * len(told) + 4)
            assert (await stage.report()).differences == {}
        report = await stage.report()
        assert counts(report.totals) == {"same": 2 * len(told) + 4}
        assert report.verdict.is_green


WAYS = {
    "hang": {"hung": 4},
    "sleep": {"hung": 4},
    "stop": {"hung": 4},
    "crash": {"failed": 4},
    "leave": {"failed": 4},
    "eat": {"failed": 4},
    "nibble": {"failed": 4},
    "write": {"failed": 4},
    "chatter": {},
    "dawdle": {},
}
SEEN = {
    "hang": ("deadline", "not done in time"),
    "sleep": ("deadline", "not done in time"),
    "stop": ("deadline", "not done in time"),
    "crash": ("failure", "the process ended by SIGSEGV"),
    "leave": ("failure", "the process ended with 7"),
    "eat": ("failure", "MemoryError"),
    "nibble": ("failure", "MemoryError"),
    "write": ("failure", "OSError in write"),
}


@pytest.mark.parametrize("way", WAYS)
async def test_whatever_a_candidate_does_calls_are_answered_as_without_it(
    database_url: str, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers and books are those of a play that nobody reads along, and the trouble is counted."""
    monkeypatch.chdir(tmp_path)
    # Memory must be eaten up before the time is, however busy the machine.
    deadline = "1m" if way in ("eat", "nibble") else "2s"
    async with shadow_stage(database_url, tmp_path, deadline=deadline, memory_mb=96) as stage:
        async with stage.shadowing(misfit(way)):
            # The bet and the rollback of each round name the bait.
            told = await play(stage, rounds=2, bait="-bait")
            await stage.caught_up(len(told))
        assert {status for _, status, _ in told} == {200}
        starts = [10_000 + 50 * number for number in range(2)]
        expected = [start + moved for start in starts for moved in (0, -100, -50, 50)]
        assert [json.loads(body)["balance"] for _, _, body in told] == [
            f"{one / 100:.2f}" for one in expected
        ]
        assert await balance_of(database_url, PLAYER) == expected[-1]
        report = await stage.report()
        trouble = WAYS[way]
        assert counts(report.totals) == {"same": len(told) - sum(trouble.values())} | trouble
        seen = {(one.path, one.candidate) for one in report.differences}
        assert seen == ({SEEN[way]} if way in SEEN else set())
        assert (
            not (tmp_path / "shadow-was-here").exists() or not (tmp_path / "shadow-was-here").stat().st_size
        )


async def test_a_candidate_that_cannot_be_loaded_is_told_and_costs_nothing(
    database_url: str, tmp_path: Path
) -> None:
    async with shadow_stage(database_url, tmp_path) as stage:
        async with stage.shadowing(misfit("break_while_loading")):
            await stage.beexar.ask("/balance", stage.at(BALANCE))
            await stage.caught_up(1)
        assert list(await stage.differences()) == [
            Kind("balance", "failure", "answered", "SyntaxError while loading")
        ]


async def test_a_slow_candidate_loses_calls_and_says_how_many(database_url: str, tmp_path: Path) -> None:
    async with shadow_stage(database_url, tmp_path, queue=3) as stage:
        async with stage.shadowing(misfit("dawdle")):
            for number in range(40):
                await stage.beexar.ask(
                    "/betwin", stage.at(betwin(stake(f"bait-{number}", "1"), round_id=f"r-{number}"))
                )
            await stage.caught_up(40)
        totals = (await stage.report()).totals
        assert totals.same + totals.dropped == 40
        assert totals.dropped > 0
        assert totals.same >= 4


async def test_nobody_reading_loses_copies_and_the_next_process_is_told_of_them(
    database_url: str, tmp_path: Path
) -> None:
    async with shadow_stage(database_url, tmp_path, queue=10_000) as stage:
        sent = 0
        while stage.lost["full"] < 5:
            await stage.beexar.ask("/balance", stage.at(BALANCE))
            sent += 1
            assert sent < 1_000
        async with stage.shadowing(misfit("dawdle")):
            await stage.caught_up(sent - 5)
            await stage.beexar.ask("/balance", stage.at(BALANCE))
            await stage.caught_up(sent + 1)
        assert counts((await stage.report()).totals) == {"same": sent - 4, "dropped": 5}


async def test_a_killed_candidate_is_replaced_without_a_count_against_it(
    database_url: str, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async with shadow_stage(database_url, tmp_path) as stage:
        async with stage.shadowing(misfit("dawdle")) as process:
            await stage.beexar.ask("/balance", stage.at(BALANCE))
            await stage.caught_up(1)
            (desk,) = process.desks.values()
            first = desk.child_pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await wait_until(lambda: is_gone(first))
            await stage.beexar.ask("/balance", stage.at(BALANCE))
            await stage.caught_up(2)
            assert desk.child_pid not in (None, first)
            last = desk.child_pid
        assert counts((await stage.report()).totals) == {"same": 2}
        await wait_until(lambda: is_gone(last))


async def test_a_candidates_process_knows_no_database_and_no_secret_but_its_accounts_keys(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROUPIER_DATABASE_URL", database_url)
    async with shadow_stage(database_url, tmp_path) as stage, stage.shadowing(misfit("dawdle")) as process:
        await stage.beexar.ask("/balance", stage.at(BALANCE))
        await stage.caught_up(1)
        (desk,) = process.desks.values()
        assert desk.child_pid is not None
        require_confined(Path(f"/proc/{desk.child_pid}"))


async def test_a_hanging_candidate_ends_by_its_own_clock_when_nobody_is_left_to_end_it(
    database_url: str, tmp_path: Path
) -> None:
    async with shadow_stage(database_url, tmp_path, deadline="1s") as stage:
        await stage.beexar.ask("/betwin", stage.at(betwin(stake("bait", "1"))))
        datagram = stage.ends[1].recv(1 << 20)
        async with stage.shadowing(misfit("hang")) as process:
            (desk,) = process.desks.values()
            setup = desk.setup
    child = await asyncio.create_subprocess_exec(
        *misfit("hang"), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    assert child.stdin is not None
    child.stdin.write(render_frame(msgspec.json.encode(setup)) + render_frame(datagram))
    async with asyncio.timeout(60):
        assert await child.wait() == -signal.SIGALRM


def require_confined(process: Path) -> None:
    environment = (process / "environ").read_bytes()
    assert b"postgres" not in environment
    assert b"CROUPIER" not in environment
    limits = (process / "limits").read_text()
    assert re.search(r"^Max file size +0 +0 ", limits, re.MULTILINE)
    assert re.search(rf"^Max data size +{256 << 20} ", limits, re.MULTILINE)
    assert int((process / "stat").read_text().rpartition(")")[2].split()[16]) == 19, "nice"
    assert (process / "oom_score_adj").read_text() == "1000\n"
    assert not any("socket" in os.readlink(one) for one in (process / "fd").iterdir())


def is_gone(pid: int | None) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def test_a_database_that_is_away_delays_what_is_written_and_loses_nothing(
    database_url: str, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async with shadow_stage(database_url, tmp_path) as stage:
        async with stage.shadowing() as process:
            await revoke(database_url, "REVOKE INSERT ON shadow_tally FROM croupier_app")
            await stage.beexar.ask("/betwin", stage.at(betwin(stake(), prize())))
            await wait_until(lambda: process.is_away, 60.0)
            assert counts((await stage.report()).totals) == {}
            assert await stage.differences() == {}
            await revoke(database_url, "GRANT INSERT ON shadow_tally TO croupier_app")
            await stage.caught_up(1)
        assert counts((await stage.report()).totals) == {"different": 1}
        assert [group.count for group in (await stage.differences()).values()] == [1]


async def revoke(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, server_settings={"search_path": "croupier"})
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_another_key_is_used_from_the_next_look_on(
    database_url: str, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async with shadow_stage(database_url, tmp_path) as stage:
        await revoke(database_url, "UPDATE provider_key SET key_id = 'renamed'")
        async with stage.shadowing(misfit("dawdle")) as process:
            (desk,) = process.desks.values()
            await stage.beexar.ask("/balance", stage.at(BALANCE))
            await stage.caught_up(1)
            await revoke(database_url, f"UPDATE provider_key SET key_id = '{BEEXAR.id}'")
            await wait_until(lambda: dict(desk.setup.keys) == {BEEXAR.id: BEEXAR.secret}, 60.0)
            await stage.beexar.ask("/balance", stage.at(BALANCE))
            await stage.caught_up(2)
        assert counts((await stage.report()).totals) == {"skipped": 1, "same": 1}


async def test_processes_add_up_and_a_changed_candidate_begins_anew(
    database_url: str, tmp_path: Path
) -> None:
    async with shadow_stage(database_url, tmp_path) as stage:
        for _ in range(2):
            async with stage.shadowing():
                for number in range(2):
                    await stage.beexar.ask(
                        "/betwin", stage.at(betwin(prize(f"w-{number}", "1"), round_id=f"r-{number}"))
                    )
                await stage.caught_up(2)
        report = await stage.report()
        assert counts(report.totals) == {"different": 4}
        ((kind, group),) = report.differences.items()
        assert (kind.path, group.count, len(group.examples)) == ("actions[win].amount", 4, EXAMPLES)
        fixed = Comparison(stage.comparison.provider, stage.comparison.candidate, "another-digest")
        connection = await connect_app(database_url)
        try:
            assert await load_tallies(connection, fixed) == []
            assert await load_differences(connection, fixed) == {}
            assert not (await shadow_verdict(connection, stage.comparison, at_least=1)).is_green
        finally:
            await connection.close()
