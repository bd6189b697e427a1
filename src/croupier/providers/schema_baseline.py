"""The schemas of an adapter that count as given out, kept beside `schemas/` so that no change goes unnoticed.

`python -m croupier.providers.schema_baseline ADAPTER` keeps the current schemas. Changes that are risky or
breaking are kept only with a decision, which stays in the file. A new version of a protocol needs none: it is
a new folder with a baseline of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from croupier.providers import adapters
from croupier.providers.schemas.classify import find_changes, worst_of
from croupier.providers.schemas.files import BASELINE_SCHEMA, read_json, read_schemas
from croupier.providers.schemas.model import Change, Schema, SchemaUnreadable, Severity

ADAPTERS_FOLDER: Final = Path(str(adapters.__file__)).parent
SCHEMAS: Final = "schemas"
BASELINE: Final = "released_schemas.json"
COMMAND: Final = "python -m croupier.providers.schema_baseline"

_ENCODER: Final = msgspec.json.Encoder(order="sorted", decimal_format="number")


def adapters_with_schemas(root: Path = ADAPTERS_FOLDER) -> tuple[Path, ...]:
    """The folders of adapters that hold schemas, or held them when their baseline was written."""
    holders = {path.parent for name in (SCHEMAS, BASELINE) for path in root.glob(f"*/{name}")}
    return tuple(sorted(holders))


def find_baseline_problem(folder: Path) -> str | None:
    """What must be done before an adapter's schemas may land, in words that name the command; None: nothing.

    Raises SchemaUnreadable.
    """
    command = f"{COMMAND} {folder.name}"
    if not (folder / BASELINE).exists():
        return f"{folder.name} has no baseline of its schemas: write it with `{command}`"
    old, new = read_schemas(folder / BASELINE), _current(folder)
    changes = find_changes(old, new)
    told = "\n".join(f"  {_line(change)}" for change in changes)
    if worst_of(changes) is not Severity.SAFE:
        return (
            f"{folder.name}: its schemas changed in ways that can hurt a provider in production:\n{told}\n"
            f"Make a new adapter version (a new folder), or accept it on purpose:\n"
            f'  {command} --decision "why, and who was told"'
        )
    if changes:
        return f"{folder.name}: its baseline is behind by safe changes:\n{told}\nKeep them with `{command}`"
    return None


def write_baseline(folder: Path, decision: str = "") -> tuple[Change, ...]:
    """Keep an adapter's schemas as its baseline; the changes since the last one.

    Raises SchemaUnreadable, and DecisionMissing when a change is not safe and no decision is given.
    """
    new, path = _current(folder), folder / BASELINE
    changes: tuple[Change, ...] = ()
    accepted: list[Any] = []
    if path.exists():
        changes = find_changes(read_schemas(path), new)
        accepted = list(read_json(path).get("accepted", []))
    grave = [_line(change) for change in changes if change.severity is not Severity.SAFE]
    if grave and not decision.strip():
        raise DecisionMissing(grave)
    if grave:
        accepted.append({"decision": decision.strip(), "changes": grave})
    path.write_bytes(render_baseline(folder.name, new, accepted))
    return changes


class DecisionMissing(Exception):
    """The changes are risky or breaking, and nobody said why they are accepted."""

    def __init__(self, changes: Sequence[str]) -> None:
        told = "\n".join(f"  {change}" for change in changes)
        super().__init__(f'these changes need --decision "why, and who was told":\n{told}')


def render_baseline(adapter: str, schemas: Mapping[str, Schema], accepted: Sequence[Any]) -> bytes:
    """The file's content: every schema by its name, and the decisions that changed them."""
    document = {
        "schema": BASELINE_SCHEMA,
        "adapter": adapter,
        "accepted": accepted,
        "schemas": {name: schema.document for name, schema in schemas.items()},
    }
    return msgspec.json.format(_ENCODER.encode(document), indent=2) + b"\n"


def _current(folder: Path) -> dict[str, Schema]:
    return read_schemas(folder / SCHEMAS) if (folder / SCHEMAS).is_dir() else {}


def _line(change: Change) -> str:
    return f"{change.severity}: {change.file} {change.path}: {change.what}"


def main(arguments: Sequence[str] | None = None, root: Path = ADAPTERS_FOLDER) -> int:
    """Write the baseline of an adapter. Exit codes: 0 written, 1 refused, 2 usage."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Keep an adapter's schemas as its baseline.")
    parser.add_argument("adapter", help="the adapter's folder, such as croupier_v1")
    parser.add_argument("--decision", default="", help="why risky or breaking changes are accepted")
    given = parser.parse_args(arguments)
    if given.adapter not in {folder.name for folder in adapters_with_schemas(root)}:
        parser.error(f"there is no adapter {given.adapter!r} with a folder {SCHEMAS}/")
    try:
        changes = write_baseline(root / given.adapter, given.decision)
    except (DecisionMissing, SchemaUnreadable) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    told = "".join(f"{_line(change)}\n" for change in changes)
    sys.stdout.write(f"{told}{given.adapter}/{BASELINE} holds the current schemas\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
