"""`croupier provider`: what is about providers and their adapters rather than about running them."""

from __future__ import annotations

import typer

from croupier.cli import (
    provider_ask,
    provider_conformance,
    provider_cutover,
    provider_list,
    provider_new,
    provider_schema_diff,
    provider_shadow,
)

commands = typer.Typer(no_args_is_help=True, help="Work on the contracts with providers.")
commands.command("list")(provider_list.list_adapters)
commands.command("games")(provider_ask.games)
commands.command("round")(provider_ask.show_round)
commands.command("conformance")(provider_conformance.conformance)
commands.command("cutover")(provider_cutover.cutover)
commands.command("sign-off")(provider_cutover.sign_off)
commands.command("new")(provider_new.new)
commands.command("schema-diff")(provider_schema_diff.schema_diff)
commands.command("shadow")(provider_shadow.shadow)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="provider")


@commands.callback()
def provider() -> None:
    """Work on the contracts with providers."""
