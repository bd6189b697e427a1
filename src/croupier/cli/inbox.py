"""`croupier inbox`: what providers told by webhook, what became of it, and what is stuck."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import asyncpg
import typer

from croupier.cli import inbox_dead, inbox_replay
from croupier.cli.arguments import parse_session_id
from croupier.cli.inbox_replay import (
    FromOption,
    RoundOption,
    SessionOption,
    ToOption,
    TypeOption,
    parse_moment,
)
from croupier.cli.inbox_show import find_delivery_id, render_refused, show_delivery
from croupier.cli.output import Output, output_of
from croupier.cli.present import shown_id, shown_money, shown_time
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.ids import DELIVERY, SESSION
from croupier.inbox.process import APPLIED, NOTHING, REFUSED, REPEAT, UNMATCHED
from croupier.inbox.purge import first_id
from croupier.inbox.search import (
    STATES,
    DeliveryFilter,
    load_deliveries,
    load_depths,
    load_refused,
)
from croupier.money import AssetRegistry

RESULTS: Final = (APPLIED, REPEAT, NOTHING, REFUSED, UNMATCHED)

HELP: Final = """Webhooks from providers: the queue, what became of each, dead letters, replay.

These commands open the configured database themselves, with the application's rights. Redrive and replay change
something: they ask for a reason and stand in the audit log.
"""

commands = typer.Typer(no_args_is_help=True, help=HELP)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="inbox")


@commands.command("list")
def list_(
    ctx: typer.Context,
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
    type_: TypeOption = None,
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help=f"Only {', '.join((*STATES, *RESULTS))}.")
    ] = None,
    round_id: RoundOption = None,
    session: SessionOption = None,
    player: Annotated[str | None, typer.Option(help="Only about this player.")] = None,
    start: FromOption = None,
    end: ToOption = None,
    is_refused: Annotated[
        bool, typer.Option("--refused", help="Webhooks that were turned away, with the reason.")
    ] = False,
    before: Annotated[str | None, typer.Option(metavar="DLV_ID", help="Continue below this one.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most deliveries to show.")] = 20,
) -> None:
    """Deliveries, newest first, with what became of them. A refused webhook was never accepted: --refused shows those.

    States: queued, waiting (for the session, player or round it is about), done, dead. A state may also be a result of
    what is done: applied, repeat, nothing, refused (for a reason of business), unmatched.

    Examples:

      croupier inbox list --provider studio --state dead

      croupier inbox list --from 2h --round 88123 --json

      croupier inbox list --refused --provider studio
    """
    first, last = _ids_between(start, end, before)
    wanted = DeliveryFilter(
        provider=provider,
        type=type_,
        round_id=round_id,
        session_id=None if session is None else parse_session_id(session),
        player_id=player,
        first_id=first,
        last_id=last,
        limit=limit,
        **_parse_state(state),
    )
    if is_refused:
        if any((type_, state, round_id, session, player)):
            raise typer.BadParameter(
                "what was refused was never read: only --provider, times and --limit apply"
            )
        _list_refused(ctx, wanted)
        return
    rows = read_database(ctx, lambda connection: load_deliveries(connection, wanted))
    output = output_of(ctx)
    if output.is_json:
        output.document("inbox.list", {"deliveries": [render_delivery_row(row) for row in rows]})
        return
    registry = settings_of(ctx).read_config().asset_registry()
    headers = ("id", "received", "provider", "type", "state", "why", "attempts", "player", "round", "amount")
    output.table(headers, [_line(row, registry) for row in rows])


def _ids_between(start: str | None, end: str | None, before: str | None) -> tuple[UUID | None, UUID | None]:
    now = datetime.now(UTC)
    first = None if start is None else first_id(parse_moment(start, now))
    lasts = [] if end is None else [first_id(parse_moment(end, now))]
    if before is not None:
        found = find_delivery_id(before)
        if found is None:
            raise typer.BadParameter("a delivery's id is dlv_ and 32 hex digits", param_hint="--before")
        lasts.append(found)
    return first, min(lasts, default=None)


def _parse_state(state: str | None) -> dict[str, str]:
    if state is None:
        return {}
    if state in STATES:
        return {"state": state}
    if state in RESULTS:
        return {"result": state}
    raise typer.BadParameter(
        f"no state is called {state!r}: {', '.join((*STATES, *RESULTS))}", param_hint="--state"
    )


def render_delivery_row(row: asyncpg.Record) -> dict[str, Any]:
    """A delivery of a list ready for JSON."""
    return {
        "id": shown_id(DELIVERY, row["id"]),
        "provider": row["provider"],
        "delivery_id": row["delivery_id"],
        "type": row["type"],
        "received_at": shown_time(row["received_at"]),
        "state": row["state"],
        "result": row["result"],
        "code": row["code"],
        "attempts": row["attempts"],
        "player_id": row["player_id"],
        "session_id": shown_id(SESSION, row["session_id"]) or None,
        "round_id": row["provider_round_id"],
        "reference": row["reference"],
        "asset": row["asset"],
        "amount": row["amount"],
    }


def _line(row: asyncpg.Record, registry: AssetRegistry) -> tuple[str, ...]:
    return (
        shown_id(DELIVERY, row["id"]),
        shown_time(row["received_at"]),
        row["provider"],
        row["type"],
        row["result"] or row["state"],
        row["code"] or "",
        str(row["attempts"]),
        row["player_id"] or "",
        row["provider_round_id"] or "",
        shown_money(registry, row["amount"], row["asset"]),
    )


def _list_refused(ctx: typer.Context, wanted: DeliveryFilter) -> None:
    rows = read_database(ctx, lambda connection: load_refused(connection, wanted))
    output = output_of(ctx)
    if output.is_json:
        output.document("inbox.refused", {"refused": [render_refused(row) for row in rows]})
        return
    headers = ("id", "received", "provider", "webhook-id", "status", "code", "reason", "detail")
    output.table(
        headers,
        [
            (
                shown_id(DELIVERY, row["id"]),
                shown_time(row["received_at"]),
                row["provider"],
                row["delivery_id"] or "",
                str(row["status"]),
                row["code"],
                row["reason"] or "",
                row["detail"],
            )
            for row in rows
        ],
    )


@commands.command()
def status(
    ctx: typer.Context,
    provider: Annotated[str | None, typer.Option(help="Only this provider.")] = None,
) -> None:
    """What is queued for each provider, for how long, and how fast it drains.

    `lag` is the age of the oldest delivery that waits for nothing but its turn; `waiting` ones wait for what they are
    about. The drain rate is measured by whatever works on the queue: when nothing does, it says so.

    Examples:

      croupier inbox status

      croupier inbox status --json
    """
    rows = read_database(ctx, lambda connection: load_depths(connection, provider))
    output, now = output_of(ctx), datetime.now(UTC)
    levels = [render_level(row, now) for row in rows]
    if output.is_json:
        output.document("inbox.status", {"providers": levels})
        return
    headers = ("provider", "queued", "waiting", "lag", "drained per minute", "dead")
    output.table(headers, [_level_line(level) for level in levels])
    _tell_silence(output, levels)


def render_level(row: Any, now: datetime) -> dict[str, Any]:
    """A provider's level ready for JSON; `measured_age_s` is null when nobody ever worked on the queue."""
    oldest, measured = row["oldest_at"], row["measured_at"]
    return {
        "provider": row["provider"],
        "queued": row["depth"],
        "waiting": row["waiting"],
        "dead": row["dead"],
        "oldest_at": shown_time(oldest) or None,
        "lag_s": 0 if oldest is None else max(0, int((now - oldest).total_seconds())),
        "drained_per_min": row["drained_per_min"],
        "measured_age_s": None if measured is None else int((now - measured).total_seconds()),
    }


def _level_line(level: dict[str, Any]) -> tuple[str, ...]:
    return (
        level["provider"],
        str(level["queued"]),
        str(level["waiting"]),
        f"{level['lag_s']} s",
        str(level["drained_per_min"]),
        str(level["dead"]),
    )


LONG_SILENCE_S: Final = 60


def _tell_silence(output: Output, levels: list[dict[str, Any]]) -> None:
    """Nobody has measured for long: then nobody drains either."""
    ages = [level["measured_age_s"] for level in levels]
    if levels and all(age is None or age > LONG_SILENCE_S for age in ages):
        output.say("nothing works on the queue: start `croupier serve` or `croupier work`", "bold red")


show_delivery(commands)
inbox_dead.register(commands)
inbox_replay.register(commands)
