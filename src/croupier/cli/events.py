"""`croupier events`: what the operator's systems are told, and whether it arrived."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from croupier.cli import events_change, events_listen, events_trigger
from croupier.cli.arguments import parse_event_id, parse_session_id
from croupier.cli.output import CommandFailed, Output, output_of
from croupier.cli.present import shown_id, shown_time
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.events import EVENT_TYPES
from croupier.ids import EVENT, SESSION
from croupier.operator.outbox.catalogue import describe, render_schema
from croupier.operator.outbox.reads import (
    WAITING,
    Attempt,
    ConsumerState,
    EventLine,
    EventStory,
    Progress,
    load_consumers,
    load_recent_events,
    load_story,
)
from croupier.operator.outbox.settings import ANY_TYPE, NATS
from croupier.runtime.config import Config
from croupier.runtime.config.problems import render_nearest

HELP: Final = """Events for the operator's systems: what there is, what arrived, and sending it again.

These commands open the configured database themselves, with the application's rights. What they change is in force
at once and stands in the audit log with its reason.
"""

commands = typer.Typer(no_args_is_help=True, help=HELP)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="events")


@commands.command()
def catalogue(ctx: typer.Context) -> None:
    """Every type of event, and when it is written. With --json: the JSON Schema of each.

    Examples:

      croupier events catalogue

      croupier events catalogue --json
    """
    output = output_of(ctx)
    if output.is_json:
        types = [
            {"type": type_, "description": describe(type_), "schema": render_schema(type_)}
            for type_ in EVENT_TYPES
        ]
        output.document("events.catalogue", {"types": types})
        return
    output.table(("type", "when"), [(type_, describe(type_)) for type_ in EVENT_TYPES])


@commands.command("list")
def list_(
    ctx: typer.Context,
    type_: Annotated[str | None, typer.Option("--type", help="Only events of this type.")] = None,
    session: Annotated[str | None, typer.Option(help="Only those of this session (ses_…).")] = None,
    is_undelivered: Annotated[
        bool, typer.Option("--undelivered", help="Only those that a consumer still waits for.")
    ] = False,
    before: Annotated[str | None, typer.Option(help="Continue after this event (evt_…).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most events to show.")] = 20,
) -> None:
    """Events, newest first, and where each of them is.

    Examples:

      croupier events list --type break.opened

      croupier events list --undelivered --json
    """
    if type_ is not None and type_ not in EVENT_TYPES:
        advice = render_nearest(type_, EVENT_TYPES, otherwise="`croupier events catalogue` lists them")
        raise typer.BadParameter(f"no event type is called {type_!r}; {advice}")
    session_id = None if session is None else parse_session_id(session)
    last = None if before is None else parse_event_id(before)
    found = read_database(
        ctx,
        lambda connection: load_recent_events(
            connection,
            type_=type_,
            session_id=session_id,
            is_undelivered=is_undelivered,
            before=last,
            limit=limit,
        ),
    )
    output = output_of(ctx)
    if output.is_json:
        output.document("events.list", {"events": [_render_line(line) for line in found]})
        return
    rows = [
        (
            shown_id(EVENT, line.id),
            shown_time(line.recorded_at),
            line.type,
            shown_id(SESSION, line.session_id),
            _where(line),
        )
        for line in found
    ]
    output.table(("event", "recorded", "type", "session", "consumers"), rows)


def _where(line: EventLine) -> str:
    if line.is_new:
        return "not given to anybody yet"
    return ", ".join(_shown_progress(one) for one in line.progress) or "nobody takes it"


def _shown_progress(progress: Progress) -> str:
    word = progress.state.replace("_", " ")
    if progress.state == WAITING and progress.attempts:
        plural = "" if progress.attempts == 1 else "s"
        return f"{progress.consumer}: {word} after {progress.attempts} attempt{plural}"
    return f"{progress.consumer}: {word}"


def _render_line(line: EventLine) -> dict[str, Any]:
    return {
        "event_id": shown_id(EVENT, line.id),
        "type": line.type,
        "session_id": shown_id(SESSION, line.session_id) or None,
        "player_id": line.player_id or None,
        "recorded_at": shown_time(line.recorded_at),
        "given": not line.is_new,
        "consumers": [
            {
                "consumer": one.consumer,
                "state": one.state,
                "attempts": one.attempts,
                "at": shown_time(one.at) if _is_a_time(one) else None,
            }
            for one in line.progress
        ],
    }


def _is_a_time(progress: Progress) -> bool:
    """What waits for NATS waits for its turn, not for a time."""
    return progress.state != WAITING or progress.consumer != NATS


@commands.command()
def show(
    ctx: typer.Context, event: Annotated[str, typer.Argument(metavar="EVT_ID", help="The event's id.")]
) -> None:
    """One event: its payload, and every attempt to hand it over.

    Examples:

      croupier events show evt_0197f2c4a5b67c8d9e0f1a2b3c4d5e07
    """
    event_id = parse_event_id(event)
    story = read_database(ctx, lambda connection: load_story(connection, event_id))
    if story is None:
        raise CommandFailed(f"there is no event {event}; it may be older than `outbox.keep`")
    output = output_of(ctx)
    if output.is_json:
        output.document("events.show", _render_story(story))
        return
    _tell_story(output, story)


def _render_story(story: EventStory) -> dict[str, Any]:
    return {
        **_render_line(story.line),
        "payload": json.loads(story.payload),
        "attempts": [_render_attempt(one) for one in story.attempts],
    }


def _render_attempt(one: Attempt) -> dict[str, Any]:
    return {
        "consumer": one.consumer,
        "attempt": one.attempt,
        "result": one.result,
        "status": one.status,
        "error": one.error,
        "excerpt": one.excerpt,
        "duration_ms": one.duration_ms,
        "at": shown_time(one.at),
    }


def _tell_story(output: Output, story: EventStory) -> None:
    line = story.line
    output.facts(
        [
            ("event", shown_id(EVENT, line.id)),
            ("type", line.type),
            ("recorded", shown_time(line.recorded_at)),
            ("consumers", _where(line)),
        ]
    )
    output.say(json.dumps(json.loads(story.payload), indent=2, ensure_ascii=False))
    if story.attempts:
        rows = [
            (
                one.consumer,
                str(one.attempt),
                one.result.replace("_", " "),
                shown_time(one.at),
                f"{one.duration_ms} ms",
                one.error or "",
                one.excerpt or "",
            )
            for one in story.attempts
        ]
        output.table(("consumer", "attempt", "result", "at", "took", "error", "answer"), rows)


@commands.command()
def endpoints(ctx: typer.Context) -> None:
    """Every consumer: whether it takes events, how many wait for it, since when it fails, who switched it off and why.

    Examples:

      croupier events endpoints --json
    """
    config = settings_of(ctx).read_config()
    names = events_change.consumers_of(config)
    found = read_database(ctx, lambda connection: load_consumers(connection, list(names)))
    output = output_of(ctx)
    if output.is_json:
        body = [_render_consumer(one, config, is_configured=one.consumer in names) for one in found]
        output.document("events.endpoints", {"endpoints": body})
        return
    now = datetime.now(UTC)
    rows = [
        (
            one.consumer,
            _state(one, is_configured=one.consumer in names),
            str(one.pending),
            "" if one.oldest_at is None else f"{(now - one.oldest_at).total_seconds():.0f} s",
            shown_time(one.last_ok_at),
            shown_time(one.failing_since),
            one.disabled_because or one.last_error or "",
        )
        for one in found
    ]
    headers = ("endpoint", "state", "waiting", "oldest", "last ok", "failing since", "why")
    output.table(headers, rows)


def _state(one: ConsumerState, *, is_configured: bool) -> str:
    if not is_configured:
        return "not configured"
    if one.disabled_at is not None:
        return "disabled"
    if one.failing_since is not None:
        return "failing"
    return "ok" if one.last_ok_at is not None else "nothing sent yet"


def _render_consumer(one: ConsumerState, config: Config, *, is_configured: bool) -> dict[str, Any]:
    configured = next((each for each in config.outbox.endpoints if each.id == one.consumer), None)
    types = [ANY_TYPE] if configured is None else list(configured.events)
    return {
        "endpoint": one.consumer,
        "state": _state(one, is_configured=is_configured).replace(" ", "_"),
        "url": None if configured is None else configured.url,
        "events": types if is_configured else [],
        "waiting": one.pending,
        "oldest_at": shown_time(one.oldest_at) or None,
        "last_ok_at": shown_time(one.last_ok_at) or None,
        "failing_since": shown_time(one.failing_since) or None,
        "last_error": one.last_error,
        "disabled_at": shown_time(one.disabled_at) or None,
        "disabled_because": one.disabled_because,
    }


for _module in (events_change, events_listen, events_trigger):
    _module.register(commands)
