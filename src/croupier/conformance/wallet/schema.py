"""Judges JSON by the contract's schemas: the few keywords of JSON Schema 2020-12 that they use, and no others."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

KEYWORDS: Final = frozenset(
    {
        "$ref", "$defs", "$schema", "title", "description", "type", "const", "enum", "pattern", "minLength",
        "maxLength", "minimum", "maximum", "minItems", "maxItems", "items", "required", "properties", "anyOf",
        "allOf",
    }
)  # fmt: skip
"""What a schema of the contract may say; a test refuses any other word in the files."""

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}

Schema = Mapping[str, Any]


class NotJson(ValueError):
    """The bytes are no JSON that everybody reads alike; the text says why."""


def parse_strictly(body: bytes) -> Any:
    """A JSON document in UTF-8; NotJson for a repeated key, NaN, Infinity and whatever is no JSON."""

    def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise NotJson("a member stands there twice")
        return dict(pairs)

    def refuse(word: str) -> Any:
        raise NotJson(f"{word} is no JSON")

    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=once, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from None


class Schemas:
    """The schemas by file name without `.json`, which reference each other by file name."""

    def __init__(self, documents: Mapping[str, Schema]) -> None:
        self._documents = documents

    def find_flaws(self, name: str, value: Any) -> list[str]:
        """What is wrong with a value by one schema, each flaw with its place; none when it fits."""
        return list(self._judge(self._documents[name], name, value, "the body"))

    def _judge(self, schema: Schema, home: str, value: Any, where: str) -> Iterator[str]:
        if "$ref" in schema:
            there, target = self._follow(schema["$ref"], home)
            yield from self._judge(target, there, value, where)
        for part in schema.get("allOf", ()):
            yield from self._judge(part, home, value, where)
        if "anyOf" in schema:
            tried = [list(self._judge(part, home, value, where)) for part in schema["anyOf"]]
            if all(tried):
                # The form that is nearest to what came is the one that was meant.
                yield from min(tried, key=_distance)
        yield from _judge_value(schema, value, where)
        if isinstance(value, dict):
            for name in schema.get("required", ()):
                if name not in value:
                    yield f"{where} has no `{name}`"
            for name, part in schema.get("properties", {}).items():
                if name in value:
                    yield from self._judge(part, home, value[name], f"{where}, `{name}`")
        if isinstance(value, list) and "items" in schema:
            for position, item in enumerate(value):
                yield from self._judge(schema["items"], home, item, f"{where}, item {position}")

    def _follow(self, reference: str, home: str) -> tuple[str, Schema]:
        file, _, pointer = reference.partition("#")
        there = file.removesuffix(".json") or home
        found: Any = self._documents[there]
        for step in filter(None, pointer.split("/")):
            found = found[step]
        return there, found


def _distance(flaws: Sequence[str]) -> tuple[bool, int]:
    """Another `status` or `operation` is another form altogether."""
    is_other = any(" `status` is " in flaw or "`operation` is " in flaw for flaw in flaws)
    return is_other, len(flaws)


def _judge_value(schema: Schema, value: Any, where: str) -> Iterator[str]:
    kinds = schema.get("type", ())
    names = [kinds] if isinstance(kinds, str) else kinds
    if names and not any(_is_of(value, name) for name in names):
        yield f"{where} is {_shown(value)}, not {' or '.join(names)}"
        return
    if "const" in schema and not _is_same(value, schema["const"]):
        yield f"{where} is {_shown(value)}, not {_shown(schema['const'])}"
    if "enum" in schema and not any(_is_same(value, one) for one in schema["enum"]):
        yield f"{where} is {_shown(value)}, none of {', '.join(schema['enum'])}"
    if isinstance(value, str):
        yield from _judge_text(schema, value, where)
    if isinstance(value, list):
        yield from _judge_size(schema, len(value), where, ("minItems", "maxItems"), "items")
    if isinstance(value, int) and not isinstance(value, bool):
        yield from _judge_size(schema, value, where, ("minimum", "maximum"), "")


def _judge_text(schema: Schema, value: str, where: str) -> Iterator[str]:
    pattern = schema.get("pattern")
    # In Python `$` also stands before a last line break, in JSON Schema it does not.
    if pattern is not None and re.search(re.sub(r"\$$", r"\\Z", pattern), value) is None:
        yield f"{where} is {_shown(value)}, not of the form {pattern}"
    yield from _judge_size(schema, len(value), where, ("minLength", "maxLength"), "characters")


def _judge_size(schema: Schema, size: int, where: str, names: tuple[str, str], unit: str) -> Iterator[str]:
    least, most = (schema.get(name) for name in names)
    if least is not None and size < least:
        yield f"{where} has {size} {unit}, fewer than {least}".replace("  ", " ")
    if most is not None and size > most:
        yield f"{where} has {size} {unit}, more than {most}".replace("  ", " ")


def _is_of(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    return isinstance(value, _TYPES[name])


def _is_same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and bool(value == other)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}…"
