"""The JSON Schemas of every adapter, made from its wire structs: `python -m croupier.providers.wire_schemas`.

Each adapter lists its bodies in `wire_schemas.py`; the files in its `schemas/` are written here, and a test checks
that they are current.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from croupier.providers.registry import find_adapters

INBOUND: Final = "inbound"
OUTBOUND: Final = "outbound"

_ADAPTERS: Final = "croupier.providers.adapters"
_FOLDER: Final = Path(__file__).parent / "adapters"


class Wire(Struct, frozen=True):
    """A body on the wire: its struct, and whether the provider sends it to us (`inbound`) or we to it."""

    body: Any
    direction: str = INBOUND


def schema_folder(adapter: str) -> Path:
    """Where an adapter's schemas are."""
    return _FOLDER / adapter / "schemas"


def render_schemas(adapter: str) -> dict[str, str]:
    """The text of every file in an adapter's `schemas/`, by its name."""
    wires: Mapping[str, Wire] = import_module(f"{_ADAPTERS}.{adapter}.wire_schemas").SCHEMAS
    return {f"{name}.json": _render(adapter, name, wire) for name, wire in wires.items()}


def _render(adapter: str, name: str, wire: Wire) -> str:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{adapter}/{name}.json",
        "x-direction": wire.direction,
        **msgspec.json.schema(wire.body),
    }
    return msgspec.json.format(msgspec.json.encode(schema, order="deterministic"), indent=2).decode() + "\n"


def write_schemas() -> None:
    """Write every adapter's schemas anew."""
    for adapter in find_adapters():
        folder = schema_folder(adapter)
        folder.mkdir(exist_ok=True)
        for name, text in render_schemas(adapter).items():
            (folder / name).write_text(text)


if __name__ == "__main__":
    write_schemas()
