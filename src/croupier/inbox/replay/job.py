"""A replay as a job: asked for with a reason, run by one process at a time, cancelled and resumed (all audited)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Final
from uuid import UUID

import asyncpg
import msgspec
from msgspec import Struct

from croupier.governance.audit import Detail, Entry, insert_record
from croupier.ids import bucket_of_id, render_id
from croupier.inbox.process import Finish, render_detail
from croupier.inbox.replay.plan import Expectation, Plan, render_plan
from croupier.inbox.replay.reading import REPLAY
from croupier.inbox.replay.results import FINISHED as FINAL_RESULTS
from croupier.inbox.replay.window import START, Key, Window
from croupier.runtime.statements import load_statements

RUNNING: Final = "running"
CANCELLED: Final = "cancelled"
FINISHED: Final = "finished"
FAILED: Final = "failed"

LEASE: Final = timedelta(seconds=15)
"""How long a job belongs to its runner after each step; a runner that was killed keeps others away so long."""

_SQL: Final = load_statements("croupier/inbox/replay/job.sql")


class ReplayRefused(Exception):
    """The job cannot be run or cancelled as things stand; the text says why and what to do."""


class Progress(Struct, frozen=True, kw_only=True):
    """How far a job has come: of `total` planned deliveries `done`, up to and including `after`.

    `ledger` is the ledger's digest from before the first step, as JSON.
    """

    total: int
    done: int = 0
    results: dict[str, int] = {}
    after: Key = START
    ledger: dict[str, Any] = {}


class Job(Struct, frozen=True, kw_only=True):
    """A replay as it is stored. `plan` and `proof` are JSON documents; `runner` holds it until `runner_until`."""

    id: UUID
    actor: str
    reason: str
    window: Window
    plan: dict[str, Any]
    state: str
    progress: Progress
    proof: dict[str, Any] | None
    runner: UUID | None
    runner_until: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def subject(self) -> str:
        """What the audit log calls it."""
        return f"replay:{render_id(REPLAY, self.id)}"

    @property
    def planned_at(self) -> datetime:
        """When its plan began to look."""
        return datetime.fromisoformat(self.plan["planned_at"])

    def is_held(self, now: datetime) -> bool:
        """Whether a process may be at work on it."""
        return self.runner is not None and self.runner_until is not None and self.runner_until > now


class Asked(Struct, frozen=True):
    """Who asks for a step of a job, why, and when."""

    actor: str
    reason: str
    at: datetime


class Done(Struct, frozen=True, gc=False):
    """One delivery of a step, and what became of it."""

    bucket: int
    id: UUID
    provider: str
    finish: Finish


class Spool:
    """Expectations between the plan and the job, in a file, so that a window of any length fits."""

    def __init__(self, file: BinaryIO, replay: UUID) -> None:
        self._file = file
        self._replay = replay

    def add(self, expected: Expectation) -> None:
        """Remember one."""
        line = f"{expected.bucket},{self._replay},{expected.id},{expected.asset or ''},{expected.moved}\n"
        self._file.write(line.encode())

    async def insert_all(self, connection: asyncpg.Connection) -> None:
        """Write what is remembered, with the job."""
        self._file.seek(0)
        columns = ("bucket", "replay", "id", "asset", "moved")
        await connection.copy_to_table("replay_expectation", source=self._file, columns=columns, format="csv")


async def insert_job(
    connection: asyncpg.Connection,
    job_id: UUID,
    plan: Plan,
    asked: Asked,
    *,
    ledger: dict[str, Any],
    spool: Spool,
    runner: UUID,
) -> Job:
    """Create a job that `runner` runs, with its expectations and its record in the audit log."""
    made = Job(
        id=job_id,
        actor=asked.actor,
        reason=asked.reason,
        window=plan.window,
        plan=_plain(render_plan(plan)),
        state=RUNNING,
        progress=Progress(total=plan.deliveries, ledger=ledger),
        proof=None,
        runner=runner,
        runner_until=asked.at + LEASE,
        created_at=asked.at,
        updated_at=asked.at,
    )
    async with connection.transaction():
        await connection.execute(
            _SQL["insert_job"].sql,
            bucket_of_id(job_id),
            job_id,
            made.actor,
            made.reason,
            _text(made.window),
            _text(made.plan),
            _text(made.progress),
            runner,
            made.runner_until,
            asked.at,
        )
        await spool.insert_all(connection)
        details = {
            "window": made.plan["window"],
            "effects": made.plan["effects"],
            "deliveries": plan.deliveries,
        }
        await _record(connection, made, "inbox.replay.started", asked, details)
    return made


async def load_job(connection: asyncpg.Connection, job_id: UUID, *, name: str = "load_job") -> Job:
    """A job by its id; raises ReplayRefused when there is none."""
    row = await connection.fetchrow(_SQL[name].sql, bucket_of_id(job_id), job_id)
    if row is None:
        raise ReplayRefused(
            f"no replay has the id {render_id(REPLAY, job_id)}; `croupier inbox replays` lists them"
        )
    return _read(row)


async def load_jobs(connection: asyncpg.Connection, limit: int) -> list[Job]:
    """Jobs, newest first."""
    return [_read(row) for row in await connection.fetch(_SQL["load_jobs"].sql, limit)]


async def take_over(connection: asyncpg.Connection, job_id: UUID, runner: UUID, asked: Asked) -> Job:
    """Go on with a job that nobody runs.

    Raises ReplayRefused while another process holds it, and for one that is finished.
    """
    async with connection.transaction():
        job = await load_job(connection, job_id, name="lock_job")
        if job.state == FINISHED:
            raise ReplayRefused(
                f"{job.subject} is finished; plan its window again to see that nothing is left"
            )
        if job.state == RUNNING and job.is_held(asked.at):
            raise ReplayRefused(
                f"{job.subject} is being run; if its process was killed, it can be resumed after "
                f"{job.runner_until:%H:%M:%S} UTC, otherwise cancel it first"
            )
        taken = msgspec.structs.replace(
            job, state=RUNNING, runner=runner, runner_until=asked.at + LEASE, updated_at=asked.at
        )
        await _update(connection, taken)
        await _record(connection, job, "inbox.replay.resumed", asked, {"done": job.progress.done})
    return taken


async def cancel(connection: asyncpg.Connection, job_id: UUID, asked: Asked) -> Job:
    """Stop a job: its runner, if there is one, ends after the step it is at. It can be resumed."""
    async with connection.transaction():
        job = await load_job(connection, job_id, name="lock_job")
        if job.state != RUNNING:
            raise ReplayRefused(f"{job.subject} is {job.state}; only a running one can be cancelled")
        cancelled = msgspec.structs.replace(
            job, state=CANCELLED, runner=None, runner_until=None, updated_at=asked.at
        )
        await _update(connection, cancelled)
        await _record(connection, job, "inbox.replay.cancelled", asked, {"done": job.progress.done})
    return cancelled


async def save_step(
    connection: asyncpg.Connection, job: Job, done: Sequence[Done], progress: Progress, now: datetime
) -> Job | None:
    """Keep what became of a batch with the progress; None when the job is not this runner's any more.

    Deliveries that were never finished before are finished by it: their row in the queue, or their dead letter, makes
    room for their first result. Whoever holds a lease on such a row finds it gone, and has nothing to write.
    """
    saved = msgspec.structs.replace(job, progress=progress, updated_at=now, runner_until=now + LEASE)
    async with connection.transaction():
        if not await _move_on(connection, saved):
            return None
        await connection.execute(_SQL["insert_results"].sql, job.id, *_columns(done), now)
        # In the order in which workers lock them too, so that nobody waits in a ring.
        finished = sorted((one for one in done if one.finish.result in FINAL_RESULTS), key=_place)
        if finished:
            for name in ("finish_queued", "finish_dead"):
                await connection.execute(_SQL[name].sql, job.id, *_columns(finished), now, job.subject)
    return saved


async def end(
    connection: asyncpg.Connection,
    job: Job,
    state: str,
    now: datetime,
    *,
    proof: dict[str, Any] | None = None,
) -> Job | None:
    """Let go of a job in its new state; None when it is not this runner's any more. A proof ends it for good."""
    ended = msgspec.structs.replace(
        job,
        state=state,
        proof=job.proof if proof is None else _plain(proof),
        runner=None,
        runner_until=None,
        updated_at=now,
    )
    async with connection.transaction():
        if not await _move_on(connection, job):
            return None
        await _update(connection, ended)
        asked = Asked(job.actor, job.reason, now)
        await _record(connection, ended, f"inbox.replay.{state}", asked, _told(ended))
        if state == FINISHED:
            await connection.execute(_SQL["forget_expectations"].sql, job.id)
    return ended


def _told(job: Job) -> dict[str, Detail]:
    details: dict[str, Detail] = {"done": job.progress.done, "results": dict(job.progress.results)}
    if job.proof is not None:
        details["proof"] = job.proof
    return details


async def _move_on(connection: asyncpg.Connection, job: Job) -> bool:
    updated = await connection.fetchval(
        _SQL["move_on"].sql,
        bucket_of_id(job.id),
        job.id,
        job.runner,
        _text(job.progress),
        job.runner_until,
        job.updated_at,
    )
    return updated is not None


async def _update(connection: asyncpg.Connection, job: Job) -> None:
    await connection.execute(
        _SQL["update_job"].sql,
        bucket_of_id(job.id),
        job.id,
        job.state,
        None if job.proof is None else _text(job.proof),
        job.runner,
        job.runner_until,
        job.updated_at,
    )


async def _record(
    connection: asyncpg.Connection, job: Job, action: str, asked: Asked, details: dict[str, Detail]
) -> None:
    entry = Entry(
        actor=asked.actor, action=action, subject=job.subject, reason=asked.reason, details=_plain(details)
    )
    await insert_record(connection, entry, asked.at)


def _place(done: Done) -> UUID:
    return done.id


def _columns(done: Sequence[Done]) -> tuple[list[Any], ...]:
    return (
        [one.bucket for one in done],
        [one.id for one in done],
        [one.provider for one in done],
        [one.finish.result for one in done],
        [one.finish.code for one in done],
        [None if one.finish.detail is None else render_detail(one.finish.detail) for one in done],
        [one.finish.journal_id for one in done],
        [one.finish.asset for one in done],
    )


def _read(row: asyncpg.Record) -> Job:
    fields = dict(row)
    return Job(
        window=msgspec.json.decode(fields.pop("filter"), type=Window),
        progress=msgspec.json.decode(fields.pop("progress"), type=Progress),
        plan=msgspec.json.decode(fields.pop("plan")),
        proof=None if (proof := fields.pop("proof")) is None else msgspec.json.decode(proof),
        **fields,
    )


def _plain(document: Any) -> Any:
    """What the document is once it was JSON: lists for tuples, texts for times."""
    return msgspec.json.decode(msgspec.json.encode(document))


def _text(document: Any) -> str:
    """JSON text that the database takes: it cannot hold NUL."""
    return msgspec.json.encode(document).decode().replace("\\u0000", "\\ufffd")
