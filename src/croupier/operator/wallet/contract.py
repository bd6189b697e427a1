"""The machine-readable half of the wallet contract: its JSON Schemas, its OpenAPI document and its examples."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

FOLDER: Final = files(__package__).joinpath("schemas")
OPENAPI: Final = "wallet-contract.openapi.json"
EXAMPLES: Final = "examples.json"


@cache
def contract_files() -> dict[str, bytes]:
    """Every file by its name: schemas, the OpenAPI document and the examples."""
    return {
        entry.name: entry.read_bytes()
        for entry in sorted(FOLDER.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(".json")
    }


def read_schemas() -> dict[str, dict[str, Any]]:
    """The schemas by their file's name without `.json`; they refer to each other by file name."""
    return {
        name.removesuffix(".json"): json.loads(text)
        for name, text in contract_files().items()
        if name not in (OPENAPI, EXAMPLES)
    }


def read_examples() -> list[dict[str, Any]]:
    """Calls as they go over the wire: `name`, `path`, `request`, `status` and `reply` of each."""
    examples: list[dict[str, Any]] = json.loads(contract_files()[EXAMPLES])["examples"]
    return examples


def render_openapi() -> dict[str, Any]:
    """The OpenAPI document with every schema inside, so that it can be used alone."""
    document: dict[str, Any] = json.loads(contract_files()[OPENAPI])
    schemas = read_schemas()
    inside = {
        name: _moved({key: value for key, value in schema.items() if key != "$schema"}, name)
        for name, schema in schemas.items()
    }
    bundled: dict[str, Any] = _moved(document, None)
    bundled["components"]["schemas"] = inside
    return bundled


def _moved(node: Any, home: str | None) -> Any:
    """The same with references to files, and to the schema's own parts, turned to where they stand now."""
    if isinstance(node, list):
        return [_moved(one, home) for one in node]
    if not isinstance(node, dict):
        return node
    moved = {key: _moved(value, home) for key, value in node.items()}
    reference = node.get("$ref")
    if isinstance(reference, str):
        file, _, pointer = reference.partition("#")
        there = file.removesuffix(".json") or home
        if there is not None:
            moved["$ref"] = f"#/components/schemas/{there}{pointer}"
    return moved
