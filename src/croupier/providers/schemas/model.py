"""What a comparison of schemas speaks about: schemas with a direction, differences, judged changes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

from msgspec import Struct


class SchemaUnreadable(Exception):
    """The input is no JSON Schema that can be compared; the text names the file and what is wrong."""


class Direction(StrEnum):
    """Who writes the bodies of a schema: the provider (inbound) or we (outbound)."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


DIRECTION_MEMBER: Final = "x-direction"
DEFAULT_DIRECTION: Final = Direction.INBOUND


class Severity(StrEnum):
    """How much a change can hurt whoever still works by the old schema."""

    SAFE = "safe"
    RISKY = "risky"
    BREAKING = "breaking"

    @property
    def rank(self) -> int:
        return ("safe", "risky", "breaking").index(self.value)


class Kind(StrEnum):
    """What was changed. Every kind has a rule in `classify.RULES`."""

    FILE_REMOVED = "file_removed"
    FILE_ADDED = "file_added"
    DIRECTION_CHANGED = "direction_changed"
    DIRECTION_DECLARED = "direction_declared"
    PROPERTY_REMOVED = "property_removed"
    PROPERTY_ADDED = "property_added"
    PROPERTY_ADDED_TO_OPEN = "property_added_to_open"
    REQUIRED_PROPERTY_ADDED = "required_property_added"
    REQUIRED_PROPERTY_ADDED_TO_OPEN = "required_property_added_to_open"
    REQUIRED_ADDED = "required_added"
    REQUIRED_REMOVED = "required_removed"
    ADDITIONAL_TIGHTENED = "additional_tightened"
    ADDITIONAL_OPENED = "additional_opened"
    TYPE_CHANGED = "type_changed"
    TYPE_ADDED = "type_added"
    TYPE_REMOVED = "type_removed"
    ALTERNATIVE_ADDED = "alternative_added"
    ALTERNATIVE_REMOVED = "alternative_removed"
    CONST_CHANGED = "const_changed"
    VALUE_ADDED = "value_added"
    VALUE_REMOVED = "value_removed"
    VALUES_RESTRICTED = "values_restricted"
    VALUES_UNRESTRICTED = "values_unrestricted"
    TEXT_RULE_CHANGED = "text_rule_changed"
    TEXT_RULE_ADDED = "text_rule_added"
    TEXT_RULE_REMOVED = "text_rule_removed"
    BOUND_TIGHTENED = "bound_tightened"
    BOUND_LOOSENED = "bound_loosened"
    BOUND_CHANGED = "bound_changed"
    DEFAULT_CHANGED = "default_changed"
    MONEY_WORDS_CHANGED = "money_words_changed"
    WORDS_CHANGED = "words_changed"
    REWRITTEN = "rewritten"
    NOT_UNDERSTOOD = "not_understood"


class Schema(Struct, frozen=True):
    """One schema file; `is_declared` tells whether the direction stands in it or is the default."""

    name: str
    document: Any
    direction: Direction
    is_declared: bool


class Difference(Struct, frozen=True):
    """One thing that two versions of a schema say differently, before anybody judges it.

    `path` names the member, such as `bet.amount`, `results[]` or `limits.*`; `$` is the whole document.
    """

    path: str
    kind: Kind
    what: str


class Change(Struct, frozen=True):
    """A difference with its file, its class, why it has that class, and what to do about it."""

    file: str
    path: str
    kind: Kind
    what: str
    severity: Severity
    direction: Direction
    why: str
    advice: str
