"""The reference page of the command line: `python -m croupier.cli.reference` writes generated pages again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer
from typer.main import get_command

from croupier.cli.main import app
from croupier.operator.error_catalogue import PAGE as ERRORS_PAGE
from croupier.operator.error_catalogue import render_errors_page
from croupier.operator.outbox.catalogue import PAGE as EVENTS_PAGE
from croupier.operator.outbox.catalogue import render_page as render_events_page
from croupier.runtime.config.reference import PAGE as CONFIGURATION_PAGE
from croupier.runtime.config.reference import render_configuration_reference

PAGE: Final = "docs/reference/cli.md"

_GLOBAL: Final = frozenset({"--config", "--json", "--yes"})
_HELP: Final = "--help"

_HEAD: Final = """\
# Command line

Generated from the code by `python -m croupier.cli.reference`; do not edit.

| exit code | meaning |
|---|---|
| 0 | ok |
| 1 | failure |
| 2 | usage |
| 3 | an invariant is broken |

Results go to stdout, progress and complaints to stderr. In a pipe there is no colour and no progress, and
tables become columns separated by tabs. A JSON document carries `schema` with its `name` and `version`; a
command that fails before it has a result prints one of the name `croupier.error`.

## Global options

Every command takes these, before or after its name, unless it says otherwise.
"""


def render_reference(commands: typer.Typer) -> str:
    """The whole page, for every command that is registered and not hidden."""
    root = get_command(commands)
    blocks = [_HEAD, "\n".join(_option_table([one for one in root.params if _GLOBAL & set(one.opts)]))]
    for path, command in _leaves(root, "croupier"):
        blocks.append("\n".join(_section(path, command)))
    return "\n\n".join(block.strip("\n") for block in blocks) + "\n"


def _leaves(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        if not child.hidden:
            yield from _leaves(child, f"{path} {name}")


def _section(path: str, command: Any) -> Iterator[str]:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and _is_own(one)]
    usage = " ".join([path, *(["[OPTIONS]"] if options else []), *map(_shown_argument, arguments)])
    yield from (f"## {path}", "", f"`{usage}`", "")
    yield from _prose(command.help or "")
    if arguments:
        yield from ("", "| argument | |", "|---|---|")
        yield from (f"| `{_shown_argument(one)}` | {_cell(one.help)} |" for one in arguments)
    if options:
        yield from ("", *_option_table(options))


def _is_own(option: Any) -> bool:
    is_global = bool(_GLOBAL & set(option.opts)) and not option.expose_value
    return _HELP not in option.opts and not is_global and not option.hidden


def _shown_argument(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()).strip("[]")
    return name if argument.required else f"[{name}]"


def _option_table(options: list[Any]) -> Iterator[str]:
    yield from ("| option | |", "|---|---|")
    for option in options:
        value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
        names = ", ".join(f"`{name}{value}`" for name in option.opts)
        default = option.default
        suffix = "" if default in (None, False) or callable(default) else f" Default: `{default}`."
        yield f"| {names} | {_cell(option.help)}{suffix} |"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _prose(text: str) -> Iterator[str]:
    """Paragraphs as they are; indented lines, which are commands, in fences."""
    in_fence = False
    for line in text.strip().splitlines():
        is_command = line.startswith("  ")
        if not line.strip() and in_fence:
            continue
        if is_command != in_fence:
            yield from ("```sh",) if is_command else ("```", "")
            in_fence = is_command
        yield line.strip() if is_command else line
    if in_fence:
        yield "```"


def main() -> None:
    """Write every generated page below the working directory, which is the repository."""
    pages = (
        (PAGE, render_reference(app)),
        (CONFIGURATION_PAGE, render_configuration_reference()),
        (EVENTS_PAGE, render_events_page()),
        (ERRORS_PAGE, render_errors_page()),
    )
    for page, text in pages:
        Path(page).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{page}\n")


if __name__ == "__main__":
    main()
