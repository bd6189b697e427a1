"""Replay jobs: stopped, cancelled, killed, run twice at once, run under live traffic, and what breaks their proof."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from casino import Casino, open_casino, tampering
from lane_desk import balance_of, require_sound_books
from msgspec import Struct, structs
from replay_desk import START, ReplayDesk, asked, open_replay_desk
from stored_webhooks import (
    Mailbox,
    draining,
    jackpot,
    require_every_delivery_accounted_for,
    rolled_back,
    until_not,
)

from croupier.errors import UNAVAILABLE, CroupierError
from croupier.governance.audit import load_records, verify_chain
from croupier.ids import bucket_of
from croupier.inbox.replay import run as run_module
from croupier.inbox.replay.conduct import Order, carry_out
from croupier.inbox.replay.job import LEASE, Job, ReplayRefused, cancel
from croupier.inbox.replay.run import Pace
from croupier.moneypath.commands import Call
from croupier.moneypath.outcomes import Outcome
from croupier.runtime.database import connect_app
from croupier.settlement.audit import load_ledger_totals
from model import calls

STEP = Pace(batch=10)
COUNT = 60


class Stage(Struct, frozen=True):
    """Sixty jackpots of one minor unit each, for six players, that were never processed."""

    url: str
    casino: Casino
    desk: ReplayDesk
    mail: Mailbox
    sessions: dict[str, UUID]

    async def won(self) -> int:
        """What the players have won so far."""
        return sum([await balance_of(self.url, player) for player in self.sessions]) - 100 * len(
            self.sessions
        )

    async def count_results(self, job: Job) -> int:
        """How many deliveries have a result in the job."""
        sql = "SELECT count(*) FROM delivery_result WHERE replay = $1"
        return int(await self.desk.site.connection.fetchval(sql, job.id))

    def desk_that(self, submit: Callable[[Call], Any]) -> ReplayDesk:
        """The same desk with another way to the money path."""
        return structs.replace(self.desk, site=structs.replace(self.desk.site, submit=submit))


@pytest.fixture
async def stage(database_url: str) -> AsyncIterator[Stage]:
    async with open_casino(database_url) as casino, open_replay_desk(database_url) as desk:
        sessions = {}
        for player in (f"player-{number}" for number in range(6)):
            await casino.put(calls.deposit(f"d-{player}", 100, player_id=player))
            sessions[player] = await casino.open(player)
        mail = Mailbox(database_url, START)
        told = []
        for number in range(COUNT):
            player = f"player-{number % 6}"
            data = jackpot(sessions[player], player, f"j{number}", 1, round_id=f"r{number}")
            told.append(mail.make("jackpot.won", data))
        await mail.store(*told)
        yield Stage(database_url, casino, desk, mail, sessions)
    await require_sound_books(database_url)


def effects_of(job: Job) -> Any:
    """The effects of a job's proof."""
    assert job.proof is not None
    return job.proof["effects"]


async def test_a_replay_that_is_stopped_goes_on_where_it_was(stage: Stage) -> None:
    stop = asyncio.Event()

    def stop_soon(job: Job, per_second: float) -> None:
        if job.progress.done >= 20:
            stop.set()

    job = await stage.desk.run(await stage.desk.plan(), pace=STEP, stop=stop, on_step=stop_soon)
    assert (job.state, job.progress.done, job.runner) == ("cancelled", 20, None)
    assert await stage.won() == await stage.count_results(job) == 20
    ended = await stage.desk.resume(job.id, pace=STEP)
    assert (ended.state, ended.progress.results) == ("finished", {"applied": COUNT})
    assert effects_of(ended)["equal"]
    assert await stage.won() == COUNT
    with pytest.raises(ReplayRefused, match="is finished"):
        await stage.desk.resume(job.id)


async def test_a_replay_that_somebody_cancels_ends_after_its_step(stage: Stage) -> None:
    planned = await stage.desk.plan()
    job = await stage.desk.begin(planned)
    cancelling: list[asyncio.Task[Job]] = []
    other = await connect_app(stage.url)

    async def submit(call: Call) -> tuple[Outcome, ...]:
        if not cancelling:
            cancelling.append(asyncio.create_task(cancel(other, job.id, asked("wrong window"))))
            await cancelling[0]
        return await stage.desk.site.submit(call)

    desk = stage.desk_that(submit)
    ended = await carry_out(desk.site, job, Order(pace=STEP))
    await other.close()
    assert (ended.state, ended.progress.done) == ("cancelled", 0)
    assert await stage.count_results(job) == 0
    assert await stage.won() == 10, "the step in hand was decided, and is not kept"
    again = await stage.desk.resume(job.id, pace=STEP)
    assert (again.state, again.progress.results) == ("finished", {"applied": COUNT})
    assert effects_of(again)["applied"]["money"]["EUR"]["net"] == str(COUNT)
    records = await load_records(stage.desk.site.connection, subject=job.subject)
    assert [record.action for record in reversed(records)] == [
        "inbox.replay.started",
        "inbox.replay.cancelled",
        "inbox.replay.resumed",
        "inbox.replay.finished",
    ]
    assert (await verify_chain(stage.desk.site.connection)).is_whole
    with pytest.raises(ReplayRefused, match="only a running one can be cancelled"):
        await cancel(stage.desk.site.connection, job.id, asked())


async def test_what_was_decided_before_a_crash_is_not_counted_as_a_repeat_afterwards(stage: Stage) -> None:
    async def crash(call: Call) -> tuple[Outcome, ...]:
        outcomes = await stage.desk.site.submit(call)
        if len(decided) == 25:
            raise ConnectionResetError("the process is gone")
        decided.append(call.request_id)
        return outcomes

    decided: list[UUID] = []
    job = await stage.desk.begin(await stage.desk.plan())
    with pytest.raises(ConnectionResetError):
        await carry_out(stage.desk_that(crash).site, job, Order(pace=STEP))
    with pytest.raises(ReplayRefused, match="is being run"):
        await stage.desk.resume(job.id)
    ended = await stage.desk.resume(job.id, at=job.created_at + 2 * LEASE, pace=STEP)
    assert (ended.state, ended.progress.results) == ("finished", {"applied": COUNT})
    assert effects_of(ended)["applied"]["money"]["EUR"]["credits"] == str(COUNT)
    assert effects_of(ended)["equal"]
    assert await stage.won() == COUNT


async def test_only_one_of_two_runners_keeps_what_it_does(stage: Stage) -> None:
    """The first one hangs, its lease runs out, the second finishes the job; then the first wakes up."""
    hanging, free = asyncio.Event(), asyncio.Event()

    async def hang(call: Call) -> tuple[Outcome, ...]:
        if len(seen) >= 15:
            hanging.set()
            await free.wait()
        seen.append(call.request_id)
        return await stage.desk.site.submit(call)

    seen: list[UUID] = []
    job = await stage.desk.begin(await stage.desk.plan())
    async with open_replay_desk(stage.url) as second:
        first = asyncio.create_task(carry_out(stage.desk_that(hang).site, job, Order(pace=STEP)))
        async with asyncio.timeout(10):
            await hanging.wait()
        with pytest.raises(ReplayRefused, match="is being run"):
            await second.resume(job.id)
        ended = await second.resume(job.id, at=job.created_at + 2 * LEASE, pace=STEP)
        free.set()
        assert await first == ended
    assert (ended.state, ended.progress.results) == ("finished", {"applied": COUNT})
    assert await stage.won() == COUNT
    assert await stage.count_results(job) == COUNT


async def test_live_traffic_between_plan_and_run_explains_every_difference(stage: Stage) -> None:
    planned = await stage.desk.plan()
    own = {"session_id": stage.sessions["player-1"], "player_id": "player-1", "game_id": "dice"}
    await stage.desk.lanes.submit(_live(calls.jackpot("j1", 1, round_id="r1", **own)))
    await stage.desk.lanes.submit(_live(calls.bet("live", 30, round_id="live", **own)))
    job = await stage.desk.run(planned)
    assert job.state == "finished"
    assert job.proof is not None
    differences = job.proof["differences"]
    assert (differences["count"], differences["unexplained"]) == (1, 0)
    (one,) = differences["first"]
    assert (one["reference"], one["planned"], one["moved"]) == ("j1", "1", None)
    assert (one["result"], one["why"]) == ("repeat", "decided_elsewhere")
    assert not job.proof["effects"]["equal"]
    assert job.proof["held"]


def _live(action: Any) -> Call:
    return calls.call(
        action, bucket=bucket_of(action.player_id), player_id=action.player_id, pools=(calls.POOL,)
    )


async def test_a_replay_beside_workers_and_callbacks_applies_everything_once(stage: Stage) -> None:
    mail, told = stage.mail, []
    for number in range(COUNT):
        player = f"player-{number % 6}"
        won = jackpot(stage.sessions[player], player, f"j{number}", 1, round_id=f"r{number}")
        undone = rolled_back(player, f"rb{number}", f"j{number}")
        told.append(mail.make("jackpot.won", won) if number % 3 else mail.make("round.rolled_back", undone))
    await mail.store(*told)

    async def call_back() -> None:
        for number in range(0, COUNT, 2):
            player = f"player-{number % 6}"
            own = {"session_id": stage.sessions[player], "player_id": player, "game_id": "dice"}
            await stage.casino.put(calls.jackpot(f"j{number}", 1, round_id=f"r{number}", **own))

    async def is_queued() -> bool:
        return bool(await stage.desk.site.connection.fetchval("SELECT count(*) FROM inbox_queue"))

    async with draining(stage.url, stage.casino.lanes, attempts=8):
        one, other, _ = await asyncio.gather(
            stage.desk.replay(pace=STEP), _with_desk_of_its_own(stage.url), call_back()
        )
        await until_not(is_queued)
    await require_every_delivery_accounted_for(stage.desk.site.connection)
    for job in (one, other):
        assert job.proof is not None
        assert job.state == "finished", job.proof
        assert job.proof["doubles"]["count"] == 0
    assert await stage.won() == COUNT - len(range(0, COUNT, 3))
    before = await load_ledger_totals(stage.desk.site.connection)
    last = await stage.desk.replay()
    assert set(last.progress.results) == {"repeat"}
    assert await load_ledger_totals(stage.desk.site.connection) == before


async def test_what_cannot_be_decided_now_is_tried_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "LONGEST_PAUSE_S", 0.01)
    tried: Counter[UUID] = Counter()

    async def stumble(call: Call) -> tuple[Outcome, ...]:
        tried[call.request_id] += 1
        if tried[call.request_id] < run_module.ATTEMPTS:
            raise CroupierError(UNAVAILABLE, "not now")
        return await stage.desk.site.submit(call)

    job = await stage.desk_that(stumble).replay()
    assert (job.state, job.progress.results) == ("finished", {"applied": COUNT})


async def test_what_cannot_be_decided_at_all_is_told_and_left_in_the_queue(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "LONGEST_PAUSE_S", 0.01)

    async def refuse(call: Call) -> tuple[Outcome, ...]:
        if call.player_id == "player-3":
            raise CroupierError(UNAVAILABLE, "somebody else holds this player")
        return await stage.desk.site.submit(call)

    job = await stage.desk_that(refuse).replay()
    assert job.progress.results == {"applied": 50, "failed": 10}
    assert job.proof is not None
    assert job.proof["differences"]["undecided"] == 10
    assert job.proof["differences"]["unexplained"] == 0
    assert await stage.desk.site.connection.fetchval("SELECT count(*) FROM inbox_queue") == 10
    await require_every_delivery_accounted_for(stage.desk.site.connection)
    again = await stage.desk.replay()
    assert again.progress.results == {"applied": 10, "repeat": 50}


async def test_a_proof_finds_an_effect_that_no_plan_foresaw(stage: Stage) -> None:
    planned = await stage.desk.plan()
    job = await stage.desk.begin(planned)
    async with tampering(stage.url) as owner:
        await owner.execute("DELETE FROM replay_expectation WHERE id IN (SELECT id FROM delivery LIMIT 3)")
    ended = await carry_out(stage.desk.site, job, Order())
    assert ended.state == "failed"
    assert ended.proof is not None
    assert not ended.proof["held"]
    assert ended.proof["differences"]["unexplained"] == 3
    assert {one["why"] for one in ended.proof["differences"]["first"]} == {"unexplained"}


@pytest.mark.parametrize(
    ("tamper", "broken"),
    [
        ("UPDATE posting SET amount = amount * 2 WHERE kind IN ('operator_cash', 'player_wallet')", "sum"),
        (
            "UPDATE journal_entry SET occurred_at = occurred_at + interval '1 second' WHERE kind = 'deposit'",
            "sum",
        ),
    ],
)
async def test_a_proof_finds_an_edit_of_what_was_there_before(stage: Stage, tamper: str, broken: str) -> None:
    job = await stage.desk.begin(await stage.desk.plan())
    async with tampering(stage.url) as owner:
        await owner.execute(tamper)
    try:
        ended = await carry_out(stage.desk.site, job, Order())
        assert ended.state == "failed"
        assert ended.proof is not None
        assert not ended.proof["ledger"][broken]["held"]
    finally:
        async with tampering(stage.url) as owner:
            await owner.execute(tamper.replace("* 2", "/ 2").replace("+ interval", "- interval"))


async def test_a_proof_finds_money_that_moved_twice_under_one_reference(stage: Stage) -> None:
    job = await stage.desk.begin(await stage.desk.plan())
    doubling = """
        INSERT INTO journal_entry SELECT bucket, gen_random_uuid(), kind, provider, reference, player_id, session_id,
            provider_round_id, asset, cause, details, occurred_at, recorded_at, correlation_id, trace_id
          FROM journal_entry WHERE reference = 'j7'
    """

    async def submit(call: Call) -> tuple[Outcome, ...]:
        outcomes = await stage.desk.site.submit(call)
        if outcomes[0].reference == "j7":
            async with tampering(stage.url) as owner:
                await owner.execute(doubling)
        return outcomes

    ended = await carry_out(stage.desk_that(submit).site, job, Order())
    async with tampering(stage.url) as owner:
        await owner.execute(
            "DELETE FROM journal_entry e WHERE NOT EXISTS (SELECT FROM posting p WHERE p.entry_id = e.id)"
        )
    assert ended.state == "failed"
    assert ended.proof is not None
    assert ended.proof["doubles"] == {"count": 1, "first": ["acme j7: 2 entries"]}


async def _with_desk_of_its_own(url: str) -> Job:
    async with open_replay_desk(url) as desk:
        return await desk.replay(pace=Pace(batch=7))


async def test_a_step_is_kept_again_when_somebody_held_its_rows(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = await connect_app(stage.url)
    helds: list[Any] = []
    refused: list[Exception] = []
    keep = run_module.save_step

    async def note_refusals(*arguments: Any) -> Job | None:
        try:
            return await keep(*arguments)
        except asyncpg.LockNotAvailableError as error:
            refused.append(error)
            raise

    monkeypatch.setattr(run_module, "save_step", note_refusals)

    async def submit(call: Call) -> tuple[Outcome, ...]:
        if not helds:
            helds.append(holder.transaction())
            await helds[0].start()
            await holder.execute("SELECT FROM inbox_queue FOR UPDATE")
        return await stage.desk.site.submit(call)

    await stage.desk.site.lane.execute("SET lock_timeout = 50")
    running = asyncio.create_task(stage.desk_that(submit).replay(pace=STEP))

    async def was_not_refused() -> bool:
        return not refused

    await until_not(was_not_refused)
    await helds[0].rollback()
    await holder.close()
    job = await running
    assert (job.state, job.progress.results) == ("finished", {"applied": COUNT})
