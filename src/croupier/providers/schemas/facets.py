"""What limits a value of one type: enumerations, patterns and formats, bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from croupier.providers.schemas.model import Difference, Kind, SchemaUnreadable
from croupier.providers.schemas.shape import Shape, shown_of, text_of

Number = int | Decimal

_TEXT_RULES: Final = ("pattern", "format", "contentEncoding", "contentMediaType")
"""Rules of which nobody can say which of two is the narrower one."""

_LOWER: Final = ("minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum")
_UPPER: Final = ("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum")
_WITHOUT_EFFECT: Final = {"minLength": 0, "minItems": 0, "minProperties": 0, "uniqueItems": False}

FACETS: Final = frozenset({"enum", "multipleOf", "uniqueItems", *_TEXT_RULES, *_LOWER, *_UPPER})


def compare_facets(old: Shape, new: Shape, path: str) -> Iterator[Difference]:
    """What differs in the limits of two shapes of one type; SchemaUnreadable for a bound that is no number."""
    yield from _enumerations(old, new, path)
    for key in _TEXT_RULES:
        yield from _text_rules(old.get(key), new.get(key), key, path)
    for key in _LOWER:
        yield from _bounds(old, new, key, path, lambda before, after: after > before)
    for key in _UPPER:
        yield from _bounds(old, new, key, path, lambda before, after: after < before)
    yield from _bounds(old, new, "uniqueItems", path, lambda before, after: after > before)
    yield from _multiples(old, new, path)


def _enumerations(old: Shape, new: Shape, path: str) -> Iterator[Difference]:
    if "enum" not in old or "enum" not in new:
        yield from _listed(old, new, path)
        return
    before, after = ({text_of(value): value for value in shape["enum"]} for shape in (old, new))
    gone, came = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    if gone and came and len(before) == len(after) == 1:
        yield Difference(
            path, Kind.CONST_CHANGED, f"{shown_of(before[gone[0]])} → {shown_of(after[came[0]])}"
        )
        return
    for value in gone:
        yield Difference(path, Kind.VALUE_REMOVED, f"the value {shown_of(before[value])} is gone")
    for value in came:
        yield Difference(path, Kind.VALUE_ADDED, f"the value {shown_of(after[value])} is new")


def _listed(old: Shape, new: Shape, path: str) -> Iterator[Difference]:
    if "enum" in new:
        what = f"only {', '.join(map(shown_of, new['enum']))} from now on"
        yield Difference(path, Kind.VALUES_RESTRICTED, what)
    if "enum" in old:
        what = f"any value, not only {', '.join(map(shown_of, old['enum']))}"
        yield Difference(path, Kind.VALUES_UNRESTRICTED, what)


def _text_rules(old: Any, new: Any, key: str, path: str) -> Iterator[Difference]:
    if old == new:
        return
    if old is None:
        yield Difference(path, Kind.TEXT_RULE_ADDED, f"{key}: none → {shown_of(new)}")
    elif new is None:
        yield Difference(path, Kind.TEXT_RULE_REMOVED, f"{key}: {shown_of(old)} → none")
    else:
        yield Difference(path, Kind.TEXT_RULE_CHANGED, f"{key}: {shown_of(old)} → {shown_of(new)}")


def _bounds(
    old: Shape, new: Shape, key: str, path: str, is_tighter: Callable[[Number, Number], bool]
) -> Iterator[Difference]:
    before, after = _bound(old, key), _bound(new, key)
    if before == after:
        return
    what = f"{key}: {_shown(before)} → {_shown(after)}"
    is_tightened = before is None or (after is not None and is_tighter(before, after))
    yield Difference(path, Kind.BOUND_TIGHTENED if is_tightened else Kind.BOUND_LOOSENED, what)


def _bound(shape: Shape, key: str) -> Number | None:
    bound = shape.get(key)
    if bound is None or bound == _WITHOUT_EFFECT.get(key):
        return None
    # Draft 4 had true and false for the exclusive bounds, which mean something else.
    if not isinstance(bound, int | Decimal) or (isinstance(bound, bool) and key != "uniqueItems"):
        raise SchemaUnreadable(f"{key} is a number, not {shown_of(bound)}")
    return bound


def _multiples(old: Shape, new: Shape, path: str) -> Iterator[Difference]:
    before, after = _bound(old, "multipleOf"), _bound(new, "multipleOf")
    if before == after:
        return
    what = f"multipleOf: {_shown(before)} → {_shown(after)}"
    if before is None or (after is not None and _divides(before, after)):
        yield Difference(path, Kind.BOUND_TIGHTENED, what)
    elif after is None or _divides(after, before):
        yield Difference(path, Kind.BOUND_LOOSENED, what)
    else:
        yield Difference(path, Kind.BOUND_CHANGED, what)


def _divides(step: Number, other: Number) -> bool:
    return bool(step) and (Fraction(other) / Fraction(step)).denominator == 1


def _shown(bound: Number | None) -> str:
    return "none" if bound is None else shown_of(bound)
