"""Where two readings of one call differ: canonical actions as would-be effects on money, answers as documents. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from croupier.providers.shadow.sample import Canonical

MOST: Final = 20
"""Most differences of one call that are told; further ones would say the same again."""
DEEPEST: Final = 8
"""Deepest nesting of an answer that is looked into; what lies deeper is compared as a whole."""

ABSENT: Final = "absent"
PRESENT: Final = "present"
MASK: Final = "***"

_IDS: Final = frozenset({
    "reference", "target_reference", "player_id", "session_id", "round_id", "game_id", "settled_by", "occurred_at",
})  # fmt: skip
_WORDS: Final = frozenset({"kind", "code", "api_code", "status", "asset", "currency", "type", "decision"})
"""Members whose values are few: each is a class of its own."""
_PROSE: Final = frozenset({
    "msg", "message", "api_message", "detail", "title", "description", "error_description", "instance",
})  # fmt: skip
"""Members of answers that people read: their wording moves nothing."""
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,20})?")
_TEN: Final = re.compile(r"10+")
_SNAKE: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_LONGEST: Final = 128


class Difference(Struct, frozen=True, gc=False):
    """One place where candidate and live differ: of which class each value is, and each value as it may be shown."""

    path: str
    live: str
    candidate: str
    shown_live: str = ""
    shown_candidate: str = ""


class Pairing(Struct, frozen=True):
    """Which live action each of the candidate's stands for.

    `order` is None when one of them stands for none or they come in another order: their answers would differ by that.
    """

    differences: tuple[Difference, ...]
    order: tuple[int, ...] | None


def pair_actions(live: Sequence[Canonical], candidate: Sequence[Canonical]) -> Pairing:
    """The first of each kind with the first, the second with the second; then member by member."""
    waiting: dict[str, list[int]] = {}
    for number, (kind, _) in enumerate(live):
        waiting.setdefault(kind, []).append(number)
    found: list[Difference] = []
    order: list[int] = []
    extra = 0
    for kind, members in candidate:
        name = _snake(kind)
        if not waiting.get(kind):
            found.append(Difference(f"actions[{name}]", ABSENT, PRESENT))
            extra += 1
            continue
        number = waiting[kind].pop(0)
        order.append(number)
        found += find_differences(f"actions[{name}]", live[number][1], members)
    found += [
        Difference(f"actions[{_snake(kind)}]", PRESENT, ABSENT)
        for kind, numbers in waiting.items()
        for _ in numbers
    ]
    is_in_order = order == sorted(order)
    if not is_in_order:
        found.append(Difference("actions.order", "as sent", "another"))
    return Pairing(tuple(found[:MOST]), tuple(order) if is_in_order and not extra else None)


def find_answer_differences(live: tuple[int, bytes], candidate: tuple[int, bytes]) -> tuple[Difference, ...]:
    """Status and members of two answers; what only people read is left out."""
    found = list(find_differences("answer.status", live[0], candidate[0]))
    try:
        ours, theirs = (msgspec.json.decode(body) for body in (live[1], candidate[1]))
    except msgspec.DecodeError:
        if live[1] != candidate[1]:
            found.append(Difference("answer.body", "text", "other text", MASK, MASK))
        return tuple(found)
    found += find_differences("answer", ours, theirs)
    return tuple(found[:MOST])


def find_differences(path: str, live: Any, candidate: Any, depth: int = 0) -> Iterator[Difference]:
    """Every place below `path` where two JSON values differ; the members of lists share one path."""
    if depth < DEEPEST and isinstance(live, dict) and isinstance(candidate, dict):
        yield from _in_objects(path, live, candidate, depth)
    elif depth < DEEPEST and isinstance(live, list) and isinstance(candidate, list):
        if len(live) != len(candidate):
            yield difference(f"{path}.length", len(live), len(candidate))
        for ours, theirs in zip(live, candidate, strict=False):
            yield from find_differences(f"{path}[]", ours, theirs, depth + 1)
    elif live != candidate or isinstance(live, bool) != isinstance(candidate, bool):
        yield difference(path, live, candidate)


def _in_objects(
    path: str, live: Mapping[str, Any], candidate: Mapping[str, Any], depth: int
) -> Iterator[Difference]:
    for name in (*live, *(one for one in candidate if one not in live)):
        if name in _PROSE:
            continue
        below = f"{path}.{name if _NAME.fullmatch(name) else '?'}"
        if name not in live:
            yield Difference(below, ABSENT, _class(name, candidate[name]), "", _shown(below, candidate[name]))
        elif name not in candidate:
            yield Difference(below, _class(name, live[name]), ABSENT, _shown(below, live[name]), "")
        else:
            yield from find_differences(below, live[name], candidate[name], depth + 1)


def difference(path: str, live: Any, candidate: Any) -> Difference:
    """Two values that are not the same, with their classes: equal faults have equal classes whatever the values."""
    name = path.rpartition(".")[2]
    ours, theirs = _class(name, live), _class(name, candidate)
    if ours == theirs:
        theirs = _relation(live, candidate) or f"other {theirs}"
    return Difference(path, ours, theirs, _shown(path, live), _shown(path, candidate))


def _class(name: str, value: Any) -> str:
    match value:
        case None | bool():
            return str(value).lower()
        case int() | float():
            return str(value) if name in _WORDS else "number"
        case str():
            if name in _WORDS and _WORD.fullmatch(value):
                return value
            return "decimal" if _DECIMAL.fullmatch(value) else "text"
        case list():
            return "list"
        case _:
            return "object"


def _relation(live: Any, candidate: Any) -> str | None:
    """How two whole numbers are related when the unit or the sign is wrong."""
    if not (isinstance(live, int) and isinstance(candidate, int)) or 0 in (live, candidate):
        return None
    if live == -candidate:
        return "number with the other sign"
    for sign, (one, other) in {"×": (candidate, live), "÷": (live, candidate)}.items():
        quotient, rest = divmod(one, other)
        if rest == 0 and _TEN.fullmatch(str(quotient)):
            return f"number {sign}{quotient}"
    return None


def _shown(path: str, value: Any) -> str:
    """A value as an example may keep it: numbers, words and the ids of actions, and of everything else its length."""
    name = path.rpartition(".")[2]
    if not isinstance(value, str):
        return MASK if isinstance(value, dict | list) else str(value).lower()[:_LONGEST]
    is_id = path.startswith("actions[") and name in _IDS
    is_word = name in _WORDS and _WORD.fullmatch(value)
    if is_id or is_word or _DECIMAL.fullmatch(value):
        return value[:_LONGEST]
    return f"{MASK} ({len(value)} characters)"


def _snake(kind: str) -> str:
    return _SNAKE.sub("_", kind).lower()
