"""`croupier inbox replay`: plan a window of deliveries, run it, and prove what it did."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

import typer

from croupier.cli.acting import read_actor, require_reason
from croupier.cli.arguments import parse_duration, parse_instant, parse_session_id
from croupier.cli.inbox_replay_report import render_job, render_job_line, tell_job, tell_job_lines, tell_plan
from croupier.cli.inbox_replay_run import cancel_job, make_plan, read_job, read_jobs, resume_job, run_job
from croupier.cli.output import EXIT_FAILURE, EXIT_INVARIANT, CommandFailed, output_of
from croupier.cli.settings import settings_of
from croupier.ids import MalformedId, parse_id
from croupier.inbox.replay.conduct import Order
from croupier.inbox.replay.job import FAILED as JOB_FAILED
from croupier.inbox.replay.job import FINISHED, Asked, Job
from croupier.inbox.replay.plan import render_plan
from croupier.inbox.replay.reading import REPLAY
from croupier.inbox.replay.run import Pace
from croupier.inbox.replay.window import RESULTS, Window

MOMENT: Final = "2026-03-01T12:00:00Z, how long ago (90m, 2h), or `now`."

FromOption = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help=f"Received from here on: {MOMENT}")
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="TIME", help="Received before this, said likewise.")
]
TypeOption = Annotated[
    str | None, typer.Option("--type", help="Only notices of this type, such as jackpot.won.")
]
RoundOption = Annotated[
    str | None, typer.Option("--round", help="Only about this round, by the provider's id.")
]
SessionOption = Annotated[str | None, typer.Option(help="Only about this session (ses_…).")]
ResultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--result", help=f"Only what this has become of: {', '.join(RESULTS)}. May be given several times."
    ),
]
PlanOption = Annotated[bool, typer.Option("--plan", help="Only say what a run would do; nothing is written.")]
ReasonOption = Annotated[str | None, typer.Option(help="Why; it goes into the audit log.")]
RateOption = Annotated[int | None, typer.Option(min=1, metavar="N", help="Most deliveries a second.")]
CheckOption = Annotated[bool, typer.Option("--check", help="Let the proof audit the whole ledger as well.")]
ResumeOption = Annotated[
    str | None, typer.Option(metavar="RPL_ID", help="Go on with a replay that has not finished.")
]
CancelOption = Annotated[
    str | None, typer.Option(metavar="RPL_ID", help="Stop a running replay; it can be resumed.")
]
ShowOption = Annotated[
    str | None, typer.Option(metavar="RPL_ID", help="Show a replay with its plan and its proof.")
]


def register(inbox: typer.Typer) -> None:
    """Add the commands to the group of the inbox."""
    inbox.command("replay")(replay)
    inbox.command("replays")(replays)


def replay(
    ctx: typer.Context,
    start: FromOption = None,
    end: ToOption = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
    type_: TypeOption = None,
    round_id: RoundOption = None,
    session: SessionOption = None,
    player: Annotated[str | None, typer.Option(help="Only about this player.")] = None,
    results: ResultOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many, as they came.")] = None,
    is_plan: PlanOption = False,
    reason: ReasonOption = None,
    rate: RateOption = None,
    is_checked: CheckOption = False,
    resume: ResumeOption = None,
    cancel: CancelOption = None,
    show: ShowOption = None,
) -> None:
    """Take a window of stored deliveries through the money path again: plan, run, proof.

    A plan rehearses every delivery and writes nothing. A run shows the plan, asks, shows how it gets on, and proves in
    the end that the ledger changed by exactly what was planned and by nothing twice: exit code 3 if that is not so.
    Ctrl-C stops after the step in hand (exit code 1); the replay can be resumed, also after its process was killed.

    Examples:

      croupier inbox replay --from 2026-03-01T12:00Z --to 2026-03-01T13:00Z --provider studio --plan

      croupier inbox replay --from 3h --to now --reason "the studio was away from 12:00 to 13:00" --rate 500

      croupier inbox replay --resume rpl_0195… --reason "the host was restarted"
    """
    asked_for = [
        name for name, given in (("--resume", resume), ("--cancel", cancel), ("--show", show)) if given
    ]
    if len(asked_for) + (start is not None or end is not None) != 1:
        raise typer.BadParameter("say --from and --to, or one of --resume, --cancel and --show")
    order = Order(pace=Pace(rate), is_checked=is_checked)
    if show is not None:
        _show(ctx, read_job(ctx, _parse_replay_id(show)))
    elif cancel is not None:
        _show(ctx, cancel_job(ctx, _parse_replay_id(cancel), _asked(reason)))
    elif resume is not None:
        _finish(ctx, resume_job(ctx, _parse_replay_id(resume), _asked(reason), order))
    else:
        first, last = _ends(start, end)
        window = Window(
            start=first,
            end=last,
            provider=provider,
            type=type_,
            round_id=round_id,
            session_id=None if session is None else parse_session_id(session),
            player_id=player,
            results=_parse_results(results or []),
        )
        if is_plan:
            _plan(ctx, window, limit)
        else:
            _run(ctx, window, limit, _asked(reason), order)


def _plan(ctx: typer.Context, window: Window, limit: int | None) -> None:
    output = output_of(ctx)
    with make_plan(ctx, window, limit) as made:
        if output.is_json:
            output.document("inbox.replay.plan", render_plan(made.plan))
        else:
            tell_plan(output, made.plan, settings_of(ctx).read_config().asset_registry())


def _run(ctx: typer.Context, window: Window, limit: int | None, asked: Asked, order: Order) -> None:
    output = output_of(ctx)
    with make_plan(ctx, window, limit) as made:
        tell_plan(output, made.plan, settings_of(ctx).read_config().asset_registry())
        if not made.plan.deliveries:
            raise CommandFailed("there is nothing to replay in this window")
        _confirm(ctx, f"Replay {made.plan.deliveries} deliveries?")
        job = run_job(ctx, made, asked, order)
    _finish(ctx, job)


def _confirm(ctx: typer.Context, question: str) -> None:
    if settings_of(ctx).is_confirmed:
        return
    if not sys.stdin.isatty():
        raise CommandFailed("a replay asks before it begins, and nobody can answer here: say --yes")
    typer.confirm(question, abort=True, err=True)


def _finish(ctx: typer.Context, job: Job) -> None:
    """Tell how a run ended, in words or as a document, and by the exit code."""
    _show(ctx, job)
    if job.state == JOB_FAILED:
        raise typer.Exit(EXIT_INVARIANT)
    if job.state != FINISHED or (job.proof is not None and job.proof["differences"]["undecided"]):
        raise typer.Exit(EXIT_FAILURE)


def _show(ctx: typer.Context, job: Job) -> None:
    output = output_of(ctx)
    if output.is_json:
        output.document("inbox.replay", render_job(job))
    else:
        tell_job(output, job, settings_of(ctx).read_config().asset_registry())


def replays(
    ctx: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most replays to show.")] = 20,
) -> None:
    """Replays, newest first: who asked for them and why, how far they are, whether they were proven.

    Examples:

      croupier inbox replays

      croupier inbox replays --json | jq '.replays[] | select(.state == "running")'
    """
    output, jobs = output_of(ctx), read_jobs(ctx, limit)
    if output.is_json:
        output.document("inbox.replays", {"replays": [render_job_line(job) for job in jobs]})
    else:
        tell_job_lines(output, jobs)


def _asked(reason: str | None) -> Asked:
    return Asked(read_actor(), require_reason(reason), datetime.now(UTC))


def _ends(start: str | None, end: str | None) -> tuple[datetime, datetime]:
    """The window's ends; what has not come yet is in no window."""
    if start is None or end is None:
        raise typer.BadParameter("a window has two ends: say --from and --to")
    now = datetime.now(UTC)
    first, last = parse_moment(start, now), min(parse_moment(end, now), now)
    if first >= last:
        raise typer.BadParameter("nothing lies between --from and --to")
    return first, last


def parse_moment(text: str, now: datetime) -> datetime:
    """A moment in UTC as it was typed: RFC 3339, a duration before now, or `now`; typer.BadParameter for others."""
    if text == "now":
        return now
    if text[:-1].isdigit():
        return now - timedelta(seconds=parse_duration(text))
    return parse_instant(text)


def _parse_results(results: list[str]) -> tuple[str, ...]:
    for result in results:
        if result not in RESULTS:
            raise typer.BadParameter(
                f"no result is called {result!r}: {', '.join(RESULTS)}", param_hint="--result"
            )
    return tuple(results)


def _parse_replay_id(text: str) -> UUID:
    try:
        return parse_id(REPLAY, text)
    except MalformedId as error:
        raise typer.BadParameter(str(error)) from error
