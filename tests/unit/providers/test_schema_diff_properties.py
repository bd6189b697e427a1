"""Generated schemas: equal ones differ in nothing, every single mutation is found, a validator never disagrees."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from croupier.providers.schemas.classify import RULES, find_changes
from croupier.providers.schemas.files import parse_schema
from croupier.providers.schemas.model import Kind, Severity

Node = dict[str, Any]

NAMES = ("a", "b", "c")
WORDS = ("", "x", "xx", "yyy", "zzzz")

names = st.lists(st.sampled_from(NAMES), unique=True, max_size=3)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 8) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)


def some_of(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Node]:
    return st.fixed_dictionaries({}, optional=keywords)


strings = some_of(
    minLength=st.integers(0, 3),
    maxLength=st.integers(0, 4),
    pattern=st.sampled_from(["^x", "y", "^z*$"]),
    enum=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True),
).map(lambda node: {"type": "string"} | node)
numbers = st.builds(
    lambda name, node: {"type": name} | node,
    st.sampled_from(["integer", "number"]),
    some_of(
        minimum=st.integers(-2, 3), exclusiveMaximum=st.integers(3, 8), multipleOf=st.integers(1, 4),
        const=st.integers(0, 3),
    ),
)  # fmt: skip
plain = st.sampled_from([{}, {"type": "null"}, {"type": "boolean"}, {"const": "x"}, {"enum": ["x", None, 1]}])
typed = st.lists(st.sampled_from(["string", "null", "integer", "object"]), min_size=1, unique=True).map(
    lambda names: {"type": names, "maxLength": 2}
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Node]:
    branches = st.lists(inner, min_size=1, max_size=3)
    objects = some_of(
        properties=st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        required=names,
        additionalProperties=st.booleans() | inner,
        maxProperties=st.integers(0, 3),
    ).map(lambda node: {"type": "object"} | node)
    arrays = some_of(
        items=st.booleans() | inner,
        prefixItems=st.lists(inner, min_size=1, max_size=2),
        maxItems=st.integers(0, 3),
        uniqueItems=st.booleans(),
    ).map(lambda node: {"type": "array"} | node)
    combined = st.one_of(
        *(branches.map(lambda found, key=key: {key: found}) for key in ("anyOf", "oneOf", "allOf")),
        inner.map(lambda node: {"not": node}),
        st.builds(lambda node, found: node | {"anyOf": found}, objects, branches),
        st.builds(lambda node: {"$ref": "#/$defs/D", "$comment": "x"} | node, some_of(maxLength=st.just(2))),
        st.builds(lambda node: {"properties": {"a": node}, "required": ["a"]}, inner),
    )
    return objects | arrays | combined


nodes = st.recursive(plain | typed | strings | numbers, nested, max_leaves=6)
schemas = st.builds(
    lambda node, target: node | {"$defs": {"D": target}}, nodes, plain | typed | strings | numbers
)


def keywords_in(node: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every keyword of every object in a document, with the object that holds it."""
    if isinstance(node, dict):
        yield from ((node, key) for key in node if key not in ("$defs", "D", "$ref"))
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from keywords_in(child)


@st.composite
def edited(draw: st.DrawFn) -> tuple[Node, Node]:
    """A schema and the same with one keyword gone, or with a keyword as another schema has it."""
    old, other = draw(schemas), draw(schemas)
    new = copy.deepcopy(old)
    holder, key = draw(st.sampled_from([*keywords_in(new), (new["$defs"]["D"], "title")]))
    donors = [donor[name] for donor, name in keywords_in(other) if name == key]
    holder.pop(key, None)
    if donors and draw(st.booleans()):
        holder[key] = draw(st.sampled_from(donors))
    return old, new


def kinds_of(old: Any, new: Any) -> set[Kind]:
    changes = find_changes({"a": parse_schema("a", old)}, {"a": parse_schema("a", new)})
    return {change.kind for change in changes}


@settings(max_examples=150, deadline=None)
@given(schemas)
def test_a_schema_compared_with_itself_differs_in_nothing(schema: Node) -> None:
    assert kinds_of(schema, schema) == set()


TO_OPEN = {Kind.PROPERTY_ADDED_TO_OPEN, Kind.REQUIRED_PROPERTY_ADDED_TO_OPEN}
NARROWER = {kind for kind in Kind if RULES[kind][0].severity is Severity.BREAKING} | TO_OPEN
WIDER = {kind for kind in Kind if RULES[kind][1].severity is Severity.BREAKING}


@settings(max_examples=400, deadline=None)
@given(st.tuples(schemas, schemas) | edited(), st.lists(values, min_size=5, max_size=15))
def test_a_validator_that_changes_its_mind_agrees_with_the_class(
    pair: tuple[Node, Node], bodies: list[Any]
) -> None:
    """What was valid and is refused breaks inbound; what was refused and is valid breaks outbound."""
    before, after = map(Draft202012Validator, pair)
    kinds = kinds_of(*pair)
    for body in bodies:
        if before.is_valid(body) and not after.is_valid(body):
            assert kinds & NARROWER, (kinds, body)
        if after.is_valid(body) and not before.is_valid(body):
            assert kinds & WIDER, (kinds, body)


WRAPPERS: tuple[Callable[[Node], Node], ...] = (
    lambda node: {"type": "object", "properties": {"in": node}, "additionalProperties": False},
    lambda node: {"type": "object", "properties": {"in": node, "b": {"type": "null"}}, "required": ["in"]},
    lambda node: {"type": "object", "additionalProperties": node},
    lambda node: {"type": "array", "items": node},
    lambda node: {"type": "array", "prefixItems": [{"type": "null"}, node]},
    lambda node: {"anyOf": [node, {"type": "null"}]},
    lambda node: {"oneOf": [{"type": "boolean"}, node]},
    lambda node: {"allOf": [node], "description": "wrapped"},
    lambda node: {"description": "kept apart", "$ref": "#/$defs/D", "$defs": {"D": node}},
)
OBJECT = {"type": "object", "properties": {"p": {"type": "string"}, "q": {}}, "required": ["p"]}
STRICT = OBJECT | {"additionalProperties": False}
TEXT = {"type": "string", "maxLength": 9, "minLength": 2, "pattern": "^a", "format": "date", "title": "Text"}
LISTED = {"type": "string", "enum": ["one", "two"]}
NUMBER = {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "multipleOf": 3}
LIST = {"type": "array", "minItems": 1, "maxItems": 5, "uniqueItems": True}

MUTATIONS: tuple[tuple[Node, Node, Kind], ...] = (
    (STRICT, STRICT | {"properties": {"p": {"type": "string"}}}, Kind.PROPERTY_REMOVED),
    (OBJECT, OBJECT | {"properties": {"p": {"type": "string"}}}, Kind.PROPERTY_REMOVED),
    (STRICT, STRICT | {"properties": {**STRICT["properties"], "r": {}}}, Kind.PROPERTY_ADDED),
    (OBJECT, OBJECT | {"properties": {**OBJECT["properties"], "r": {}}}, Kind.PROPERTY_ADDED_TO_OPEN),
    (STRICT, STRICT | {"required": ["p", "q"]}, Kind.REQUIRED_ADDED),
    (STRICT, STRICT | {"required": []}, Kind.REQUIRED_REMOVED),
    (STRICT, OBJECT, Kind.ADDITIONAL_OPENED),
    (OBJECT, STRICT, Kind.ADDITIONAL_TIGHTENED),
    (OBJECT, OBJECT | {"additionalProperties": {"type": "string"}}, Kind.ADDITIONAL_TIGHTENED),
    (TEXT, NUMBER, Kind.TYPE_CHANGED),
    (TEXT, TEXT | {"type": ["string", "array"]}, Kind.TYPE_ADDED),
    (TEXT | {"type": ["string", "array"]}, TEXT, Kind.TYPE_REMOVED),
    (TEXT, TEXT | {"maxLength": 10}, Kind.BOUND_LOOSENED),
    (TEXT, TEXT | {"maxLength": 8}, Kind.BOUND_TIGHTENED),
    (TEXT, TEXT | {"minLength": 3}, Kind.BOUND_TIGHTENED),
    (TEXT, TEXT | {"pattern": "^b"}, Kind.TEXT_RULE_CHANGED),
    (TEXT, TEXT | {"format": "time"}, Kind.TEXT_RULE_CHANGED),
    (TEXT, TEXT | {"contentEncoding": "base64"}, Kind.TEXT_RULE_ADDED),
    (TEXT, TEXT | {"title": "Words"}, Kind.WORDS_CHANGED),
    (TEXT, TEXT | {"description": "in cents"}, Kind.MONEY_WORDS_CHANGED),
    (TEXT, TEXT | {"default": "a"}, Kind.DEFAULT_CHANGED),
    (TEXT, TEXT | {"x-unit": "cent"}, Kind.NOT_UNDERSTOOD),
    (TEXT, TEXT | {"not": {"const": "a"}}, Kind.NOT_UNDERSTOOD),
    (LISTED, LISTED | {"enum": ["one", "two", "three"]}, Kind.VALUE_ADDED),
    (LISTED, LISTED | {"enum": ["one"]}, Kind.VALUE_REMOVED),
    (LISTED, {"type": "string"}, Kind.VALUES_UNRESTRICTED),
    ({"type": "string"}, LISTED, Kind.VALUES_RESTRICTED),
    ({"const": 1}, {"const": 2}, Kind.CONST_CHANGED),
    (NUMBER, NUMBER | {"minimum": 2}, Kind.BOUND_TIGHTENED),
    (NUMBER, NUMBER | {"exclusiveMaximum": 10}, Kind.BOUND_LOOSENED),
    (NUMBER, NUMBER | {"multipleOf": 2}, Kind.BOUND_CHANGED),
    (NUMBER, NUMBER | {"type": "number"}, Kind.TYPE_ADDED),
    (LIST, LIST | {"minItems": 0}, Kind.BOUND_LOOSENED),
    (LIST, LIST | {"uniqueItems": False}, Kind.BOUND_LOOSENED),
    (LIST, LIST | {"items": {"type": "string"}}, Kind.TYPE_REMOVED),
)


def is_clear(wrappers: list[int]) -> bool:
    """One `$defs`, and no `oneOf` whose alternatives overlap."""
    return wrappers.count(6) < 2 and wrappers.count(8) < 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(range(len(WRAPPERS))), max_size=4).filter(is_clear),
    st.sampled_from(MUTATIONS),
)
def test_a_single_mutation_is_found_wherever_it_stands(
    wrappers: list[int], mutation: tuple[Node, Node, Kind]
) -> None:
    old, new, kind = mutation
    before, after = (
        hoisted(reduce(lambda node, at: WRAPPERS[at](node), wrappers, one)) for one in (old, new)
    )
    assert kinds_of(before, after) == {kind}


@pytest.mark.parametrize(("old", "new", "kind"), MUTATIONS)
def test_a_single_mutation_is_found_at_the_root(old: Node, new: Node, kind: Kind) -> None:
    assert kinds_of(old, new) == {kind}


def hoisted(node: Any) -> Any:
    """The schema with its one `$defs` moved to the root."""
    found: Node = {}

    def moved(part: Any) -> Any:
        if isinstance(part, list):
            return [moved(item) for item in part]
        if not isinstance(part, dict):
            return part
        found.update({key: moved(value) for key, value in part.items() if key == "$defs"})
        return {key: moved(value) for key, value in part.items() if key != "$defs"}

    return moved(node) | found
