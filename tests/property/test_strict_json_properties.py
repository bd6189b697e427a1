"""Strict JSON against the standard library: the same documents or a refusal, whatever the bytes."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from croupier.errors import MALFORMED, CroupierError
from croupier.providers.strict_json import JsonLimits, decode_strict

ANY = msgspec.json.Decoder()
LIMITS = JsonLimits(max_depth=6, max_keys=20, max_string=30, max_number=12)
REFUSED = object()

NAMES = st.sampled_from(["a", "b", "A", "", "é", '"', "\\", ":", ",", "{", "\n", "a" * 31]) | st.text(
    max_size=3
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**13), 10**13)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["\0", "\ud800", "x" * 31, '"a":1', "\\u0000"])
)


def spell(draw: st.DrawFn, value: object) -> str:
    """One JSON spelling of a value, with odd spaces, escapes, and names that may be repeated."""
    space = draw(st.sampled_from(["", "", " ", "\n\t"]))
    if isinstance(value, dict):
        items = [f"{spell(draw, k)}{space}:{space}{spell(draw, v)}" for k, v in value["items"]]
        return "{" + space + f",{space}".join(items) + "}"
    if isinstance(value, list):
        return "[" + f"{space},".join(spell(draw, item) for item in value) + space + "]"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """JSON texts, mostly legal; now and then one character is changed."""
    objects = st.recursive(
        LEAVES,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.lists(st.tuples(NAMES, inner), max_size=5).map(lambda items: {"items": items})
        ),
        max_leaves=12,
    )
    text = spell(draw, draw(objects))
    if draw(st.integers(0, 4)) == 0:
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(st.sampled_from('"\\{}[],: 0e-x\ufeff\x01'))
            + text[at + draw(st.integers(0, 1)) :]
        )
    return text.encode("utf-8", "surrogatepass")


class _Refused(Exception):
    pass


def oracle(body: bytes) -> Any:
    """What the standard library reads under the same rules, written the slow and obvious way."""
    try:
        text = body.decode()
        document = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse,
            parse_int=_bounded_int,
            parse_float=_plain_float,
        )
        _check(document, depth=0)
        names = _names(document)
        if names > LIMITS.max_keys:
            raise _Refused
        if any(len(raw) > LIMITS.max_string for raw in _strings(text)):
            raise _Refused
    except (_Refused, ValueError):
        return REFUSED
    return document


def _strings(text: str) -> list[str]:
    return re.findall(r'"((?:[^"\\]|\\.)*)"', text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Refused
    return dict(pairs)


def _refuse(_: str) -> Any:
    raise _Refused


def _bounded_int(text: str) -> int:
    if len(text) > LIMITS.max_number:
        raise _Refused
    return int(text)


def _plain_float(text: str) -> float:
    if len(text) > LIMITS.max_number or "e" in text.lower():
        raise _Refused
    return float(text)


def _check(value: Any, *, depth: int) -> None:
    if isinstance(value, str):
        value.encode()
        if "\0" in value:
            raise _Refused
    if isinstance(value, dict | list):
        if depth + 1 > LIMITS.max_depth:
            raise _Refused
        children = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        for child in children:
            _check(child, depth=depth + 1)


def _names(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_names(child) for child in value.values())
    return sum(_names(child) for child in value) if isinstance(value, list) else 0


def strict(body: bytes) -> Any:
    try:
        return decode_strict(ANY, body, LIMITS)
    except CroupierError as error:
        refusal = error
    assert refusal.kind is MALFORMED
    assert refusal.field
    assert refusal.detail
    return REFUSED


@settings(max_examples=600, deadline=None)
@given(texts())
@example(b'{"a":1,"\\u0061":2}')
@example(b'{"a":"x" , ":" : 1,"a":1}')
@example(b"[[[[[[[]]]]]]]")
def test_strict_reading_agrees_with_the_standard_library(body: bytes) -> None:
    expected = oracle(body)
    assert repr(strict(body)) == repr(expected)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0 1e-ad\n', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused_and_nothing_else(body: bytes) -> None:
    assert repr(strict(body)) == repr(oracle(body))
