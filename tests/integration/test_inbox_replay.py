"""`inbox replay`: a plan writes nothing, a run does what its plan said, a second one does nothing (E5, I2, I4, I7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from casino import ALICE, BOB, Casino, open_casino, tampering
from lane_desk import balance_of, require_sound_books
from msgspec import Struct
from replay_desk import START, ReplayDesk, open_replay_desk, window
from stored_webhooks import (
    Mailbox,
    clock,
    completed,
    drain_all,
    jackpot,
    require_every_delivery_accounted_for,
    rolled_back,
    session_closed,
    statement_ready,
)

from croupier.ids import IdSource, bucket_of
from croupier.inbox.process import Finish
from croupier.inbox.queue import Lease, claim_deliveries, finish_deliveries, insert_turn
from croupier.settlement.audit import load_ledger_totals
from model import calls
from model.calls import PROVIDER


async def fingerprints(connection: asyncpg.Connection) -> dict[str, tuple[int, str]]:
    """Every table's size and content."""
    tables = await connection.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'croupier' ORDER BY 1"
    )
    found = {}
    for (table,) in tables:
        row = await connection.fetchrow(
            f"SELECT count(*), md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {table} t"
        )
        found[table] = tuple(row)
    return found


class Scene(Struct, frozen=True):
    """A casino after an outage: what every delivery of its mailbox has come to so far is in its delivery id."""

    url: str
    casino: Casino
    desk: ReplayDesk
    mail: Mailbox
    sessions: dict[str, UUID]

    async def value(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row."""
        return await self.desk.site.connection.fetchval(sql, *arguments)

    async def results(self, replay: UUID) -> dict[str, str]:
        """What became of each delivery in one replay, or in the first processing, by its delivery id."""
        rows = await self.desk.site.connection.fetch(
            "SELECT d.delivery_id, r.result FROM delivery_result r JOIN delivery d ON d.id = r.id WHERE r.replay = $1",
            replay,
        )
        return dict(rows)


@pytest.fixture
async def scene(database_url: str) -> AsyncIterator[Scene]:
    """Two players at play, and nothing in the mail."""
    async with open_casino(database_url) as casino, open_replay_desk(database_url) as desk:
        sessions = {}
        for player in (ALICE, BOB):
            await casino.put(calls.deposit(f"d-{player}", 5_000, player_id=player))
            sessions[player] = await casino.open(player)
            own = {"session_id": sessions[player], "player_id": player}
            await casino.put(calls.bet(f"b1-{player}", 100, **own))
            await casino.put(calls.bet(f"b2-{player}", 200, round_id="r2", **own))
            await casino.put(calls.win(f"w2-{player}", 50, round_id="r2", **own))
        yield Scene(database_url, casino, desk, Mailbox(database_url, START), sessions)
    await require_sound_books(database_url)


async def fill(scene: Scene) -> None:
    """Deliveries of every kind: applied, told by callback, never processed, dead, unknown, refused, waiting."""
    mail, alice, bob = scene.mail, scene.sessions[ALICE], scene.sessions[BOB]
    await mail.store(
        mail.make("jackpot.won", jackpot(alice, ALICE, "j1", 500, round_id="r2"), "applied"),
        mail.make("round.exploded", {"a": 1}, "unknown-type"),
    )
    await drain_all(scene.url, scene.desk.lanes)
    await mail.store(mail.make("jackpot.won", jackpot(bob, BOB, "j2", 70), "dead"))
    await drain_all(scene.url, scene.desk.lanes, accounts={})
    await scene.casino.put(
        calls.jackpot("j3", 60, session_id=alice, player_id=ALICE, round_id="r3", game_id="dice")
    )
    nowhere = IdSource().new(bucket_of(ALICE))
    await mail.store(
        mail.make("jackpot.won", jackpot(alice, ALICE, "j3", 60, round_id="r3"), "told-by-callback"),
        mail.make("jackpot.won", jackpot(alice, ALICE, "j4", 900, round_id="r4"), "never-processed"),
        mail.make("jackpot.won", jackpot(alice, ALICE, "j4", 900, round_id="r4"), "same-fact-again"),
        mail.make("jackpot.won", jackpot(alice, ALICE, "j1", 501, round_id="r2"), "conflict"),
        mail.make(
            "jackpot.won", jackpot(alice, ALICE, "j9", 60, round_id="r3"), "paid-under-another-reference"
        ),
        mail.make("jackpot.won", jackpot(nowhere, ALICE, "j5", 1), "no-such-session"),
        mail.make("round.rolled_back", rolled_back(ALICE, "rb1", f"b1-{ALICE}"), "rollback-of-a-bet"),
        mail.make("round.rolled_back", rolled_back(BOB, "rb2", f"w2-{BOB}"), "rollback-of-a-win"),
        mail.make("round.rolled_back", rolled_back(BOB, "rb3", "never-heard-of"), "nothing-to-roll-back"),
        mail.make("round.completed", completed(bob, BOB, "c2", round_id="r2"), "round-end"),
        mail.make("session.closed", session_closed(alice, ALICE), "session-end"),
        mail.make("statement.ready", statement_ready("march"), "statement"),
    )
    await mail.store(
        mail.make("jackpot.won", jackpot(bob, BOB, "j7", 7), "unknown-provider"), provider="gone"
    )
    await mail.store(mail.make("jackpot.won", jackpot(bob, BOB, "j8", 8), "altered"))
    async with tampering(scene.url) as owner:
        await owner.execute("UPDATE delivery SET body = body || ' ' WHERE delivery_id = 'altered'")


RESULTS = {
    "applied": "repeat",
    "unknown-type": "failed",
    "dead": "applied",
    "told-by-callback": "repeat",
    "never-processed": "applied",
    "same-fact-again": "repeat",
    "conflict": "refused",
    "paid-under-another-reference": "nothing",
    "no-such-session": "unmatched",
    "rollback-of-a-bet": "applied",
    "rollback-of-a-win": "applied",
    "nothing-to-roll-back": "nothing",
    "round-end": "applied",
    "session-end": "applied",
    "statement": "nothing",
    "unknown-provider": "failed",
    "altered": "failed",
}
"""What a replay makes of each delivery of `fill`."""

EXPECTED = Counter(RESULTS.values())


async def test_a_plan_says_what_would_become_of_every_delivery_and_writes_nothing(scene: Scene) -> None:
    await fill(scene)
    before = await fingerprints(scene.desk.site.connection)
    plan = await scene.desk.look()
    assert await fingerprints(scene.desk.site.connection) == before
    assert plan.deliveries == 17
    assert plan.results == EXPECTED
    assert plan.by_provider == {PROVIDER: 16, "gone": 1}
    assert plan.by_type["jackpot.won"] == 10
    moves = plan.moves["EUR"]
    assert (moves.credits, moves.debits) == (900 + 100 + 70, 50)
    assert plan.breaks == 3
    assert plan.codes["refused"] == {"reference_conflict": 1}
    assert plan.codes["unmatched"] == {"unknown_session": 1}
    assert {cause: one.count for cause, one in plan.obstacles.items()} == {
        "unknown_type": 1,
        "unknown_provider": 1,
        "body_altered": 1,
    }
    assert plan.oldest_at == START + timedelta(milliseconds=1)


async def test_a_run_does_what_its_plan_said_delivery_by_delivery(scene: Scene) -> None:
    await fill(scene)
    planned = await scene.desk.plan()
    purses = {player: await balance_of(scene.url, player) for player in (ALICE, BOB)}
    job = await scene.desk.run(planned, is_checked=True)
    assert job.state == "finished", job.proof
    assert await scene.results(job.id) == RESULTS
    assert job.progress.results == EXPECTED == planned.plan.results
    assert await balance_of(scene.url, ALICE) == purses[ALICE] + 900 + 100
    assert await balance_of(scene.url, BOB) == purses[BOB] + 70 - 50
    proof = job.proof
    assert proof is not None
    assert proof["held"]
    money = {"EUR": {"credits": "1070", "debits": "50", "net": "1020"}}
    assert proof["effects"]["planned"] == proof["effects"]["applied"] == {"deliveries": 6, "money": money}
    assert proof["effects"]["equal"]
    assert proof["ledger"]["added"] == {"by_replay": planned.plan.entries, "by_others": 0}
    assert proof["check"] == dict.fromkeys(("I1", "I2", "I4", "I5", "I6", "I10"), "held")
    said = "SELECT count(*) FROM journal_entry WHERE cause = $1"
    assert await scene.value(said, job.subject) == 4


async def test_a_replay_gives_what_was_never_finished_its_first_result(scene: Scene) -> None:
    await fill(scene)
    job = await scene.desk.replay()
    await require_every_delivery_accounted_for(scene.desk.site.connection)
    first = await scene.results(UUID(int=0))
    for delivery, result in RESULTS.items():
        if result in ("failed", "unmatched"):
            assert delivery not in first, "it goes on waiting, or stays a dead letter"
        else:
            assert first[delivery] == ("applied" if delivery == "applied" else result)
    assert await scene.value("SELECT count(*) FROM dead_letter") == 1
    assert await scene.value("SELECT count(*) FROM inbox_queue") == 3
    told = await scene.desk.site.connection.fetchrow(
        "SELECT r.detail, r.moved FROM delivery_result r JOIN delivery d ON d.id = r.id "
        "WHERE d.delivery_id = 'dead' AND r.replay = $1",
        UUID(int=0),
    )
    assert tuple(told) == (job.subject, 70)


async def test_the_same_window_again_changes_nothing(scene: Scene) -> None:
    await fill(scene)
    await scene.desk.replay()
    connection = scene.desk.site.connection
    before = await load_ledger_totals(connection)
    plan = await scene.desk.look()
    assert plan.results == {"repeat": 10, "nothing": 2, "refused": 1, "unmatched": 1, "failed": 3}
    assert (plan.moves, plan.entries, plan.breaks) == ({}, 0, 0)
    job = await scene.desk.replay()
    assert await load_ledger_totals(connection) == before
    assert job.proof is not None
    assert job.proof["ledger"]["unchanged"]
    assert job.proof["ledger"]["before"] == job.proof["ledger"]["after"]
    assert job.proof["held"]


async def test_a_replayed_delivery_that_a_worker_holds_has_one_first_result(scene: Scene) -> None:
    own = jackpot(scene.sessions[ALICE], ALICE, "j1", 500)
    await scene.mail.store(scene.mail.make("jackpot.won", own, "held"))
    connection, now = scene.desk.site.connection, clock()
    await insert_turn(connection, PROVIDER)
    lease = Lease(limit=10, until=now + timedelta(seconds=30))
    (claimed,) = await claim_deliveries(connection, PROVIDER, lease, now)
    job = await scene.desk.replay()
    assert job.progress.results == {"applied": 1}
    said = Finish(result="repeat", code="ok")
    assert await finish_deliveries(connection, [(claimed, said)], clock()) == 0
    await require_every_delivery_accounted_for(connection)
    assert await scene.results(UUID(int=0)) == {"held": "applied"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"provider": "gone"}, {"unknown-provider"}),
        ({"type": "round.rolled_back"}, {"rollback-of-a-bet", "rollback-of-a-win", "nothing-to-roll-back"}),
        ({"round_id": "r3"}, {"told-by-callback", "paid-under-another-reference"}),
        ({"player_id": BOB, "type": "jackpot.won"}, {"dead", "unknown-provider", "altered"}),
        ({"results": ("dead",)}, {"dead", "unknown-type"}),
        ({"results": ("applied", "dead")}, {"applied", "dead", "unknown-type"}),
        ({"end": START + timedelta(milliseconds=3)}, {"applied", "unknown-type"}),
        ({"start": START + timedelta(milliseconds=16)}, {"unknown-provider", "altered"}),
    ],
)
async def test_filters_narrow_the_window(scene: Scene, wanted: dict[str, Any], found: set[str]) -> None:
    await fill(scene)
    job = await scene.desk.replay(window(**wanted))
    assert set(await scene.results(job.id)) == found


async def test_a_window_can_be_about_one_session_or_what_is_queued(scene: Scene) -> None:
    await fill(scene)
    mine = await scene.desk.look(window(session_id=scene.sessions[BOB]))
    assert (mine.deliveries, mine.results["applied"]) == (4, 2)
    queued = await scene.desk.look(window(results=("queued",)))
    assert queued.deliveries == 14


async def test_a_limit_takes_the_first_ones_as_they_came(scene: Scene) -> None:
    await fill(scene)
    planned = await scene.desk.plan(limit=4)
    job = await scene.desk.run(planned)
    assert set(await scene.results(job.id)) == {"applied", "unknown-type", "dead", "told-by-callback"}
    assert job.progress.total == 4


async def test_more_deliveries_of_one_player_than_a_batch_holds_are_rehearsed_in_parts(scene: Scene) -> None:
    """What an earlier part would have changed is known to the later ones: wins, and rollbacks of them far behind."""
    mail, alice = scene.mail, scene.sessions[ALICE]
    wins = [
        mail.make("jackpot.won", jackpot(alice, ALICE, f"j{number}", number, round_id=f"x{number}"))
        for number in range(1, 401)
    ]
    undone = [
        mail.make("round.rolled_back", rolled_back(ALICE, f"rb{number}", f"j{number}"))
        for number in range(1, 401, 2)
    ]
    again = [mail.make("jackpot.won", jackpot(alice, ALICE, "j2", 2, round_id="x2"))]
    await mail.store(*wins, *undone, *again)
    planned = await scene.desk.plan()
    assert planned.plan.results == {"applied": 600, "repeat": 1}
    moves = planned.plan.moves["EUR"]
    assert (moves.credits, moves.debits) == (sum(range(1, 401)), sum(range(1, 401, 2)))
    job = await scene.desk.run(planned)
    assert job.proof is not None
    assert job.proof["effects"]["equal"]
    assert job.progress.results == planned.plan.results
