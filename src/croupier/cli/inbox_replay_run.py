"""A replay as a command runs it: on a site of its own, with progress on stderr, stopped by Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from uuid import UUID

import asyncpg
import typer
import uvloop
from msgspec import structs

from croupier.cli.output import CommandFailed, output_of
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.ids import render_id
from croupier.inbox.replay import conduct
from croupier.inbox.replay.conduct import Order, Planned, Site
from croupier.inbox.replay.job import Asked, Job, ReplayRefused, cancel, load_job, load_jobs
from croupier.inbox.replay.reading import REPLAY
from croupier.inbox.replay.window import Window
from croupier.runtime.open_database import DatabaseUnavailable
from croupier.runtime.replaying import now, open_replay_site
from croupier.telemetry.logs import set_up_logs

T = TypeVar("T")


@contextmanager
def make_plan(ctx: typer.Context, window: Window, limit: int | None) -> Iterator[Planned]:
    """Rehearse a window. What a run is expected to do is kept in a file until the context ends."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as file:
        with output_of(ctx).progress("planning") as advance:

            def tell(done: int, total: int) -> None:
                advance(done, f"of {total}, {done / max(time.monotonic() - started, 0.001):.0f}/s")

            planned = _on_site(
                ctx, lambda site: conduct.make_plan(site, window, file, limit=limit, on_progress=tell)
            )
        yield planned


def run_job(ctx: typer.Context, planned: Planned, asked: Asked, order: Order) -> Job:
    """Create the job of a plan, run it and prove it."""

    async def work(site: Site) -> Job:
        job = await conduct.begin(site, planned, structs.replace(asked, at=now()))
        return await _carry_out(ctx, site, job, order)

    return _on_site(ctx, work, planned.job_id)


def resume_job(ctx: typer.Context, job_id: UUID, asked: Asked, order: Order) -> Job:
    """Go on with a job, and prove it. Raises CommandFailed while another process runs it."""

    async def work(site: Site) -> Job:
        job = await conduct.go_on(site, job_id, structs.replace(asked, at=now()))
        return await _carry_out(ctx, site, job, order)

    return _on_site(ctx, work, job_id)


async def _carry_out(ctx: typer.Context, site: Site, job: Job, order: Order) -> Job:
    stop, output = asyncio.Event(), output_of(ctx)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    output.say(f"replay {render_id(REPLAY, job.id)}")
    with output.progress("replaying", job.progress.total) as advance:
        ordered = structs.replace(
            order,
            stop=stop,
            on_step=lambda job, per_second: advance(job.progress.done, f"{per_second:.0f}/s"),
            on_proof=lambda: advance(job.progress.total, "and proving"),
        )
        return await conduct.carry_out(site, job, ordered)


def cancel_job(ctx: typer.Context, job_id: UUID, asked: Asked) -> Job:
    """Ask a running job to stop. Raises CommandFailed for one that does not run."""
    return _reading(ctx, lambda connection: cancel(connection, job_id, asked))


def read_job(ctx: typer.Context, job_id: UUID) -> Job:
    """A job. Raises CommandFailed when there is none."""
    return _reading(ctx, lambda connection: load_job(connection, job_id))


def read_jobs(ctx: typer.Context, limit: int) -> list[Job]:
    """Jobs, newest first."""
    return _reading(ctx, lambda connection: load_jobs(connection, limit))


def _reading(ctx: typer.Context, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    try:
        return read_database(ctx, work)
    except ReplayRefused as refused:
        raise CommandFailed(str(refused)) from None


def _on_site(ctx: typer.Context, work: Callable[[Site], Awaitable[T]], job_id: UUID | None = None) -> T:
    """Do something on a site of its own; whatever ends it early says how to go on."""
    config = settings_of(ctx).read_config()
    set_up_logs(log_format=config.telemetry.log_format, level="warning")

    async def run() -> T:
        async with open_replay_site(config) as site:
            return await work(site)

    try:
        return uvloop.run(run())
    except ReplayRefused as refused:
        raise CommandFailed(str(refused)) from None
    except DatabaseUnavailable as error:
        if job_id is None:
            raise
        advice = f"go on with `croupier inbox replay --resume {render_id(REPLAY, job_id)}`"
        raise DatabaseUnavailable(f"{error}; {advice}") from error
    except asyncpg.LockNotAvailableError as error:
        raise CommandFailed(f"somebody else holds a player of this window for long: {error}") from error
