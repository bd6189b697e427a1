"""A schema node as the alternatives it allows, each of one type: references followed, combinations opened.

`{"type": ["string", "null"]}`, `anyOf` of the two and a `$ref` to either are then the same thing, so that a
comparison sees what a change means instead of how it is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote

from croupier.providers.schemas.model import DIRECTION_MEMBER, SchemaUnreadable

Shape = dict[str, Any]
"""The keywords of one alternative: `type` is one name or absent (any type), `const` is an `enum` of one."""

ANNOTATIONS: Final = ("title", "description", "examples", "$comment", "deprecated")
WRITING: Final = ("$schema", "$id", "$defs", "definitions", DIRECTION_MEMBER)
"""Members of the root that say nothing about bodies by themselves."""

MOST_ALTERNATIVES: Final = 64
MOST_OPENED: Final = 100_000
"""How many nodes of one document are opened before it counts as too large; references can multiply them."""

_DATA: Final = frozenset({"enum", "const", "default", "examples"})
_TYPES: Final = ("string", "integer", "number", "boolean", "null", "object", "array")
_OBJECT: Final = frozenset(
    {"properties", "additionalProperties", "patternProperties", "unevaluatedProperties"}
)
_ARRAY: Final = frozenset({"prefixItems", "items", "additionalItems", "unevaluatedItems"})
_CONDITION: Final = frozenset({"if", "then", "else"})
_CONTAINS: Final = frozenset({"contains", "minContains", "maxContains"})
_TIED: Final = (_OBJECT, _ARRAY, _CONDITION, _CONTAINS)
"""Keywords whose meaning hangs on their neighbours in the same object."""

_ONLY_FOR: Final = {
    "minLength": ("string",),
    "maxLength": ("string",),
    "pattern": ("string",),
    "contentEncoding": ("string",),
    "contentMediaType": ("string",),
    "format": ("string", "integer", "number"),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), ("integer", "number")
    ),
    **dict.fromkeys((*_OBJECT, "required", "minProperties", "maxProperties"), ("object",)),
    **dict.fromkeys((*_ARRAY, "minItems", "maxItems", "uniqueItems"), ("array",)),
}


_EXACT: Final = re.compile(r'"\\u0000([^"]*)"')
_LISTS: Final = ("required", "prefixItems", "enum")


class NotOpened(Exception):
    """This node combines schemas in a way that is not followed; the text says which."""


def text_of(value: Any) -> str:
    """JSON text in which equal values are equal texts, whatever the order of members."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=_exact)


def _exact(value: object) -> str:
    # A decimal becomes a text that no JSON string of a schema is likely to equal.
    return f"\x00{value}" if isinstance(value, Decimal) else repr(value)


def shown_of(value: Any) -> str:
    """JSON text for people."""
    return _EXACT.sub(r"\1", text_of(value))


class Reader:
    """One schema document, with its references resolved and its nodes opened into alternatives."""

    __slots__ = ("_follows", "_opened_count", "root")

    def __init__(self, document: Any) -> None:
        self.root = document
        self._opened_count = 0
        # A nested `$id` moves what `#/…` points at.
        self._follows = not any("$id" in node for node in _nodes_below(document))

    def target_of(self, reference: Any) -> Any:
        """What a reference within the document points at; NotOpened for any other, or one that is no text.

        Raises SchemaUnreadable when it leads nowhere.
        """
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise NotOpened(f"the reference {reference!r} leaves the document")
        if not self._follows:
            raise NotOpened("references in a document with several `$id` are not followed")
        node = self.root
        for part in reference.split("/")[1:]:
            node = _child(node, unquote(part).replace("~1", "/").replace("~0", "~"), reference)
        return node

    def shapes(self, node: Any) -> list[Shape]:
        """The alternatives of a node; none for `false`. NotOpened when there are more than 64."""
        return self._opened(node, ())

    def _opened(self, node: Any, trail: tuple[str, ...]) -> list[Shape]:
        self._opened_count += 1
        if self._opened_count > MOST_OPENED:
            raise SchemaUnreadable("its references multiply it beyond what is compared")
        if isinstance(node, bool):
            return [{}] if node else []
        if not isinstance(node, Mapping):
            raise SchemaUnreadable(f"{text_of(node)[:60]} stands where a schema is expected")
        _check_form(node)
        plain = dict(node)
        unions = list(self._unions(plain, trail))
        if node is self.root:
            plain = {key: value for key, value in plain.items() if key not in WRITING}
        shapes = list(_single_types(plain))
        for union in unions:
            shapes = [
                both for one in shapes for other in union if (both := _conjoined(one, other)) is not None
            ]
            if len(shapes) > MOST_ALTERNATIVES:
                raise NotOpened(f"it has more than {MOST_ALTERNATIVES} alternatives")
        return shapes

    def _unions(self, plain: Shape, trail: tuple[str, ...]) -> Iterator[list[Shape]]:
        """What else a node must match; what was opened is taken out of `plain`, the rest stays a keyword."""
        if "$ref" in plain:
            reference = plain.pop("$ref")
            target = self.target_of(reference)
            if reference in trail:
                raise SchemaUnreadable(f"the reference {reference} leads to itself")
            yield self._opened(target, (*trail, reference))
        for branch in _branches(plain.pop("allOf", None), "allOf"):
            yield self._opened(branch, trail)
        if "anyOf" in plain:
            branches = _branches(plain.pop("anyOf"), "anyOf")
            yield [shape for branch in branches for shape in self._opened(branch, trail)]
        if "oneOf" in plain:
            opened = [self._opened(branch, trail) for branch in _branches(plain["oneOf"], "oneOf")]
            if _exclude_each_other(opened):
                del plain["oneOf"]
                yield [shape for shapes in opened for shape in shapes]


def _nodes_below(document: Any) -> Iterator[Mapping[str, Any]]:
    """Every schema object but the root; what stands under data keywords is no schema."""
    waiting = list(document.items()) if isinstance(document, Mapping) else []
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, Mapping) and key not in _DATA:
            yield {name: child for name, child in value.items() if isinstance(child, str)}
            waiting += value.items()
        elif isinstance(value, list) and key not in _DATA:
            waiting += [("", child) for child in value]


def _check_form(node: Mapping[str, Any]) -> None:
    for key in _LISTS:
        if not isinstance(node.get(key, []), list):
            raise SchemaUnreadable(f"{key} is a list, not {shown_of(node[key])[:60]}")
    if not isinstance(node.get("properties", {}), Mapping):
        raise SchemaUnreadable("properties is an object")
    if not all(isinstance(name, str) for name in node.get("required", ())):
        raise SchemaUnreadable("required is a list of names")


def _child(node: Any, name: str, reference: str) -> Any:
    if isinstance(node, Mapping) and name in node:
        return node[name]
    if isinstance(node, list) and name.isascii() and name.isdigit() and int(name) < len(node):
        return node[int(name)]
    raise SchemaUnreadable(f"the reference {reference} leads nowhere")


def _branches(value: Any, keyword: str) -> Sequence[Any]:
    if value is None and keyword == "allOf":
        return ()
    if not isinstance(value, list) or not value:
        raise SchemaUnreadable(f"{keyword} is a list of schemas")
    return value


def _single_types(plain: Shape) -> Iterator[Shape]:
    """A node without combinations as one shape for each of its types; a keyword goes where it counts."""
    if "const" in plain:
        const = plain.pop("const")
        plain["enum"] = [value for value in plain.get("enum", [const]) if text_of(value) == text_of(const)]
    values = plain.get("enum")
    types = _types_of(plain)
    if types is None:
        yield plain
        return
    for name in types:
        shape = {key: value for key, value in plain.items() if name in _ONLY_FOR.get(key, _TYPES)}
        shape["type"] = name
        if values is not None:
            shape["enum"] = [value for value in values if _is_of(value, name)]
            if not shape["enum"]:
                continue
        if name == "null":
            shape.pop("enum", None)
        yield shape


def _types_of(plain: Shape) -> list[str] | None:
    if "type" in plain:
        said = plain["type"]
        names = said if isinstance(said, list) else [said]
        if not names or not all(name in _TYPES for name in names):
            raise SchemaUnreadable(f"{text_of(said)} is no type")
    elif "enum" in plain:
        names = [_narrowest_type(value) for value in plain["enum"]]
    else:
        return None
    return [name for name in _TYPES if name in names and not (name == "integer" and "number" in names)]


def _is_of(value: Any, name: str) -> bool:
    narrowest = _narrowest_type(value)
    return name == narrowest or (name == "number" and narrowest == "integer")


def _narrowest_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {int: "integer", Decimal: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _conjoined(one: Shape, other: Shape) -> Shape | None:
    """What matches both; None when nothing does. What cannot be joined is kept as a keyword `allOf`."""
    types = {shape["type"] for shape in (one, other) if "type" in shape}
    if len(types) == 2 and types != {"integer", "number"}:
        return None
    both = {**other, **one}
    if types:
        both["type"] = "integer" if len(types) == 2 else types.pop()
    for key in (one.keys() & other.keys()) - {"type"}:
        if key in (*ANNOTATIONS, "default"):
            both[key] = _kept(one[key], other[key])
        elif key == "required":
            both[key] = [*one[key], *other[key]]
        elif text_of(one[key]) != text_of(other[key]):
            return _unjoined(one, other, both)
    if any(tied & one.keys() and tied & other.keys() for tied in _TIED):
        return _unjoined(one, other, both)
    name = both.get("type")
    return {key: value for key, value in both.items() if name is None or name in _ONLY_FOR.get(key, _TYPES)}


def _kept(one: Any, other: Any) -> Any:
    return one if text_of(one) == text_of(other) else [one, other]


def _unjoined(one: Shape, other: Shape, both: Shape) -> Shape:
    kept = {key: both[key] for key in ("type",) if key in both}
    return kept | {"allOf": [one, other]}


def _exclude_each_other(alternatives: Sequence[Iterable[Shape]]) -> bool:
    """Whether no body can match two of them, by type, value, or the value of a required member."""
    flat = [(number, shape) for number, shapes in enumerate(alternatives) for shape in shapes]
    pairs = ((one, two) for at, (n, one) in enumerate(flat) for m, two in flat[at + 1 :] if n != m)
    return all(are_apart(one, two) for one, two in pairs)


def are_apart(one: Shape, two: Shape) -> bool:
    """Whether no body can match both, as far as types and listed values tell."""
    if "type" not in one or "type" not in two:
        return False
    if one["type"] != two["type"]:
        return {one["type"], two["type"]} != {"integer", "number"}
    if _values_apart(one, two):
        return True
    shared = set(one.get("required", ())) & set(two.get("required", ()))
    return any(_values_apart(_member(one, name), _member(two, name)) for name in shared)


def _member(shape: Shape, name: str) -> Mapping[str, Any]:
    member = shape.get("properties", {}).get(name, {})
    return member if isinstance(member, Mapping) else {}


def _values_apart(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    first, second = ({text_of(value) for value in _values(node)} for node in (one, two))
    return bool(first and second) and not first & second


def _values(node: Mapping[str, Any]) -> list[Any]:
    return [node["const"]] if "const" in node else node.get("enum", [])
