"""`croupier provider schema-diff`: what a change of schemas would break, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from croupier.cli.output import EXIT_FAILURE, Output, output_of
from croupier.providers.schemas.classify import find_changes, worst_of
from croupier.providers.schemas.files import read_pair
from croupier.providers.schemas.model import DEFAULT_DIRECTION, Change, Schema, SchemaUnreadable, Severity


class Allowed(StrEnum):
    """The gravest class that still passes."""

    SAFE = "safe"
    RISKY = "risky"


Side = Annotated[
    Path, typer.Argument(exists=True, readable=True, help="A JSON Schema, a folder of them, or a baseline.")
]


def schema_diff(
    ctx: typer.Context,
    old: Side,
    new: Side,
    allow: Annotated[
        Allowed, typer.Option(metavar="CLASS", help="Gravest class that still passes: safe or risky.")
    ] = Allowed.SAFE,
) -> None:
    """Tell every change from OLD to NEW as safe, risky or breaking.

    A schema says with `x-direction` at its root who writes the bodies: `inbound` the provider, `outbound` we.
    Without it, inbound counts. Exit code 1 when a change is graver than --allow.

    Examples:

      croupier provider schema-diff released/bet.json bet.json

      croupier provider schema-diff old/schemas new/schemas --allow risky --json
    """
    try:
        before, after = read_pair(old, new)
        changes = find_changes(before, after)
    except SchemaUnreadable as error:
        raise typer.BadParameter(str(error)) from error
    has_passed = worst_of(changes).rank <= Severity(allow).rank
    output = output_of(ctx)
    if output.is_json:
        output.document("schema-diff", _document(before | after, changes, has_passed=has_passed))
    else:
        _show(output, before | after, changes)
    if not has_passed:
        raise typer.Exit(EXIT_FAILURE)


def _document(
    schemas: Mapping[str, Schema], changes: Iterable[Change], *, has_passed: bool
) -> dict[str, object]:
    files = [
        {"file": name, "direction": schema.direction, "is_declared": schema.is_declared}
        for name, schema in sorted(schemas.items())
    ]
    return {"passed": has_passed, "counts": _counts(changes), "files": files, "changes": list(changes)}


def _counts(changes: Iterable[Change]) -> dict[Severity, int]:
    counted = Counter(change.severity for change in changes)
    return {severity: counted[severity] for severity in Severity}


def _show(output: Output, schemas: Mapping[str, Schema], changes: tuple[Change, ...]) -> None:
    ordered = sorted(changes, key=lambda change: -change.severity.rank)
    if ordered:
        headers = ("class", "file", "path", "what changed", "why", "what to do")
        output.table(headers, ([*map(_cell, _row(change))] for change in ordered))
    told = ", ".join(f"{count} {severity}" for severity, count in _counts(changes).items() if count)
    output.say(told or "nothing changed")
    undeclared = sorted(name for name, schema in schemas.items() if not schema.is_declared)
    if undeclared:
        output.say(f"{DEFAULT_DIRECTION} by default, no x-direction: {', '.join(undeclared)}")


def _row(change: Change) -> tuple[str, ...]:
    file = f"{change.file} ({change.direction})"
    return (change.severity, file, change.path, change.what, change.why, change.advice)


def _cell(text: str) -> str:
    """One line without control characters, whatever a schema holds."""
    return "".join(character if character.isprintable() else " " for character in text)
