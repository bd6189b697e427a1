"""Conducting a replay from its plan to its proof, on whatever its caller has opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import BinaryIO
from uuid import UUID

import asyncpg
from msgspec import Struct, structs

from croupier.ids import IdSource, bucket_of
from croupier.inbox.replay.job import (
    FAILED,
    FINISHED,
    RUNNING,
    Asked,
    Job,
    Spool,
    end,
    insert_job,
    load_job,
    take_over,
)
from croupier.inbox.replay.plan import Plan, Planner
from croupier.inbox.replay.proof import load_ledger, prove, render_ledger, render_proof
from croupier.inbox.replay.reading import REPLAY, Accounts, Reader
from croupier.inbox.replay.run import AT_ONCE, Lost, Pace, Runner, Submit
from croupier.inbox.replay.window import Window, load_extent
from croupier.moneypath.facts import Stamp
from croupier.providers.strict_json import DEFAULT_LIMITS, JsonLimits
from croupier.wallet.calls import WalletTerms


class Site(Struct, frozen=True, kw_only=True):
    """Where a replay happens.

    `connection` reads the window, `lane` has a lane's settings and rehearses or keeps what became of it, `submit` is
    the money path; `wallet` are the terms of the operator's own wallet, None where Croupier's is the one.
    """

    connection: asyncpg.Connection
    lane: asyncpg.Connection
    submit: Submit
    accounts: Accounts
    ids: IdSource
    now: Callable[[], datetime]
    make_stamp: Callable[[], Stamp]
    limits: JsonLimits = DEFAULT_LIMITS
    wallet: WalletTerms | None = None

    def reader(self, replay: UUID) -> Reader:
        """Reads deliveries for a replay."""
        return Reader(replay=replay, accounts=self.accounts, limits=self.limits)


class Planned(Struct, frozen=True):
    """A plan with the id its run has, and what the run is expected to do."""

    job_id: UUID
    plan: Plan
    spool: Spool


class Order(Struct, frozen=True, kw_only=True):
    """How a job is to be run: how fast, until when, with which proof.

    `on_step` hears of each step and of the rate, `on_proof` that the proof begins, which takes its time.
    """

    pace: Pace = AT_ONCE
    stop: asyncio.Event | None = None
    is_checked: bool = False
    on_step: Callable[[Job, float], None] = lambda job, per_second: None
    on_proof: Callable[[], None] = lambda: None


def new_job_id(ids: IdSource) -> UUID:
    """An id for a replay, its bucket the one of all replays."""
    return ids.new(bucket_of(REPLAY))


async def make_plan(
    site: Site,
    window: Window,
    file: BinaryIO,
    *,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Planned:
    """Rehearse a window, or its first `limit` deliveries. What a run is expected to do is kept in `file`."""
    job_id = new_job_id(site.ids)
    spool = Spool(file, job_id)
    extent = await load_extent(site.connection, window, limit)
    planner = Planner(
        site.connection,
        site.lane,
        site.reader(job_id),
        site.make_stamp,
        wallet=site.wallet,
        expect=spool.add,
        on_progress=lambda done: on_progress(done, extent.deliveries),
    )
    cut = window if limit is None else structs.replace(window, last_id=extent.last_id)
    return Planned(job_id, await planner.plan(cut, site.now()), spool)


async def begin(site: Site, planned: Planned, asked: Asked) -> Job:
    """Create the job of a plan, with the ledger's digest as it is before."""
    via = site.reader(planned.job_id).via
    ledger = await load_ledger(site.connection, planned.job_id, via, asked.at)
    return await insert_job(
        site.connection,
        planned.job_id,
        planned.plan,
        asked,
        ledger=render_ledger(ledger),
        spool=planned.spool,
        runner=new_job_id(site.ids),
    )


async def go_on(site: Site, job_id: UUID, asked: Asked) -> Job:
    """Take a job over that nobody runs; raises ReplayRefused while somebody does."""
    return await take_over(site.connection, job_id, new_job_id(site.ids), asked)


async def carry_out(site: Site, job: Job, order: Order) -> Job:
    """Run a job and prove it: finished when the proof holds, failed when it does not, cancelled when it was stopped.

    A job that was taken from this runner is given back as somebody else left it.
    """
    runner = Runner(
        site.connection,
        site.lane,
        site.submit,
        site.reader(job.id),
        site.now,
        pace=order.pace,
        stop=order.stop,
        on_step=order.on_step,
    )
    try:
        job = await runner.run(job)
    except Lost:
        return await load_job(site.connection, job.id)
    if job.state != RUNNING:
        return job
    order.on_proof()
    proof = await prove(site.connection, job, is_checked=order.is_checked)
    state = FINISHED if proof.is_held else FAILED
    ended = await end(site.connection, job, state, site.now(), proof=render_proof(proof))
    return await load_job(site.connection, job.id) if ended is None else ended
