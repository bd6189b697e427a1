"""The global options, which every command takes before or after its name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from croupier.runtime.config import Config, load_config

DEFAULT_CONFIG: Final = Path("croupier.toml")
PANEL: Final = "Global options"


class Settings:
    """What the global options say, for the whole run of a command."""

    __slots__ = ("config_path", "has_document", "is_confirmed", "is_json")

    def __init__(self) -> None:
        self.config_path: Path | None = None
        self.is_json = False
        self.has_document = False
        self.is_confirmed = False

    @property
    def effective_config_path(self) -> Path | None:
        """The file named by --config, else `croupier.toml` where it exists, else none: defaults only."""
        if self.config_path is not None:
            return self.config_path
        return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None

    def read_config(self) -> Config:
        """The configuration in force; raises ConfigProblems."""
        return load_config(self.effective_config_path, os.environ)


def settings_of(ctx: typer.Context) -> Settings:
    """The settings of this run."""
    return ctx.find_root().ensure_object(Settings)


def _set_config(ctx: typer.Context, value: Path | None) -> None:
    if value is not None:
        settings_of(ctx).config_path = value


def _set_json(ctx: typer.Context, value: bool) -> None:
    if value:
        settings_of(ctx).is_json = True


def _set_yes(ctx: typer.Context, value: bool) -> None:
    if value:
        settings_of(ctx).is_confirmed = True


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Configuration to use; without it `croupier.toml` here, if there is one.",
        callback=_set_config,
        expose_value=False,
        rich_help_panel=PANEL,
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document on stdout, everything else on stderr.",
        callback=_set_json,
        expose_value=False,
        rich_help_panel=PANEL,
    ),
]
YesOption = Annotated[
    bool,
    typer.Option(
        "--yes",
        help="Answer every question with yes.",
        callback=_set_yes,
        expose_value=False,
        rich_help_panel=PANEL,
    ),
]


def _make_options() -> list[Any]:
    """The options as Typer makes them for any command; a command of our own lends them."""
    lender = typer.Typer(add_completion=False)

    @lender.command()
    def lend(config: ConfigOption = None, json: JsonOption = False, yes: YesOption = False) -> None:
        """Exists for its options."""

    return list(get_command(lender).params)


class RootGroup(TyperGroup):
    """The root of all commands: hands the global options to each command that has no option of that name."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._lend(self, _make_options())

    def _lend(self, command: Any, options: list[Any]) -> None:
        taken = {name for parameter in command.params for name in parameter.opts}
        command.params.extend(option for option in options if taken.isdisjoint(option.opts))
        for child in getattr(command, "commands", {}).values():
            self._lend(child, options)
