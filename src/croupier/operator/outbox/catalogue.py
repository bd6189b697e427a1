"""The catalogue of events: a JSON Schema of each type, and the reference page made from them.

`python -m croupier.operator.outbox.catalogue` writes the page out.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from croupier.events import EVENT_TYPES, Envelope, EventData, render_event
from croupier.operator.outbox.samples import render_sample

PAGE: Final = "docs/reference/events.md"

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REF: Final = "#/$defs/"
_AT: Final = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)

_HEAD: Final = """\
# Events

Generated from the code by `python -m croupier.operator.outbox.catalogue`; do not edit.

Croupier tells the operator's systems what happened: each event is written in the transaction of its cause, so there is
one exactly when there is the other, and sent until it arrives. How to receive them, what *at least once* means and how
to rotate a secret is in [Receive events](../how-to/receive-events.md); endpoints are configured in
[`[[outbox.endpoints]]`](configuration.md#outboxendpoints).

An event is a JSON object with `type`, `timestamp` (when it was recorded, the same in every attempt) and `data`. Its id,
`evt_` and 32 hex digits, travels beside it: as `webhook-id` to endpoints, as `Nats-Msg-Id` to NATS.

Money is text of whole minor units beside its asset, ids are prefixed, times are RFC 3339 in UTC. Members are only ever
added, and new types may come: ignore what you do not know. `croupier events catalogue --json` prints the schemas below
(JSON Schema 2020-12), `croupier events trigger TYPE` sends a sample.

| type | when |
|---|---|
"""

_ORDER: Final = """
Over HTTP, events may arrive in any order and more than once. Over NATS, the events of one player, and so those of one
session, are stored in the order in which they happened.
"""


def render_schema(type_: str) -> dict[str, Any]:
    """The JSON Schema of one type's whole payload."""
    body: type[EventData] = EVENT_TYPES[type_]
    generated = msgspec.json.schema(Envelope[body])  # type: ignore[valid-type]
    definitions: dict[str, Any] = generated["$defs"]
    envelope = definitions.pop(generated["$ref"].removeprefix(_REF))
    envelope["properties"]["type"] = {"const": type_, **_described(envelope["properties"]["type"])}
    return {
        "$schema": _DIALECT,
        "$id": f"croupier/events/{type_}.json",
        "title": type_,
        "description": describe(type_),
        "type": "object",
        "properties": envelope["properties"],
        "required": envelope["required"],
        "$defs": definitions,
    }


def _described(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name == "description"}


def describe(type_: str) -> str:
    """When events of a type are written, in one or two sentences."""
    return " ".join((inspect.getdoc(EVENT_TYPES[type_]) or "").split())


def render_page() -> str:
    """The whole reference page as Markdown."""
    listed = "".join(f"| [`{type_}`](#{_anchor(type_)}) | {describe(type_)} |\n" for type_ in EVENT_TYPES)
    return _HEAD + listed + _ORDER + "".join(_render_type(type_) for type_ in EVENT_TYPES)


def _anchor(type_: str) -> str:
    return type_.replace(".", "")


def _render_type(type_: str) -> str:
    schema = render_schema(type_)
    data = schema["$defs"][schema["properties"]["data"]["$ref"].removeprefix(_REF)]
    rows = "".join(_rows(data, schema["$defs"]))
    sample = json.loads(render_event(type_, _AT, render_sample(type_, _AT)))
    return (
        f"\n## {type_}\n\n{describe(type_)}\n\n"
        f"| member of `data` | value | meaning |\n|---|---|---|\n{rows}\n"
        f"```json\n{json.dumps(sample, indent=2)}\n```\n\n"
        f"<details><summary>JSON Schema</summary>\n\n```json\n{json.dumps(schema, indent=2)}\n```\n\n</details>\n"
    )


def _rows(data: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, schema in data["properties"].items():
        nested = _nested(schema, definitions)
        meaning = _meaning(schema, nested).replace("|", "\\|")
        yield f"| `{prefix}{name}` | {_value(schema)} | {meaning} |\n"
        if nested is not None:
            is_list = schema.get("type") == "array"
            yield from _rows(nested, definitions, f"{prefix}{name}{'[]' if is_list else ''}.")


def _nested(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    target = schema.get("$ref") or schema.get("items", {}).get("$ref")
    return None if target is None else definitions[target.removeprefix(_REF)]


def _meaning(schema: Mapping[str, Any], nested: Mapping[str, Any] | None) -> str:
    given = schema.get("description")
    if given is None and "anyOf" in schema:
        given = next((one["description"] for one in schema["anyOf"] if "description" in one), None)
    return str(given or (nested or {}).get("description", ""))


def _value(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_value(one) for one in schema["anyOf"])
    if schema.get("format") == "date-time":
        return "time"
    if schema.get("pattern", "").startswith("^(0|"):
        return "minor units"
    if "pattern" in schema:
        return f"`{schema['pattern'][1:5]}…`"
    return {"string": "text", "integer": "number", "array": "list", None: "object"}.get(
        schema.get("type"), str(schema.get("type"))
    )


if __name__ == "__main__":
    sys.stdout.write(render_page())
