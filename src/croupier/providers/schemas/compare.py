"""Two versions of one schema, compared node by node; says what differs and judges nothing.

Every keyword is either compared here by its meaning or, when it differs at all, reported as not understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from croupier.providers.schemas.facets import FACETS, compare_facets
from croupier.providers.schemas.model import Difference, Kind
from croupier.providers.schemas.shape import (
    ANNOTATIONS,
    NotOpened,
    Reader,
    Shape,
    are_apart,
    shown_of,
    text_of,
)

ROOT: Final = "$"

MONEY_WORDS: Final = frozenset(
    [
        "amount",
        "amounts",
        "asset",
        "assets",
        "balance",
        "balances",
        "cent",
        "cents",
        "contribution",
        "currencies",
        "currency",
        "decimal",
        "decimals",
        "digit",
        "digits",
        "exponent",
        "fee",
        "fees",
        "fraction",
        "fractions",
        "jackpot",
        "major",
        "minor",
        "money",
        "payout",
        "payouts",
        "precision",
        "price",
        "scale",
        "scaled",
        "stake",
        "stakes",
        "total",
        "totals",
        "unit",
        "units",
    ]
)
"""Words of names and descriptions that tell how an amount is to be read."""

_COMPARED: Final = frozenset(
    {"type", "default", "properties", "required", "additionalProperties", "prefixItems", "items"}
    | {*ANNOTATIONS, *FACETS}
)
_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


class Comparison:
    """An old and a new document; `is_nothing_changed` vouches for what references outside of them point at."""

    __slots__ = ("_is_nothing_changed", "_new", "_old", "_within")

    def __init__(self, old: Any, new: Any, *, is_nothing_changed: bool) -> None:
        self._old = Reader(old)
        self._new = Reader(new)
        self._is_nothing_changed = is_nothing_changed
        self._within: list[tuple[str, str]] = []

    def differences(self) -> list[Difference]:
        """Everything that differs, each difference once; raises SchemaUnreadable."""
        found = dict.fromkeys(self._nodes(self._old.root, self._new.root, ROOT))
        if not found and text_of(self._old.root) != text_of(self._new.root):
            return [Difference(ROOT, Kind.REWRITTEN, "written differently, allows the same")]
        return list(found)

    def _nodes(self, old: Any, new: Any, path: str) -> Iterator[Difference]:
        if isinstance(old, bool) and old is new:
            return
        pair = (text_of(old), text_of(new))
        if pair in self._within:
            return
        self._within.append(pair)
        try:
            shapes = (self._old.shapes(old), self._new.shapes(new))
        except NotOpened as reason:
            if not self._is_same(old, new):
                yield Difference(path, Kind.NOT_UNDERSTOOD, str(reason))
        else:
            yield from self._unions(*shapes, path)
        self._within.pop()

    def _unions(self, old: list[Shape], new: list[Shape], path: str) -> Iterator[Difference]:
        pairs, gone, came = self._match(old, new)
        for before, after in pairs:
            yield from self._retyped(before, after, path)
        if len(gone) == len(came) == 1:
            yield from self._retyped(gone[0], came[0], path)
            return
        if any("type" not in shape for shape in (*gone, *came)) and gone and came:
            yield Difference(path, Kind.NOT_UNDERSTOOD, f"{_names(old)} → {_names(new)}")
            return
        for shape in gone:
            is_type = all(shape.get("type") != other.get("type") for other in new)
            kind = Kind.TYPE_REMOVED if is_type else Kind.ALTERNATIVE_REMOVED
            yield Difference(path, kind, f"{_name(shape)} is not allowed any more")
        for shape in came:
            is_type = all(shape.get("type") != other.get("type") for other in old)
            kind = Kind.TYPE_ADDED if is_type else Kind.ALTERNATIVE_ADDED
            yield Difference(path, kind, f"{_name(shape)} is allowed now")

    def _match(
        self, old: list[Shape], new: list[Shape]
    ) -> tuple[list[tuple[Shape, Shape]], list[Shape], list[Shape]]:
        """Pairs of alternatives that belong together, the most alike first; then what is left on each side."""
        pairs, gone, came = [], list(old), list(new)
        tests = (self._is_same, _is_like_titled, _is_like_marked, _is_of_one_type, _is_number_too)
        for test in tests:
            for shape in list(gone):
                partner = next((other for other in came if test(shape, other)), None)
                if partner is not None:
                    pairs.append((shape, partner))
                    gone = [other for other in gone if other is not shape]
                    came = [other for other in came if other is not partner]
        return pairs, gone, came

    def _retyped(self, old: Shape, new: Shape, path: str) -> Iterator[Difference]:
        what = f"{_name(old)} → {_name(new)}"
        match old.get("type"), new.get("type"):
            case (one, other) if one == other:
                pass
            case (None, _) | ("number", "integer"):
                yield Difference(path, Kind.TYPE_REMOVED, what)
            case (_, None) | ("integer", "number"):
                yield Difference(path, Kind.TYPE_ADDED, what)
            case _:
                yield Difference(path, Kind.TYPE_CHANGED, what)
                return
        yield from self._shapes(old, new, path)

    def _shapes(self, old: Shape, new: Shape, path: str) -> Iterator[Difference]:
        yield from _compare_words(old, new, path)
        yield from compare_facets(old, new, path)
        for key in sorted((old.keys() | new.keys()) - _COMPARED):
            if key not in old or key not in new or not self._is_same(old[key], new[key]):
                yield Difference(
                    path, Kind.NOT_UNDERSTOOD, f"the keyword {key} is not understood and differs"
                )
        if text_of(old.get("default", ...)) != text_of(new.get("default", ...)):
            what = f"default: {_shown(old, 'default')} → {_shown(new, 'default')}"
            yield Difference(path, Kind.DEFAULT_CHANGED, what)
        yield from self._members(old, new, path)
        yield from self._items(old, new, path)

    def _members(self, old: Shape, new: Shape, path: str) -> Iterator[Difference]:
        before, after = old.get("properties", {}), new.get("properties", {})
        was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
        for name in sorted(before.keys() & after.keys()):
            yield from self._nodes(before[name], after[name], _joined(path, name))
        for name in sorted(before.keys() - after.keys()):
            yield Difference(_joined(path, name), Kind.PROPERTY_REMOVED, "the property is gone")
        added = after.keys() - before.keys()
        for name in sorted(added):
            yield _added(_joined(path, name), is_required=name in is_required, is_open=_is_open(old))
            if isinstance(old.get("additionalProperties"), Mapping):
                yield from self._nodes(old["additionalProperties"], after[name], _joined(path, name))
        for name in sorted(is_required - was_required - added):
            yield Difference(_joined(path, name), Kind.REQUIRED_ADDED, "required now")
        for name in sorted(was_required - is_required - (before.keys() - after.keys())):
            yield Difference(_joined(path, name), Kind.REQUIRED_REMOVED, "not required any more")
        yield from self._additional(old, new, path)

    def _additional(self, old: Shape, new: Shape, path: str) -> Iterator[Difference]:
        before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if _is_any(before) == _is_any(after) and (before is False) == (after is False):
            yield from self._nodes(before, after, _joined(path, "*"))
        elif before is False or _is_any(after):
            what = f"other members: {_strictness(before)} → {_strictness(after)}"
            yield Difference(path, Kind.ADDITIONAL_OPENED, what)
        else:
            what = f"other members: {_strictness(before)} → {_strictness(after)}"
            yield Difference(path, Kind.ADDITIONAL_TIGHTENED, what)

    def _items(self, old: Shape, new: Shape, path: str) -> Iterator[Difference]:
        if isinstance(old.get("items"), list) or isinstance(new.get("items"), list):
            if not self._is_same(old.get("items"), new.get("items")):
                yield Difference(path, Kind.NOT_UNDERSTOOD, "a list of items differs; use prefixItems")
            return
        before, after = old.get("prefixItems", []), new.get("prefixItems", [])
        rest = (old.get("items", True), new.get("items", True))
        for at in range(max(len(before), len(after))):
            pair = (before[at] if at < len(before) else rest[0], after[at] if at < len(after) else rest[1])
            yield from self._nodes(*pair, f"{path}[{at}]")
        yield from self._nodes(*rest, f"{path}[]")

    def _is_same(self, old: Any, new: Any) -> bool:
        return self._is_alike(old, new, set())

    def _is_alike(self, old: Any, new: Any, seen: set[str]) -> bool:
        """Whether two nodes are written alike and what they refer to is, too."""
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            if old.keys() != new.keys():
                return False
            alike = all(self._is_alike(old[key], new[key], seen) for key in old if key != "$ref")
            return alike and ("$ref" not in old or self._refers_alike(old["$ref"], new["$ref"], seen))
        if isinstance(old, list) and isinstance(new, list):
            pairs = zip(old, new, strict=False)
            return len(old) == len(new) and all(self._is_alike(one, two, seen) for one, two in pairs)
        return text_of(old) == text_of(new)

    def _refers_alike(self, old: Any, new: Any, seen: set[str]) -> bool:
        if text_of(old) != text_of(new):
            return False
        try:
            targets = (self._old.target_of(old), self._new.target_of(new))
        except NotOpened:
            return self._is_nothing_changed
        if old in seen:
            return True
        seen.add(old)
        return self._is_alike(*targets, seen)


def _added(path: str, *, is_required: bool, is_open: bool) -> Difference:
    where = "an object that allowed other members" if is_open else "a strict object"
    if is_required:
        kind = Kind.REQUIRED_PROPERTY_ADDED_TO_OPEN if is_open else Kind.REQUIRED_PROPERTY_ADDED
        return Difference(path, kind, f"new required property in {where}")
    kind = Kind.PROPERTY_ADDED_TO_OPEN if is_open else Kind.PROPERTY_ADDED
    return Difference(path, kind, f"new optional property in {where}")


def _compare_words(old: Shape, new: Shape, path: str) -> Iterator[Difference]:
    for key in ANNOTATIONS:
        if text_of(old.get(key, ...)) == text_of(new.get(key, ...)):
            continue
        said = (path.rpartition(".")[2], text_of(old.get(key, "")), text_of(new.get(key, "")))
        names_money = any(word.lower() in MONEY_WORDS for text in said for word in _WORD.findall(text))
        kind = Kind.MONEY_WORDS_CHANGED if names_money else Kind.WORDS_CHANGED
        yield Difference(path, kind, f"{key}: {_shown(old, key)} → {_shown(new, key)}")


def _is_like_titled(old: Shape, new: Shape) -> bool:
    return "title" in old and _is_of_one_type(old, new) and old["title"] == new.get("title")


def _is_of_one_type(old: Shape, new: Shape) -> bool:
    return old.get("type") == new.get("type")


def _is_like_marked(old: Shape, new: Shape) -> bool:
    return _is_of_one_type(old, new) and not are_apart(old, new)


def _is_number_too(old: Shape, new: Shape) -> bool:
    return {old.get("type"), new.get("type")} == {"integer", "number"}


def _is_open(shape: Shape) -> bool:
    return shape.get("additionalProperties", True) is not False or "patternProperties" in shape


def _is_any(node: Any) -> bool:
    return node is True or node == {}


def _strictness(node: Any) -> str:
    if _is_any(node):
        return "anything"
    return "none" if node is False else "by a schema"


def _joined(path: str, name: str) -> str:
    return name if path == ROOT else f"{path}.{name}"


def _name(shape: Shape) -> str:
    return f"{shape['title']}" if isinstance(shape.get("title"), str) else shape.get("type", "any type")


def _names(shapes: list[Shape]) -> str:
    return " or ".join(map(_name, shapes)) or "nothing"


def _shown(shape: Shape, key: str) -> str:
    return shown_of(shape[key]) if key in shape else "none"
