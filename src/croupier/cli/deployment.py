"""`croupier init`, `serve`, `work`, `migrate`, `doctor`: set a deployment up and run it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Final

import structlog
import typer
import uvloop

from croupier.cli.output import CommandFailed, Output, output_of
from croupier.cli.settings import settings_of
from croupier.runtime.background import Background
from croupier.runtime.config import Config, ConfigProblems
from croupier.runtime.config.starter import write_starter
from croupier.runtime.database import connect_owner, ensure_database
from croupier.runtime.doctor import examine
from croupier.runtime.embedded import EmbeddedServer
from croupier.runtime.migrations import MigrationError, PhaseChoice, apply, plan
from croupier.runtime.serving import serve_deployment
from croupier.runtime.supervisor import DATABASE, NotReady, running_database
from croupier.telemetry.logs import set_up_logs

_log = structlog.get_logger("croupier.work")

MARKS: Final = {"ok": "ok  ", "warn": "warn", "fail": "FAIL"}


def init(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Where to write; made if it is not there.")],
) -> None:
    """Write a commented croupier.toml and generate keys.

    Example: croupier init . && croupier doctor && croupier serve
    """
    try:
        report = write_starter(directory)
    except ConfigProblems as problems:
        raise CommandFailed(str(problems)) from None
    output = output_of(context)
    output.say(f"wrote {report.config_path}")
    output.say(f"the operator API's token is in {report.operator_token_path}")
    output.say(f"next: cd {directory} && croupier doctor && croupier serve")


def serve(
    context: typer.Context,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes; default: lanes.workers.")
    ] = None,
) -> None:
    """Run the gateway: operator API, provider callbacks, console and metrics, until SIGTERM.

    Example: croupier serve --workers 4
    """
    settings = settings_of(context)
    config = settings.read_config()
    set_up_logs(log_format=config.telemetry.log_format, level=config.telemetry.log_level)
    try:
        uvloop.run(
            serve_deployment(config, settings.effective_config_path, workers=workers or config.lanes.workers)
        )
    except NotReady as error:
        raise CommandFailed(str(error)) from None


def work(context: typer.Context) -> None:
    """Run the inbox, the outbox and the duties alone; any number of hosts may do so beside `croupier serve`.

    Example: croupier work
    """
    uvloop.run(_work(settings_of(context).read_config()))


async def _work(config: Config) -> None:
    set_up_logs(log_format=config.telemetry.log_format, level=config.telemetry.log_level)
    try:
        async with running_database(config) as (url, _):
            await Background(config, url).run(on_ready=lambda: _log.info("working"))
    except NotReady as error:
        raise CommandFailed(str(error)) from None


def migrate(
    context: typer.Context,
    pre: Annotated[bool, typer.Option("--pre", help="Only what must run before the new code.")] = False,
    post: Annotated[bool, typer.Option("--post", help="Only what must run after the new code.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 when something is pending.")
    ] = False,
) -> None:
    """Bring the schema up to date. Two at once are fine: the second waits and finds nothing to do.

    Example: croupier migrate --pre
    """
    if pre and post:
        raise typer.BadParameter("choose --pre or --post, or neither for both")
    phase: PhaseChoice = "pre" if pre else "post" if post else "all"
    uvloop.run(_migrate(settings_of(context).read_config(), output_of(context), phase, is_check=check))


async def _migrate(config: Config, output: Output, phase: PhaseChoice, *, is_check: bool) -> None:
    if not config.database.is_embedded:
        await _migrate_at(config.database.migration_url, output, phase, is_check=is_check)
        return
    async with EmbeddedServer(config.database.embedded_folder) as server:
        await _migrate_at(await ensure_database(server.url(), DATABASE), output, phase, is_check=is_check)


async def _migrate_at(url: str, output: Output, phase: PhaseChoice, *, is_check: bool) -> None:
    connection = await connect_owner(url)
    try:
        done = await plan(connection) if is_check else await apply(connection, phase=phase)
    except MigrationError as error:
        raise CommandFailed(str(error)) from None
    finally:
        await connection.close()
    word = "pending" if is_check else "applied"
    for migration in done:
        output.say(f"{word} {migration.version:04d}_{migration.name}.{migration.phase}")
    if not done:
        output.say("the schema is up to date")
    if is_check and done:
        raise CommandFailed("the schema is behind: run `croupier migrate`")


def doctor(context: typer.Context) -> None:
    """Look at configuration, secrets, ports and database, and say how to repair what is wrong.

    Example: croupier doctor --json
    """
    settings = settings_of(context)
    output = output_of(context)
    findings = asyncio.run(examine(settings.effective_config_path, os.environ))
    if output.is_json:
        output.document("doctor", {"findings": findings})
    for finding in findings:
        output.say(f"{MARKS[finding.status]}  {finding.check}: {finding.detail}")
        if finding.fix:
            output.say(f"      fix: {finding.fix}")
    if any(finding.status == "fail" for finding in findings):
        raise CommandFailed("something is wrong; the lines above say what to do")


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    for command in (init, serve, work, migrate, doctor):
        app.command()(command)
