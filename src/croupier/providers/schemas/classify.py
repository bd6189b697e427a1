"""Which changes of schemas hurt whom: one rule for each kind of difference and direction.

What providers send us (inbound) breaks when we accept less than before: what they run today is refused. What
we send (outbound) breaks when we may send more than before: what they run today does not know it. The other
way round a change is risky, because our own code has to be looked at before it can be believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from croupier.providers.schemas.compare import ROOT, Comparison
from croupier.providers.schemas.model import (
    DIRECTION_MEMBER,
    Change,
    Difference,
    Direction,
    Kind,
    Schema,
    SchemaUnreadable,
    Severity,
)
from croupier.providers.schemas.shape import text_of

SAFE, RISKY, BREAKING = Severity.SAFE, Severity.RISKY, Severity.BREAKING


class Rule(Struct, frozen=True):
    """The class of a difference in one direction, why, and what to do."""

    severity: Severity
    why: str
    advice: str


_NEW_VERSION: Final = "make a new adapter version beside this one"

_IN_LESS: Final = Rule(BREAKING, "what the provider sends today can be refused", _NEW_VERSION)
_IN_MORE: Final = Rule(
    RISKY,
    "bodies arrive that this adapter has never seen",
    "let the adapter decide about it, record a fixture of it, then accept",
)
_OUT_MORE: Final = Rule(BREAKING, "we may send what the provider does not know", _NEW_VERSION)
_OUT_LESS: Final = Rule(
    RISKY,
    "what we send today may be outside of it",
    "check that nothing we build goes beyond it, then accept",
)
_GONE: Final = Rule(BREAKING, "whoever sends or reads it stands alone with it", _NEW_VERSION)
_OTHER: Final = Rule(BREAKING, "the old and the new bodies cannot be told to fit", _NEW_VERSION)
_UNKNOWN: Final = Rule(
    BREAKING, "not understood by this comparison, so it counts as breaking", "compare it by hand"
)
_NAMED: Final = Rule(
    RISKY,
    "the object allowed other members: one of this name may be under way with another meaning",
    "make sure that nobody used the name before, then accept",
)
_HARMLESS: Final = Rule(SAFE, "no body is read otherwise than before", "nothing")

_LESS: Final = (_IN_LESS, _OUT_LESS)
_MORE: Final = (_IN_MORE, _OUT_MORE)

RULES: Final[Mapping[Kind, tuple[Rule, Rule]]] = {
    Kind.FILE_REMOVED: (_GONE, _GONE),
    Kind.FILE_ADDED: (
        Rule(SAFE, "no body was described by it before", "nothing"),
        Rule(SAFE, "no body was described by it before", "nothing"),
    ),
    Kind.DIRECTION_CHANGED: (_OTHER, _OTHER),
    Kind.DIRECTION_DECLARED: (
        Rule(SAFE, "it is the default, said or not", "nothing"),
        Rule(
            RISKY,
            "its changes were judged as inbound until now",
            "compare its earlier changes as outbound, then accept",
        ),
    ),
    Kind.PROPERTY_REMOVED: (_GONE, _GONE),
    Kind.PROPERTY_ADDED: (
        Rule(SAFE, "it was refused before, and may be left out", "nothing"),
        _OUT_MORE,
    ),
    Kind.PROPERTY_ADDED_TO_OPEN: (_NAMED, _NAMED),
    Kind.REQUIRED_PROPERTY_ADDED: (_IN_LESS, _OUT_MORE),
    Kind.REQUIRED_PROPERTY_ADDED_TO_OPEN: (_IN_LESS, _NAMED),
    Kind.REQUIRED_ADDED: _LESS,
    Kind.REQUIRED_REMOVED: (
        Rule(
            RISKY, "the adapter may count on it", "let the adapter decide what its absence means, then accept"
        ),
        Rule(BREAKING, "the provider may count on it", _NEW_VERSION),
    ),
    Kind.ADDITIONAL_TIGHTENED: _LESS,
    Kind.ADDITIONAL_OPENED: (
        Rule(
            RISKY,
            "members pass that nobody reads, misspelt ones among them",
            "keep it strict, or make sure that no unread member can mean money",
        ),
        _OUT_MORE,
    ),
    Kind.TYPE_CHANGED: (_OTHER, _OTHER),
    Kind.TYPE_ADDED: _MORE,
    Kind.TYPE_REMOVED: _LESS,
    Kind.ALTERNATIVE_ADDED: _MORE,
    Kind.ALTERNATIVE_REMOVED: _LESS,
    Kind.CONST_CHANGED: (_OTHER, _OTHER),
    Kind.VALUE_ADDED: _MORE,
    Kind.VALUE_REMOVED: _LESS,
    Kind.VALUES_RESTRICTED: _LESS,
    Kind.VALUES_UNRESTRICTED: _MORE,
    Kind.TEXT_RULE_CHANGED: (_OTHER, _OTHER),
    Kind.TEXT_RULE_ADDED: _LESS,
    Kind.TEXT_RULE_REMOVED: _MORE,
    Kind.BOUND_TIGHTENED: _LESS,
    Kind.BOUND_LOOSENED: _MORE,
    Kind.BOUND_CHANGED: (_OTHER, _OTHER),
    Kind.DEFAULT_CHANGED: (
        Rule(RISKY, "a body without it means something else", "check what leaves it out, then accept"),
        Rule(RISKY, "a body without it means something else", "check what leaves it out, then accept"),
    ),
    Kind.MONEY_WORDS_CHANGED: (
        Rule(RISKY, "words about money tell how an amount is read", "check units and scale, then accept"),
        Rule(RISKY, "words about money tell how an amount is read", "check units and scale, then accept"),
    ),
    Kind.WORDS_CHANGED: (_HARMLESS, _HARMLESS),
    Kind.REWRITTEN: (_HARMLESS, _HARMLESS),
    Kind.NOT_UNDERSTOOD: (_UNKNOWN, _UNKNOWN),
}
"""The rule for each kind: inbound, outbound."""


def find_changes(old: Mapping[str, Schema], new: Mapping[str, Schema]) -> tuple[Change, ...]:
    """Every change from the old schemas to the new ones, by file, judged; raises SchemaUnreadable.

    A schema is judged by the direction that its new version has.
    """
    is_nothing_changed = _texts(old) == _texts(new)
    changes: list[Change] = []
    for name in sorted(old.keys() | new.keys()):
        schema = new.get(name) or old[name]
        try:
            differences = _differences(old.get(name), new.get(name), is_nothing_changed=is_nothing_changed)
        except SchemaUnreadable as error:
            raise SchemaUnreadable(f"{name}: {error}") from error
        changes += (_judged(schema, difference) for difference in differences)
    return tuple(changes)


def worst_of(changes: Iterable[Change]) -> Severity:
    """The gravest class among changes; safe when there is none."""
    return max((change.severity for change in changes), key=lambda severity: severity.rank, default=SAFE)


def _texts(schemas: Mapping[str, Schema]) -> dict[str, str]:
    return {name: text_of(schema.document) for name, schema in schemas.items()}


def _differences(old: Schema | None, new: Schema | None, *, is_nothing_changed: bool) -> list[Difference]:
    if old is None:
        return [Difference(ROOT, Kind.FILE_ADDED, "the schema is new")]
    if new is None:
        return [Difference(ROOT, Kind.FILE_REMOVED, "the schema is gone")]
    comparison = Comparison(old.document, new.document, is_nothing_changed=is_nothing_changed)
    found = _heading(old, new)
    differences = comparison.differences()
    if found and [difference.kind for difference in differences] == [Kind.REWRITTEN]:
        return found
    return found + differences


def _heading(old: Schema, new: Schema) -> list[Difference]:
    """What differs in members of the root that say nothing about bodies by themselves."""
    found = []
    if old.direction != new.direction or old.is_declared != new.is_declared:
        is_other = old.is_declared and old.direction != new.direction
        kind = Kind.DIRECTION_CHANGED if is_other else Kind.DIRECTION_DECLARED
        said = [item.direction if item.is_declared else "none" for item in (old, new)]
        found.append(Difference(ROOT, kind, f"{DIRECTION_MEMBER}: {said[0]} → {said[1]}"))
    dialects = [_member(schema, "$schema") for schema in (old, new)]
    if dialects[0] != dialects[1]:
        what = f"the dialect differs: {dialects[0]} → {dialects[1]}"
        found.append(Difference(ROOT, Kind.NOT_UNDERSTOOD, what))
    return found


def _member(schema: Schema, name: str) -> str:
    document = schema.document
    return text_of(document[name]) if isinstance(document, Mapping) and name in document else "none"


def _judged(schema: Schema, difference: Difference) -> Change:
    rule = RULES[difference.kind][schema.direction is Direction.OUTBOUND]
    return Change(
        schema.name, difference.path, difference.kind, difference.what,
        rule.severity, schema.direction, rule.why, rule.advice,
    )  # fmt: skip
