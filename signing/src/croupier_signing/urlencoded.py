"""`application/x-www-form-urlencoded` text as pairs: bounded, strict, total."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from .refusal import malformed

Pairs = tuple[tuple[str, str], ...]

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def parse_urlencoded(text: bytes, *, max_bytes: int, max_pairs: int) -> Pairs:
    """Names and values in the order sent, `+` read as a space, a bare name as an empty value, empty parts dropped.

    Raises SignatureRefused (malformed): too many bytes or pairs, a `%` without two hex digits, bytes that are not
    UTF-8, an empty name, a name given twice.
    """
    if len(text) > max_bytes:
        raise malformed(f"the parameters are longer than {max_bytes} bytes")
    parts = [part for part in text.split(b"&") if part]
    if len(parts) > max_pairs:
        raise malformed(f"there are more than {max_pairs} parameters")
    pairs = tuple([_pair(part) for part in parts]) if b"%" in text else _plain_pairs(text)
    require_distinct(pairs)
    return pairs


def require_distinct(pairs: Pairs) -> None:
    """SignatureRefused (malformed) for an empty name or one given twice: receivers differ in which value they take."""
    names = {name for name, _ in pairs}
    if "" in names:
        raise malformed("a parameter has no name")
    if len(names) != len(pairs):
        raise malformed("a parameter is given twice")


def encode_text(text: str) -> bytes:
    """The UTF-8 of a text; SignatureRefused (malformed) for half a surrogate pair, which has none."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise malformed("a text cannot be written as UTF-8") from None


def _plain_pairs(text: bytes) -> Pairs:
    """All at once where nothing is escaped: every call of a protocol of forms is read twice here."""
    parts = _utf8(text.replace(b"+", b" ")).split("&")
    return tuple([(name, value) for name, _, value in [part.partition("=") for part in parts if part]])


def _pair(part: bytes) -> tuple[str, str]:
    name, _, value = part.partition(b"=")
    return _decode(name), _decode(value)


def _decode(text: bytes) -> str:
    if b"%" not in text:
        return _utf8(text.replace(b"+", b" "))
    if _BAD_ESCAPE.search(text) is not None:
        raise malformed("a parameter has a % that two hex digits do not follow")
    return _utf8(unquote_to_bytes(text.replace(b"+", b" ")))


def _utf8(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise malformed("a parameter is not UTF-8") from None
