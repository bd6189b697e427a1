"""The JSON Schemas in `schemas/`, made from the wire structs; a test checks that they are current."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from croupier.providers.adapters.croupier_v1 import wire

SCHEMAS: Final[dict[str, Any]] = {
    "balance": wire.BalanceBody,
    "bet": wire.BetBody,
    "win": wire.WinBody,
    "bet-win": wire.BetWinBody,
    "rollback": wire.RollbackBody,
    "close-round": wire.CloseRoundBody,
    "reply": wire.ReplyBody,
    "bet-win-reply": wire.BetWinReplyBody,
    "launch": wire.LaunchBody,
    "launch-reply": wire.LaunchReplyBody,
}
SCHEMA_FOLDER: Final = Path(__file__).parent / "schemas"


def render_schemas() -> dict[str, str]:
    """The text of every file in `schemas/`, by its name."""
    return {f"{name}.json": _render_schema(name, body) for name, body in SCHEMAS.items()}


def _render_schema(name: str, body: Any) -> str:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"croupier_v1/{name}.json",
        **msgspec.json.schema(body),
    }
    return msgspec.json.format(msgspec.json.encode(schema, order="deterministic"), indent=2).decode() + "\n"


def write_schemas() -> None:
    """Write `schemas/` anew: `python -m croupier.providers.adapters.croupier_v1.wire_schemas`."""
    SCHEMA_FOLDER.mkdir(exist_ok=True)
    for name, text in render_schemas().items():
        (SCHEMA_FOLDER / name).write_text(text)


if __name__ == "__main__":
    write_schemas()
