"""JSON from outside, read strictly and within bounds: one reading, or a refusal that names the member.

msgspec checks grammar, types and unknown members. The scan before it refuses what msgspec lets through and
another parser could read differently: repeated names, depth, exponents, long numbers, NUL, and bad UTF-8 in
members kept as raw text. It is exact for every JSON text; what is not JSON may pass the scan and is then
refused by msgspec.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from croupier.errors import MALFORMED, CroupierError

T = TypeVar("T")

ROOT: Final = "$"
"""The name of the whole document where an error names a member."""

MAX_ODDITIES: Final = 8
"""How many unknown members of one body are reported."""

_SHOWN_CHARACTERS: Final = 64
# One capture group, so that splitting gives structure and contents in turn, as splitting at quotes does. A
# string that never ends runs to the end of the text: else every later quote would be tried, in square time.
_STRING: Final = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)(?:"|\\?\Z)', re.DOTALL)
_MARK: Final = re.compile(r"[{}\[\]:]|[^ \t\n\r{}\[\],:]+")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_WITH_EXPONENT: Final = re.compile(_NUMBER.pattern + r"(?:[eE][+-]?[0-9]{1,3})?")
_WORDS: Final = frozenset({"true", "false", "null"})
_PLAIN_COLONS: Final = frozenset({":", ": "})
_PLAIN_COMMAS: Final = frozenset({",", ", "})
_MISSING_OR_UNKNOWN: Final = re.compile(
    r"Object (missing required|contains unknown) field `(.*?)`", re.DOTALL
)
_READ_STRING: Final = msgspec.json.Decoder(str)


class JsonLimits(Struct, frozen=True, gc=False, kw_only=True):
    """Bounds of one document: nesting, members of all objects, characters of a text and of a number."""

    max_depth: int = 32
    max_keys: int = 1024
    max_string: int = 16_384
    max_number: int = 40
    allows_exponents: bool = False
    """Only for protocols whose money is read from its own text; a number elsewhere then moves nothing."""


DEFAULT_LIMITS: Final = JsonLimits()


def decode_strict(decoder: msgspec.json.Decoder[T], body: bytes, limits: JsonLimits = DEFAULT_LIMITS) -> T:
    """Read a body whose types are the decoder's; structs should forbid unknown fields.

    Raises CroupierError (malformed), `field` being the member's path such as `bet.amount`, or `$` for all of
    it.
    """
    _scan(_text_of(body), limits)
    return _decode(decoder, body)


def decode_part(decoder: msgspec.json.Decoder[T], part: msgspec.Raw) -> T:
    """Read a member that `decode_strict` left as raw text, which it has looked through already. Raises likewise.

    `field` is the path below that member.
    """
    return _decode(decoder, part)


def decode_tolerant(
    decoder: msgspec.json.Decoder[T],
    body: bytes,
    known: frozenset[str],
    limits: JsonLimits = DEFAULT_LIMITS,
) -> tuple[T, tuple[str, ...]]:
    """Read a body of a protocol that may add members, as `decode_strict` does otherwise.

    Also returns the names, at any depth, that are not `known`: at most MAX_ODDITIES, sorted and shortened.
    """
    seen = _scan(_text_of(body), limits)
    value = _decode(decoder, body)
    if seen <= known:
        return value, ()
    return value, tuple(_shown(name) for name in sorted(seen - known)[:MAX_ODDITIES])


def _decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _refused_value(str(error)) from None
    except msgspec.DecodeError as error:
        raise _malformed(ROOT, f"the body is not one JSON document: {error}") from None


def _text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise _malformed(ROOT, f"the body must be UTF-8: byte {error.start} is not") from None


def _scan(text: str, limits: JsonLimits) -> set[str]:
    if "\\" in text:
        parts = _STRING.split(text)
        _check_escapes(parts)
    else:
        parts = text.split('"')
    if len(text) > limits.max_string:
        _check_lengths(parts, limits)
    walk = _Walk(limits)
    structure = parts[::2]
    strings = parts[1::2]
    strings.append("")
    before = ""
    for segment, after in zip(structure, strings, strict=False):
        # Nearly every piece between two strings is one of these; the rest is taken apart.
        if segment in _PLAIN_COLONS:
            walk.name(before)
        elif segment not in _PLAIN_COMMAS:
            walk.marks(segment, before)
        before = after
    return walk.seen


class _Walk:
    """Where the scan is: the names met in the current object, and those of the objects around it."""

    __slots__ = ("_around", "_last", "_limits", "_names", "_total", "seen")

    def __init__(self, limits: JsonLimits) -> None:
        self._limits = limits
        self._names: set[str] = set()
        self._around: list[tuple[set[str], str]] = []
        self._last = ""
        self._total = 0
        self.seen: set[str] = set()
        """Every name met, at any depth."""

    def name(self, raw: str) -> None:
        """Take a member's name in; `raw` is the text between its quotes."""
        name = raw if "\\" not in raw else _unescape(raw)
        if name in self._names:
            raise _malformed(self._path(name), "a member may be given once only")
        self._names.add(name)
        self.seen.add(name)
        self._last = name
        self._total += 1
        if self._total > self._limits.max_keys:
            raise _malformed(ROOT, f"the body has more than {self._limits.max_keys} members")

    def marks(self, segment: str, before: str) -> None:
        """Take in what stands between two strings; `before` is the string in front of it."""
        for mark in _MARK.findall(segment):
            if mark == ":":
                self.name(before)
            elif mark in ("{", "["):
                self._enter()
            elif mark in ("}", "]"):
                self._leave()
            else:
                self._literal(mark)

    def _enter(self) -> None:
        self._around.append((self._names, self._last))
        if len(self._around) > self._limits.max_depth:
            raise _malformed(ROOT, f"the body is nested deeper than {self._limits.max_depth} levels")
        self._names, self._last = set(), ""

    def _leave(self) -> None:
        if not self._around:
            raise _malformed(ROOT, "the body closes more than it opens")
        self._names, self._last = self._around.pop()

    def _literal(self, token: str) -> None:
        if token in _WORDS:
            return
        form = _WITH_EXPONENT if self._limits.allows_exponents else _NUMBER
        if form.fullmatch(token) is None:
            raise _malformed(self._path(self._last), _bad_literal(token))
        if len(token) > self._limits.max_number:
            raise _malformed(
                self._path(self._last),
                f"a number has at most {self._limits.max_number} characters; send text",
            )

    def _path(self, name: str) -> str:
        return (
            ".".join(_shown(part) for part in (*(outer for _, outer in self._around), name) if part) or ROOT
        )


def _check_escapes(parts: list[str]) -> None:
    for raw in parts[1::2]:
        if "\\u" in raw and "\0" in _unescape(raw):
            raise _malformed(_name_before(parts, raw), "a text must not contain NUL (\\u0000)")


def _unescape(raw: str) -> str:
    try:
        return _READ_STRING.decode(f'"{raw}"')
    except msgspec.DecodeError as error:
        raise _malformed(ROOT, f"the body has a text that is not Unicode: {error}") from None


def _check_lengths(parts: list[str], limits: JsonLimits) -> None:
    for raw in parts[1::2]:
        if len(raw) > limits.max_string:
            raise _malformed(_name_before(parts, raw), f"a text has at most {limits.max_string} characters")


def _name_before(parts: list[str], raw: str) -> str:
    """The last member name at or before a string, for messages only."""
    at = parts.index(raw, 1)
    for position in range(at, 0, -2):
        if position + 1 < len(parts) and parts[position + 1].lstrip(" \t\n\r").startswith(":"):
            return _shown(parts[position]) or ROOT
    return ROOT


def _bad_literal(token: str) -> str:
    if token.lstrip("-")[:1].isdigit():
        return f"{_shown(token)} must be a plain number, without exponent, sign + or leading zero"
    return f"{_shown(token)} is no JSON value"


def _refused_value(message: str) -> CroupierError:
    said, _, path = message.partition(" - at `$")
    path = path.removesuffix("`").removeprefix(".")
    about = _MISSING_OR_UNKNOWN.match(said)
    if about is None:
        return _malformed(_shown(path) or ROOT, said)
    field = f"{path}.{about[2]}" if path else about[2]
    detail = "it is required" if about[1] == "missing required" else "there is no such member here"
    return _malformed(_shown(field), detail)


def _malformed(field: str, detail: str) -> CroupierError:
    said = detail if field == ROOT else f"{field}: {detail}"
    return CroupierError(MALFORMED, said, field=field)


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
