"""`croupier events enable`, `disable` and `redeliver`: audited changes of what is sent where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import asyncpg
import typer

from croupier.cli.acting import ReasonOption, read_actor, require_reason
from croupier.cli.arguments import parse_event_id, parse_instant
from croupier.cli.output import CommandFailed, output_of
from croupier.cli.present import shown_time
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.governance.audit import Detail, Entry, insert_record
from croupier.ids import EVENT, IdSource, render_id
from croupier.operator.outbox.redelivery import (
    Target,
    Window,
    send_events_again,
    send_given_up_again,
    send_window_again,
)
from croupier.operator.outbox.settings import NATS
from croupier.operator.outbox.switch import load_waiting_count, switch_off, switch_on
from croupier.runtime.config import Config
from croupier.runtime.config.problems import render_nearest

MOST_IDS: Final = 1000
MOST_IDS_IN_AUDIT: Final = 50

EndpointArgument = Annotated[str, typer.Argument(metavar="ENDPOINT", help="An endpoint's id, or `nats`.")]


def register(commands: typer.Typer) -> None:
    """Add the commands to the group."""
    commands.command()(enable)
    commands.command()(disable)
    commands.command()(redeliver)


def consumers_of(config: Config) -> Mapping[str, Target]:
    """Every configured consumer by its id, with the types it takes."""
    found = {one.id: Target(one.id, tuple(one.events)) for one in config.outbox.endpoints}
    return found if config.outbox.nats_url is None else {**found, NATS: Target(NATS)}


def require_consumer(config: Config, name: str) -> Target:
    """The configured consumer of this id; CommandFailed names the nearest."""
    known = consumers_of(config)
    if name not in known:
        advice = render_nearest(name, known, otherwise=f"configured: {', '.join(known) or 'none'}")
        raise CommandFailed(f"no endpoint is called {name!r}; {advice}")
    return known[name]


def enable(ctx: typer.Context, endpoint: EndpointArgument, reason: ReasonOption) -> None:
    """Send events to an endpoint again. What has waited for it is sent, oldest first.

    Examples:

      croupier events enable platform --reason "their new certificate is in place"
    """
    require_consumer(settings_of(ctx).read_config(), endpoint)
    _switch(ctx, endpoint, reason, is_on=True)


def disable(ctx: typer.Context, endpoint: EndpointArgument, reason: ReasonOption) -> None:
    """Send nothing more to an endpoint. Its events wait until it is enabled, as long as events are kept.

    Examples:

      croupier events disable platform --reason "maintenance until Monday"
    """
    require_consumer(settings_of(ctx).read_config(), endpoint)
    _switch(ctx, endpoint, reason, is_on=False)


def _switch(ctx: typer.Context, endpoint: str, reason: str, *, is_on: bool) -> None:
    said, actor, now = require_reason(reason), read_actor(), datetime.now(UTC)
    name = "enable" if is_on else "disable"

    async def switch(connection: asyncpg.Connection) -> tuple[bool, int]:
        async with connection.transaction():
            if is_on:
                is_changed = await switch_on(connection, endpoint, reason=said, now=now)
            else:
                is_changed = await switch_off(
                    connection, endpoint, because=f"{said} ({actor})", ids=IdSource(), now=now
                )
            if is_changed:
                entry = Entry(
                    actor=actor, action=f"endpoint.{name}d", subject=f"endpoint:{endpoint}", reason=said
                )
                await insert_record(connection, entry, now)
            return is_changed, await load_waiting_count(connection, endpoint)

    is_changed, waiting = read_database(ctx, switch)
    output = output_of(ctx)
    if output.is_json:
        output.document(f"events.{name}", {"endpoint": endpoint, "changed": is_changed, "waiting": waiting})
        return
    if not is_changed:
        output.say(f"{endpoint} was {name}d already")
    else:
        output.say(f"{endpoint}: {name}d", "bold")
    output.say(f"{waiting} events {'are due now' if is_on else 'wait'}")


def redeliver(
    ctx: typer.Context,
    reason: ReasonOption,
    events: Annotated[
        list[str] | None, typer.Argument(metavar="[EVT_ID]…", help="Events to send again.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="Only to this endpoint, or `nats`; else to all that take them.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="All events recorded from this time on,")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="TIME", help="and before this one.")] = None,
    is_given_up: Annotated[
        bool, typer.Option("--given-up", help="Only events whose last attempt was the last of the schedule.")
    ] = False,
) -> None:
    """Send events again: some, those that were given up, or all of a window to one endpoint.

    Receivers know them by their ids, so a second arrival changes nothing where ids are remembered. The schedule of
    attempts begins anew. Everything that is kept can be sent, also to an endpoint that was not there at the time.

    Examples:

      croupier events redeliver evt_0197f2c4a5b67c8d9e0f1a2b3c4d5e07 --reason "lost by the receiver"

      croupier events redeliver --given-up --endpoint platform --reason "the receiver was down for two days"

      croupier events redeliver --endpoint platform --from 2026-03-01T12:00Z --to 2026-03-01T13:00Z --reason "restored"
    """
    said = require_reason(reason)
    config = settings_of(ctx).read_config()
    targets = (
        list(consumers_of(config).values()) if endpoint is None else [require_consumer(config, endpoint)]
    )
    if not targets:
        raise CommandFailed("no endpoint is configured: add [[outbox.endpoints]]")
    ids = list(dict.fromkeys(parse_event_id(one) for one in events or ()))
    window = _window(start, end, is_open=is_given_up)
    _require_one_choice(ids, window, endpoint=endpoint, is_given_up=is_given_up)
    now = datetime.now(UTC)

    async def send(connection: asyncpg.Connection) -> int:
        async with connection.transaction():
            if ids:
                count = await send_events_again(connection, ids, targets, now)
            elif is_given_up:
                count = await send_given_up_again(connection, window or _ALL_TIME, targets, now)
            else:
                count = await send_window_again(connection, window or _ALL_TIME, targets, now)
            entry = Entry(
                actor=read_actor(),
                action="events.redelivered",
                subject=f"endpoint:{endpoint}" if endpoint else "endpoints:all",
                reason=said,
                details=_details(ids, window, count, is_given_up=is_given_up),
            )
            await insert_record(connection, entry, now)
            return count

    _tell_redelivery(ctx, read_database(ctx, send), targets, ids)


_ALL_TIME: Final = Window(datetime(1970, 1, 2, tzinfo=UTC), datetime(2900, 1, 1, tzinfo=UTC))


def _window(start: str | None, end: str | None, *, is_open: bool) -> Window | None:
    """Both ends, or, where that is allowed, any of them."""
    if start is None and end is None:
        return None
    if (start is None or end is None) and not is_open:
        raise typer.BadParameter("a window has both --from and --to")
    first = _ALL_TIME.start if start is None else parse_instant(start)
    last = _ALL_TIME.end if end is None else parse_instant(end)
    if first >= last:
        raise typer.BadParameter("--from is before --to")
    return Window(first, last)


def _require_one_choice(
    ids: Sequence[UUID], window: Window | None, *, endpoint: str | None, is_given_up: bool
) -> None:
    choices = (bool(ids), is_given_up, window is not None and not is_given_up)
    if sum(choices) != 1:
        raise typer.BadParameter("name events, or --given-up, or a window with --from and --to")
    if choices[2] and endpoint is None:
        raise typer.BadParameter("a whole window is sent to one endpoint: name it with --endpoint")
    if len(ids) > MOST_IDS:
        raise typer.BadParameter(f"at most {MOST_IDS} events at a time; use a window for more")


def _details(
    ids: Sequence[UUID], window: Window | None, count: int, *, is_given_up: bool
) -> dict[str, Detail]:
    return {
        "deliveries": count,
        "given_up": is_given_up,
        "from": None if window is None else shown_time(window.start),
        "to": None if window is None else shown_time(window.end),
        "events": [render_id(EVENT, one) for one in ids[:MOST_IDS_IN_AUDIT]],
        "events_named": len(ids),
    }


def _tell_redelivery(ctx: typer.Context, count: int, targets: Sequence[Target], ids: Sequence[UUID]) -> None:
    output = output_of(ctx)
    names = [one.consumer for one in targets]
    if output.is_json:
        output.document("events.redeliver", {"deliveries": count, "endpoints": names})
        return
    output.say(f"{count} deliveries are due now, to {', '.join(names)}", "bold")
    if ids and not count:
        output.say("these ids are of no event that is kept, or of types that the endpoints do not take")
