"""The part of RFC 8941 that signed messages use: dictionaries of items and inner lists, strict and bounded."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, assert_never

from .refusal import malformed

MAX_FIELD_BYTES: Final = 8192
MAX_MEMBERS: Final = 8
MAX_ITEMS: Final = 32
MAX_PARAMETERS: Final = 16

_KEY: Final = re.compile(r"[a-z*][a-z0-9_\-.*]{0,63}")
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}(?![0-9.])")
_STRING: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+\-.^_`|~:/0-9A-Za-z]*")
_BYTES: Final = re.compile(r":([A-Za-z0-9+/]*={0,2}):")
_BOOLEAN: Final = re.compile(r"\?([01])")
_ESCAPE: Final = re.compile(r'\\(["\\])')
_TO_ESCAPE: Final = re.compile(r'(["\\])')
_SPACES: Final = re.compile(r" *")
_SPACES_AND_TABS: Final = re.compile(r"[ \t]*")


@dataclass(frozen=True, slots=True)
class Token:
    """A word without quotes."""

    text: str


BareItem = bool | int | str | bytes | Token
Parameters = tuple[tuple[str, BareItem], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One value and its parameters, in the order written."""

    value: BareItem
    parameters: Parameters = ()


@dataclass(frozen=True, slots=True)
class InnerList:
    """Items in parentheses and the parameters of the whole."""

    items: tuple[Item, ...]
    parameters: Parameters = ()


def parse_dictionary(field: bytes) -> dict[str, Item | InnerList]:
    """The members of a dictionary field (RFC 8941, 4.2.2), at least one.

    Total: returns or raises SignatureRefused (malformed). Stricter than the RFC: a key given twice, decimals,
    base64 that is not the one way to write its bytes, and anything beyond the bounds above are refused.
    """
    if len(field) > MAX_FIELD_BYTES:
        raise malformed(f"the field is longer than {MAX_FIELD_BYTES} bytes")
    reader = _Reader(field.decode("latin-1").strip(" "))
    found: dict[str, Item | InnerList] = {}
    while True:
        key = reader.take(_KEY, "a key").group()
        if key in found:
            raise malformed(f"{key} is given twice")
        found[key] = reader.read_member() if reader.takes("=") else Item(True, reader.read_parameters())
        if len(found) > MAX_MEMBERS:
            raise malformed(f"there are more than {MAX_MEMBERS} members")
        reader.skip(_SPACES_AND_TABS)
        if reader.is_at_end():
            return found
        if not reader.takes(","):
            raise malformed("members are not separated by a comma")
        reader.skip(_SPACES_AND_TABS)


def parse_item(text: str) -> Item:
    """A single item with its parameters; SignatureRefused (malformed) for anything else."""
    reader = _Reader(text)
    item = reader.read_item()
    if not reader.is_at_end():
        raise malformed("something follows the item")
    return item


class _Reader:
    """A position in a text; every method moves it on or raises SignatureRefused (malformed)."""

    __slots__ = ("_at", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def is_at_end(self) -> bool:
        return self._at == len(self._text)

    def take(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise malformed(f"{what} was expected at character {self._at + 1} of the field")
        self._at = match.end()
        return match

    def takes(self, character: str) -> bool:
        is_next = self._text.startswith(character, self._at)
        self._at += is_next
        return is_next

    def skip(self, pattern: re.Pattern[str]) -> bool:
        return bool(self.take(pattern, "").group())

    def read_member(self) -> Item | InnerList:
        return self._read_inner_list() if self.takes("(") else self.read_item()

    def _read_inner_list(self) -> InnerList:
        items: list[Item] = []
        is_separated = True
        while True:
            is_separated |= self.skip(_SPACES)
            if self.takes(")"):
                return InnerList(tuple(items), self.read_parameters())
            if not is_separated:
                raise malformed("items of a list are not separated by a space")
            if len(items) == MAX_ITEMS:
                raise malformed(f"a list has more than {MAX_ITEMS} items")
            items.append(self.read_item())
            is_separated = False

    def read_item(self) -> Item:
        return Item(self._read_bare_item(), self.read_parameters())

    def read_parameters(self) -> Parameters:
        found: dict[str, BareItem] = {}
        while self.takes(";"):
            self.skip(_SPACES)
            key = self.take(_KEY, "the name of a parameter").group()
            if key in found:
                raise malformed(f"{key} is given twice")
            if len(found) == MAX_PARAMETERS:
                raise malformed(f"there are more than {MAX_PARAMETERS} parameters")
            found[key] = self._read_bare_item() if self.takes("=") else True
        return tuple(found.items())

    def _read_bare_item(self) -> BareItem:
        for pattern, read in _BARE_ITEMS:
            match = pattern.match(self._text, self._at)
            if match is not None:
                self._at = match.end()
                return read(match)
        raise malformed(f"no value can be read at character {self._at + 1} of the field")


def _read_bytes(match: re.Match[str]) -> bytes:
    return read_base64(match[1])


def read_base64(text: str) -> bytes:
    """The bytes that a standard base64 text stands for; SignatureRefused (malformed) for another spelling."""
    try:
        value = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise malformed("a value is not base64") from None
    if b64encode(value).decode() != text:
        raise malformed("a value is base64 with bits that stand for nothing")
    return value


_BARE_ITEMS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], BareItem]], ...]] = (
    (_STRING, lambda match: _ESCAPE.sub(r"\1", match[1])),
    (_INTEGER, lambda match: int(match.group())),
    (_BYTES, _read_bytes),
    (_BOOLEAN, lambda match: match[1] == "1"),
    (_TOKEN, lambda match: Token(match.group())),
)


def render_item(item: Item) -> str:
    """An item as RFC 8941 (4.1.3) writes it; ValueError for text that no string can hold."""
    return _render_bare_item(item.value) + _render_parameters(item.parameters)


def render_inner_list(inner: InnerList) -> str:
    """An inner list as RFC 8941 (4.1.1.1) writes it; errors as in `render_item`."""
    return f"({' '.join(map(render_item, inner.items))}){_render_parameters(inner.parameters)}"


def _render_parameters(parameters: Iterable[tuple[str, BareItem]]) -> str:
    return "".join(
        f";{key}" if value is True else f";{key}={_render_bare_item(value)}" for key, value in parameters
    )


def _render_bare_item(value: BareItem) -> str:
    match value:
        case bool():
            return f"?{value:d}"
        case int():
            return str(value)
        case bytes():
            return f":{b64encode(value).decode()}:"
        case Token(text):
            return text
        case str():
            text = '"' + _TO_ESCAPE.sub(r"\\\1", value) + '"'
            if _STRING.fullmatch(text) is None:
                raise ValueError("a string holds printable ASCII only")
            return text
        case _:
            assert_never(value)
