"""`croupier wallet`: what is about the operator's own wallet service."""

from __future__ import annotations

import typer

from croupier.cli import wallet_conformance, wallet_contract, wallet_settle

commands = typer.Typer(no_args_is_help=True, help="Work with the operator's own wallet service.")
commands.command("conformance")(wallet_conformance.conformance)
commands.command("contract")(wallet_contract.contract)
commands.command("settle")(wallet_settle.settle)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="wallet")


@commands.callback()
def wallet() -> None:
    """Work with the operator's own wallet service."""
