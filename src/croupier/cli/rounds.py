"""`croupier round`: find a round by anybody's id and see what happened in it."""

from __future__ import annotations

from typing import Annotated

import typer

from croupier.cli.output import CommandFailed, Output, output_of
from croupier.cli.present import shown_money
from croupier.cli.reading import read_database
from croupier.cli.reads import Document, load_rounds_of
from croupier.cli.sessions import event_line
from croupier.cli.settings import settings_of
from croupier.money import AssetRegistry

MOST_EVENTS_SHOWN = 200

commands = typer.Typer(no_args_is_help=True, help="Find rounds and what happened in them.")


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="round")


@commands.callback()
def rounds() -> None:
    """Find rounds and what happened in them."""


@commands.command()
def show(
    ctx: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help="Our rnd_ id, or the provider's round id.")],
    provider: Annotated[str | None, typer.Option(help="Only rounds of this provider.")] = None,
) -> None:
    """A round with its money, its outcome and its events; several when providers use the same id.

    Examples:

      croupier round show rnd_0197f2c4a5b67c8d9e0f1a2b3c4d5e07

      croupier round show 88123 --provider studio --json | croupier fairness verify -
    """
    found = read_database(
        ctx, lambda connection: load_rounds_of(connection, id_, provider, most_events=MOST_EVENTS_SHOWN)
    )
    if not found:
        raise CommandFailed(f"no round is known by {id_!r}")
    output = output_of(ctx)
    if output.is_json:
        output.document("round.show", {"rounds": found})
        return
    registry = settings_of(ctx).read_config().asset_registry()
    for round_ in found:
        _tell_round(output, round_, registry)


def _tell_round(output: Output, round_: Document, registry: AssetRegistry) -> None:
    output.say(round_["id"], "bold")
    names = ("provider", "provider_round_id", "session_id", "player_id", "game_id", "state")
    output.facts(
        [(name, str(round_[name] or "")) for name in (*names, "opened_at", "closed_at", "bet_due_at")]
    )
    output.facts(
        [
            ("live bets", f"{round_['live_bets']} of {round_['bets']}"),
            ("staked", shown_money(registry, round_["staked"], round_["asset"])),
            ("won", shown_money(registry, round_["won"], round_["asset"])),
        ]
    )
    output.table(("#", "recorded", "cause", "state", "round", "what"), map(event_line, round_["events"]))
