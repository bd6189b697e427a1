"""`croupier session`: find sessions, look at their history, prove that history gives their state."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import asyncpg
import typer

from croupier.cli.arguments import parse_session_id
from croupier.cli.output import EXIT_INVARIANT, CommandFailed, Output, output_of
from croupier.cli.present import shown_id, shown_money
from croupier.cli.reading import read_database
from croupier.cli.reads import (
    Document,
    SessionFilter,
    load_session,
    load_session_list,
    load_sessions_of,
    load_timeline,
)
from croupier.cli.settings import settings_of
from croupier.ids import SESSION
from croupier.money import AssetRegistry
from croupier.play.session import State
from croupier.settlement.audit import ReplayReport, replay_sessions

MOST_ROUNDS_SHOWN = 50

commands = typer.Typer(no_args_is_help=True, help="Find sessions, see and prove their history.")

AnyId = Annotated[
    str,
    typer.Argument(metavar="ID", help="ses_, rnd_ or jrn_ id, a provider's reference, or its round id."),
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="session")


@commands.command("list")
def list_(
    ctx: typer.Context,
    player: Annotated[str | None, typer.Option(help="Only this player's.")] = None,
    state: Annotated[State | None, typer.Option(help="Only those in this state.")] = None,
    before: Annotated[str | None, typer.Option(help="Continue after this session (ses_…).")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most sessions to show.")] = 20,
) -> None:
    """Sessions, newest first.

    Examples:

      croupier session list --player player-1

      croupier session list --state pending_settlement --json
    """
    wanted = SessionFilter(
        player_id=player,
        state=None if state is None else state.value,
        before=None if before is None else parse_session_id(before),
        limit=limit,
    )
    found = read_database(ctx, lambda connection: load_session_list(connection, wanted))
    output = output_of(ctx)
    if output.is_json:
        output.document("session.list", {"sessions": found})
        return
    registry = settings_of(ctx).read_config().asset_registry()
    output.table(
        ("session", "state", "player", "provider", "game", "staked", "won", "opened"),
        [_line(session, registry) for session in found],
    )


def _line(session: Document, registry: AssetRegistry) -> list[str]:
    names = ("id", "state", "player_id", "provider", "game_id")
    money = [shown_money(registry, session[name], session["asset"]) for name in ("staked", "won")]
    return [*(session[name] for name in names), *money, session["opened_at"]]


@commands.command()
def show(ctx: typer.Context, id_: AnyId) -> None:
    """One session with its rounds, found by any party's id.

    Examples:

      croupier session show ses_0197f2c4a5b67c8d9e0f1a2b3c4d5e07

      croupier session show bet-4711
    """

    async def load(connection: asyncpg.Connection) -> list[Document]:
        ids = await load_sessions_of(connection, id_)
        found = [await load_session(connection, one, most_rounds=MOST_ROUNDS_SHOWN) for one in ids]
        return [session for session in found if session is not None]

    sessions = read_database(ctx, load)
    if not sessions:
        raise CommandFailed(f"no session is known by {id_!r}")
    output = output_of(ctx)
    if output.is_json:
        output.document("session.show", {"sessions": sessions})
        return
    registry = settings_of(ctx).read_config().asset_registry()
    for session in sessions:
        _tell_session(output, session, registry)


def _tell_session(output: Output, session: Document, registry: AssetRegistry) -> None:
    asset = session["asset"]
    output.say(session["id"], "bold")
    names = ("state", "player_id", "provider", "game_id", "contract_id", "opened_at", "last_activity_at")
    output.facts([(name, str(session[name] or "")) for name in names])
    money = ("staked", "won", "contributed", "share_posted", "revenue_posted")
    output.facts([(name, shown_money(registry, session[name], asset)) for name in money])
    output.facts([("events", str(session["seq"])), ("rounds_open", str(session["rounds_open"]))])
    output.table(
        ("round", "provider's id", "state", "live bets", "staked", "won"),
        [
            (
                one["id"],
                one["provider_round_id"],
                one["state"],
                f"{one['live_bets']} of {one['bets']}",
                shown_money(registry, one["staked"], asset),
                shown_money(registry, one["won"], asset),
            )
            for one in session["rounds"]
        ],
    )


@commands.command()
def timeline(
    ctx: typer.Context,
    id_: AnyId,
    after: Annotated[int, typer.Option(min=0, help="Begin after this event.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most events to show.")] = 200,
) -> None:
    """Everything that happened to a session, in order.

    Examples:

      croupier session timeline ses_0197f2c4a5b67c8d9e0f1a2b3c4d5e07

      croupier session timeline bet-4711 --json | jq '.events[].cause'
    """

    async def load(connection: asyncpg.Connection) -> tuple[UUID, list[Document]]:
        session_id = await _load_only_session(connection, id_)
        return session_id, await load_timeline(connection, session_id, after=after, limit=limit)

    session_id, events = read_database(ctx, load)
    if not events and after == 0:
        raise CommandFailed(f"no event of {shown_id(SESSION, session_id)} is known")
    output = output_of(ctx)
    if output.is_json:
        output.document("session.timeline", {"session_id": shown_id(SESSION, session_id), "events": events})
        return
    output.table(
        ("#", "recorded", "cause", "state", "round", "what"), [event_line(event) for event in events]
    )


def event_line(event: Document) -> list[str]:
    """One event as columns: number, time, cause, state, the provider's round, what changed."""
    state = event["to_state"]
    moved = state if event["from_state"] in (None, state) else f"{event['from_state']} → {state}"
    details: dict[str, Any] = event["details"]
    money = ("staked", "won", "contributed", "share_posted", "revenue_posted")
    changed = [f"{name} {details[name]}" for name in money if name in details]
    named = [details["reference"]] if "reference" in details else []
    code = [] if details.get("code", "ok") == "ok" else [details["code"]]
    what = ", ".join(named + code + changed)
    return [
        str(event["seq"]),
        event["recorded_at"],
        event["cause"],
        moved,
        event["provider_round_id"] or "",
        what,
    ]


async def _load_only_session(connection: asyncpg.Connection, text: str) -> UUID:
    found = await load_sessions_of(connection, text)
    if not found:
        raise CommandFailed(f"no session is known by {text!r}")
    if len(found) > 1:
        names = ", ".join(shown_id(SESSION, one) for one in found)
        raise CommandFailed(f"{text!r} belongs to several sessions, name one of them: {names}")
    return found[0]


@commands.command()
def replay(
    ctx: typer.Context,
    id_: Annotated[str | None, typer.Argument(metavar="[ID]", help="As for `session show`.")] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Every session there is.")] = False,
) -> None:
    """Rebuild sessions and rounds from their events alone and compare them with what is stored (I5).

    Exit code 3 when anything differs.

    Examples:

      croupier session replay ses_0197f2c4a5b67c8d9e0f1a2b3c4d5e07

      croupier session replay --all
    """
    if (id_ is None) == (not is_all):
        raise typer.BadParameter("name one session, or give --all")
    output = output_of(ctx)
    with output.progress("replaying") as advance:

        async def run(connection: asyncpg.Connection) -> ReplayReport:
            session_id = None if id_ is None else await _load_only_session(connection, id_)
            return await replay_sessions(
                connection, session_id, on_progress=lambda done: advance(done, "sessions")
            )

        report = read_database(ctx, run)
    if id_ is not None and report.sessions == 0:
        raise CommandFailed(f"no session is known by {id_!r}")
    _tell_replay(output, report)
    if not report.is_held:
        raise typer.Exit(EXIT_INVARIANT)


def _tell_replay(output: Output, report: ReplayReport) -> None:
    if output.is_json:
        output.document("session.replay", {"held": report.is_held, "report": report})
        return
    replayed = f"{report.sessions} sessions, {report.rounds} rounds, {report.events} events replayed"
    verdict = "history equals state" if report.is_held else f"{report.count} DIFFERENCES"
    output.say(f"I5  {replayed}: {verdict}", "" if report.is_held else "bold red")
    for difference in report.differences:
        output.say(f"      {difference}")
