"""The root of the command line: the global options, and what becomes of failures that are expected."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import Annotated, Any, Final

import typer

from croupier import __version__
from croupier.cli.output import EXIT_FAILURE, CommandFailed, Output
from croupier.cli.settings import ConfigOption, JsonOption, RootGroup, Settings, YesOption
from croupier.runtime.config import ConfigProblems
from croupier.runtime.open_database import DatabaseUnavailable

EXPECTED: Final = (CommandFailed, ConfigProblems, DatabaseUnavailable)
"""What ends a command with exit code 1 and its own words, without a traceback."""


class Croupier(RootGroup):
    """The root command: tells expected failures in words instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except EXPECTED as error:
            settings = ctx.ensure_object(Settings)
            output = Output(settings)
            output.complain(f"croupier: {error}")
            if settings.is_json and not settings.has_document:
                output.document("error", {"error": str(error)})
            raise typer.Exit(EXIT_FAILURE) from error


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"croupier {__version__}")
        raise typer.Exit


def croupier(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """A gateway between an online casino's platform and its game providers.

    Exit codes: 0 ok, 1 failure, 2 usage, 3 an invariant is broken.
    """


def make_app(modules: Iterable[ModuleType]) -> typer.Typer:
    """The command line with the commands of these modules; each has `register(app)`."""
    app = typer.Typer(
        name="croupier",
        cls=Croupier,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(croupier)
    for module in modules:
        module.register(app)
    return app
