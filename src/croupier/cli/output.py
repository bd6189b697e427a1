"""What commands print: one JSON document, or text for people; progress and complaints go to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from croupier.cli.settings import Settings, settings_of

# What others wrote must neither steer a terminal nor break a line of a table.
_CELL: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
_TEXT: Final = {code: shown for code, shown in _CELL.items() if chr(code) not in "\n\t"}
EXIT_FAILURE: Final = 1
EXIT_INVARIANT: Final = 3


class CommandFailed(Exception):
    """The command could not do its work; the text says why and what would help. Exit code 1."""


class Output:
    """Where a command's results go, as the global options want it."""

    __slots__ = ("_errors", "_out", "_settings")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._errors = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    @property
    def is_json(self) -> bool:
        return self._settings.is_json

    def document(self, name: str, body: Mapping[str, Any], *, version: int = 1) -> None:
        """Print the one JSON document of this run; `name` and `version` say what it looks like."""
        self._settings.has_document = True
        document = {"schema": {"name": f"croupier.{name}", "version": version}, **body}
        text = json.dumps(msgspec.to_builtins(document), indent=2, ensure_ascii=False)
        sys.stdout.write(text + "\n")

    def line(self, name: str, body: Mapping[str, Any], *, version: int = 1) -> None:
        """Print one of many JSON documents on a line of its own, for commands that go on until they are stopped."""
        self._settings.has_document = True
        document = {"schema": {"name": f"croupier.{name}", "version": version}, **body}
        sys.stdout.write(json.dumps(msgspec.to_builtins(document), ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """One line on stderr about the command itself, whatever the form of the result."""
        self._errors.print(Text(text.translate(_TEXT)))

    def say(self, text: str, style: str = "") -> None:
        """One line for people, unless the result is a JSON document; styled on a terminal only."""
        if not self.is_json:
            self._out.print(Text(text.translate(_TEXT), style=style))

    def complain(self, text: str) -> None:
        """One line on stderr, whatever the form of the result."""
        self._errors.print(Text(text.translate(_TEXT), style="red"))

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Rows for people: a table on a terminal, columns separated by tabs in a pipe."""
        if self.is_json:
            return
        shown = [[cell.translate(_CELL) for cell in row] for row in rows]
        if not self._out.is_terminal:
            for row in (headers, *shown):
                sys.stdout.write("\t".join(row) + "\n")
            return
        table = Table(*headers, box=None, pad_edge=False, header_style="bold")
        for row in shown:
            table.add_row(*(Text(cell) for cell in row))
        self._out.print(table)

    def facts(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Names and values, one pair a line."""
        shown = [(name, value) for name, value in pairs if value]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.say(f"{name:<{width}}  {value}")

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[[int, str], None]]:
        """A bar on stderr while something long runs, called with what is done and a word; none in a pipe."""
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns,
            TimeElapsedColumn(),
            console=self._errors,
            transient=True,
            disable=not self._errors.is_terminal,
        ) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done, word: bar.update(task, completed=done, description=f"{what} {word}".strip())


def output_of(ctx: typer.Context) -> Output:
    """The output of this run."""
    return Output(settings_of(ctx))
