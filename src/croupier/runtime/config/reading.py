"""From the tables of a TOML file to the frozen sections, reporting every problem at once.

What cannot be read is replaced by its default or by an empty value, so that the checks between sections can
still run; the caller must not use the result when there are problems.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, TypeVar

from msgspec import NODEFAULT, Struct, inspect

from croupier.runtime.config.problems import Problem, render_nearest, render_shown

Place = tuple[str | int, ...]
T = TypeVar("T", bound=Struct)

MOST_ITEMS: Final = 10_000
YEARS: Final = range(1970, 2200)

LATER: Final[Mapping[Place, str]] = {
    ("retention",): "retention policies",
    ("telemetry", "otlp_endpoint"): "trace export",
}
"""Names that are agreed and have no effect yet: accepting them in silence would promise something."""

_RFC3339: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_UNREADABLE_INSTANT: Final = datetime(1, 1, 1, tzinfo=UTC)
_PYTHON: Final[Mapping[type[inspect.Type], type]] = {inspect.IntType: int, inspect.BoolType: bool}
_BLANKS: Final[Mapping[type[inspect.Type], object]] = {
    inspect.StrType: "",
    inspect.IntType: 0,
    inspect.DateTimeType: _UNREADABLE_INSTANT,
    inspect.VarTupleType: (),
}


def is_readable_instant(value: datetime) -> bool:
    """Whether an instant was read, rather than put in the place of one that could not be."""
    return value.year in YEARS


class Shape(Struct, frozen=True):
    """A field's type without its wrappings: its kind, its form in words, whether errors may show it."""

    kind: inspect.Type
    form: str
    is_secret: bool


class _Unreadable(Exception):
    """The value has been reported and has no usable reading."""


def shape_of(kind: inspect.Type) -> Shape:
    """Unwrap annotations and `| None` (TOML has no null)."""
    form, is_secret = "", False
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        if isinstance(kind, inspect.UnionType):
            kind = next(item for item in kind.types if not isinstance(item, inspect.NoneType))
            continue
        form = (kind.extra or {}).get("form", form)
        is_secret = (kind.extra or {}).get("is_secret", is_secret)
        kind = kind.type
    return Shape(kind, form or _default_form(kind), is_secret)


def _default_form(kind: inspect.Type) -> str:
    match kind:
        case inspect.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(f'"{value}"' for value in values)
        case inspect.BoolType():
            return "true or false"
        case inspect.StructType() | inspect.DictType():
            return "a table"
        case inspect.VarTupleType(item_type=item):
            return "an array of tables" if isinstance(shape_of(item).kind, inspect.StructType) else "an array"
        case _:
            return "text in quotes"


def render_place(place: Place) -> str:
    """A place as people count it: `providers #1.keys #2.secret`; the first item is #1."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f" #{part + 1}"
        else:
            text += f".{part}" if text else part
    return text


class Reader:
    """Reads tables into structs and collects what is wrong; `sources` names variables that set a place."""

    def __init__(self, sources: Mapping[Place, str] | None = None) -> None:
        self.problems: list[Problem] = []
        self._sources = sources or {}

    def read(self, section: type[T], table: Mapping[str, object]) -> T:
        """The struct of a whole document; look at `problems` before using it."""
        kind = inspect.type_info(section)
        assert isinstance(kind, inspect.StructType)  # noqa: S101 (narrowing: the argument is a Struct)
        return self._struct(kind, table, ())  # type: ignore[no-any-return]

    def report(self, place: Place, what: str, fix: str) -> None:
        """Add a problem at a place, named by its variable if one set it."""
        self.problems.append(Problem(self._sources.get(place) or render_place(place), what, fix))

    def _struct(self, kind: inspect.StructType, table: Mapping[str, object], place: Place) -> Any:
        self._report_unknown(kind, table, place)
        return kind.cls(**dict(self._fields(kind, table, place)))

    def _fields(
        self, kind: inspect.StructType, table: Mapping[str, object], place: Place
    ) -> Iterator[tuple[str, object]]:
        for field in kind.fields:
            at = (*place, field.encode_name)
            try:
                if field.encode_name in table:
                    yield field.name, self._value(shape_of(field.type), table[field.encode_name], at)
                    continue
                if field.required:
                    self.report(at, "is missing", f"add it: {shape_of(field.type).form}")
            except _Unreadable:
                pass
            yield field.name, _fallback(field)

    def _report_unknown(self, kind: inspect.StructType, table: Mapping[str, object], place: Place) -> None:
        known = [field.encode_name for field in kind.fields]
        for name in table:
            at = (*place, name)
            if at in LATER:
                what = f"not available in this version ({LATER[at]})"
                self.report(at, what, "remove it")
            elif name not in known:
                advice = render_nearest(name, known, otherwise=f"known here: {', '.join(known)}")
                self.report(at, "unknown key", advice)

    def _value(self, shape: Shape, value: object, place: Place) -> object:
        match shape.kind:
            case inspect.StructType() as kind:
                return self._struct(kind, self._table(shape, value, place), place)
            case inspect.DictType(value_type=item):
                return dict(self._entries(shape_of(item), self._table(shape, value, place), place))
            case inspect.VarTupleType(item_type=item):
                return tuple(self._items(shape_of(item), self._array(shape, value, place), place))
            case inspect.DateTimeType():
                return self._instant(shape, value, place)
            case _:
                return self._scalar(shape, value, place)

    def _entries(self, shape: Shape, table: dict[str, object], place: Place) -> Iterator[tuple[str, object]]:
        for name, value in table.items():
            try:
                yield name, self._value(shape, value, (*place, name))
            except _Unreadable:
                continue

    def _items(self, shape: Shape, values: list[object], place: Place) -> Iterator[object]:
        for number, value in enumerate(values):
            try:
                yield self._value(shape, value, (*place, number))
            except _Unreadable:
                continue

    def _table(self, shape: Shape, value: object, place: Place) -> dict[str, object]:
        if isinstance(value, dict):
            return value
        raise self._wrong(shape, value, place)

    def _array(self, shape: Shape, value: object, place: Place) -> list[object]:
        if not isinstance(value, list):
            raise self._wrong(shape, value, place)
        if len(value) > MOST_ITEMS:
            self.report(place, f"has {len(value)} items", f"keep at most {MOST_ITEMS}")
        return value[:MOST_ITEMS]

    def _instant(self, shape: Shape, value: object, place: Place) -> datetime:
        """An instant in UTC; a bare date stays a naive midnight until its contract's zone is known."""
        if isinstance(value, str):
            value = _parse_instant(value) or value
        match value:
            case datetime(tzinfo=zone) if zone is not None and value.year in YEARS:
                return value.astimezone(UTC)
            case datetime():
                raise self._wrong(shape, value, place)
            case date() if value.year in YEARS:
                return datetime(value.year, value.month, value.day)  # noqa: DTZ001 (naive on purpose, see above)
        raise self._wrong(shape, value, place)

    def _scalar(self, shape: Shape, value: object, place: Place) -> object:
        wanted = _PYTHON.get(type(shape.kind), str)
        # A boolean is an integer to Python and never one to the person who wrote it.
        if type(value) is not wanted:
            raise self._wrong(shape, value, place)
        if not _fits(shape.kind, value):
            self._wrong(shape, value, place)
        return value

    def _wrong(self, shape: Shape, value: object, place: Place) -> _Unreadable:
        what = "is not of the right form" if shape.is_secret else f"{_describe(value)} is not right"
        self.report(place, what, f"it must be {shape.form}")
        return _Unreadable()


def _fallback(field: inspect.Field) -> object:
    if field.default is not NODEFAULT:
        return field.default
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    kind = shape_of(field.type).kind
    return kind.values[0] if isinstance(kind, inspect.LiteralType) else _BLANKS[type(kind)]


def _fits(kind: inspect.Type, value: object) -> bool:
    match kind, value:
        case inspect.LiteralType(values=values), _:
            return value in values
        case inspect.IntType(ge=low, le=high), int():
            return (low is None or value >= low) and (high is None or value <= high)
        case inspect.StrType(pattern=pattern, min_length=shortest, max_length=longest), str():
            is_bounded = (shortest or 0) <= len(value) and (longest is None or len(value) <= longest)
            return is_bounded and (pattern is None or re.search(pattern, value) is not None)
        case _:
            return True


def _parse_instant(text: str) -> date | None:
    """A date, or a date and time with its offset; None for anything else."""
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
        return datetime.fromisoformat(text.upper()) if _RFC3339.fullmatch(text) else None
    except ValueError:
        return None


def _describe(value: object) -> str:
    match value:
        case dict():
            return "a table"
        case list():
            return "an array"
        case _:
            return render_shown(value)
