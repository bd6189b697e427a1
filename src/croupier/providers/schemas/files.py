"""Schemas as they lie on disk: one file, a folder of them, or an adapter's baseline document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from croupier.providers.schemas.model import (
    DEFAULT_DIRECTION,
    DIRECTION_MEMBER,
    Direction,
    Schema,
    SchemaUnreadable,
)

BASELINE_SCHEMA: Final = {"name": "croupier.schema-baseline", "version": 1}
"""How a baseline document names itself under `schema`."""

LARGEST_FILE_BYTES: Final = 4 * 1024 * 1024
MOST_FILES: Final = 1000
DEEPEST: Final = 64
_LONGEST_INTEGER: Final = 64


def read_schemas(path: Path) -> dict[str, Schema]:
    """The schemas of a file, of a folder (every `*.json` in it, at any depth) or of a baseline document.

    A single schema has the name of its file, those of a folder their path in it, those of a baseline the
    names they were kept under. Raises SchemaUnreadable.
    """
    if path.is_dir():
        return _read_folder(path)
    document = read_json(path)
    if isinstance(document, Mapping) and document.get("schema") == BASELINE_SCHEMA:
        kept = document.get("schemas")
        if not isinstance(kept, Mapping):
            raise SchemaUnreadable(f"{path}: a baseline holds an object `schemas`")
        return {name: parse_schema(name, schema) for name, schema in kept.items()}
    return {path.name: parse_schema(path.name, document)}


def read_pair(old: Path, new: Path) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """The schemas of both sides; two single files are one schema, whatever they are called.

    Raises SchemaUnreadable, also for a single schema on one side and several on the other.
    """
    before, after = read_schemas(old), read_schemas(new)
    is_single = [
        not path.is_dir() and list(read) == [path.name] for path, read in ((old, before), (new, after))
    ]
    if is_single[0] != is_single[1]:
        raise SchemaUnreadable(f"{old} and {new} are a schema and a folder of schemas: give two of a kind")
    if is_single[0]:
        (schema,) = before.values()
        before = {new.name: msgspec.structs.replace(schema, name=new.name)}
    return before, after


def _read_folder(folder: Path) -> dict[str, Schema]:
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise SchemaUnreadable(f"{folder} holds no *.json file")
    if len(paths) > MOST_FILES:
        raise SchemaUnreadable(f"{folder} holds more than {MOST_FILES} files")
    names = ((path.relative_to(folder).as_posix(), path) for path in paths)
    return {name: parse_schema(name, read_json(path)) for name, path in names}


def read_json(path: Path) -> Any:
    """A JSON document with exact numbers; SchemaUnreadable for anything else, repeated names included."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise SchemaUnreadable(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > LARGEST_FILE_BYTES:
        raise SchemaUnreadable(f"{path} is larger than {LARGEST_FILE_BYTES} bytes")
    try:
        return json.loads(content, parse_float=_number, parse_constant=_refuse, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise SchemaUnreadable(f"{path} is not JSON: {error}") from error


def parse_schema(name: str, document: Any) -> Schema:
    """A schema with its direction; SchemaUnreadable when it is none, or nested deeper than 64 levels."""
    if not isinstance(document, Mapping | bool):
        raise SchemaUnreadable(f"{name}: a schema is an object, or true or false")
    if _depth(document) > DEEPEST:
        raise SchemaUnreadable(f"{name} is nested deeper than {DEEPEST} levels")
    said = document.get(DIRECTION_MEMBER) if isinstance(document, Mapping) else None
    if said is None:
        return Schema(name, document, DEFAULT_DIRECTION, False)
    if said not in list(Direction):
        raise SchemaUnreadable(f"{name}: {DIRECTION_MEMBER} is inbound or outbound, not {said!r}")
    return Schema(name, document, Direction(said), True)


def _depth(document: Any) -> int:
    deepest, waiting = 0, [(document, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        if depth > DEEPEST:
            break
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        waiting += [(child, depth + 1) for child in inner]
    return deepest


def _number(text: str) -> int | Decimal:
    number = Decimal(text)
    is_whole = number.is_finite() and abs(number.adjusted()) < _LONGEST_INTEGER and number == int(number)
    return int(number) if is_whole else number


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the member {twice!r} is given twice")
    return members
