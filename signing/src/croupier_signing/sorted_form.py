"""Sorted form fields merged with headers (Slotegrator GIS): HMAC-SHA1 over what PHP's `http_build_query` writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

from .coverage import Coverage
from .hmac_form import hmac_form
from .keys import SigningKey
from .matching import take_keys
from .refusal import malformed
from .urlencoded import Pairs, encode_text, parse_urlencoded, require_distinct

COVERAGE: Final = Coverage(
    scheme="sorted_form",
    covered=("body", "timestamp", "nonce", "the headers merged in, such as X-Merchant-Id"),
    uncovered=("method", "path", "query", "headers", "the order of the fields and their percent-encoding"),
)
MAX_FORM_BYTES: Final = 262_144
MAX_FORM_PAIRS: Final = 1_000
"""As many as a PHP receiver reads by default (`max_input_vars`)."""
MAX_FORM_DEPTH: Final = 64
"""As deep as a PHP receiver reads by default (`max_input_nesting_level`)."""

_FORM: Final = hmac_form("sha1", "hex")
_NAME: Final = re.compile(rf"([^\[\]]+)(?:\[[^\[\]]+\]){{0,{MAX_FORM_DEPTH - 1}}}")
# What PHP reads as a number: its ksort compares such keys by value, and differently from one version to the next.
_NUMERIC: Final = re.compile(
    r"[ \t\n\r\v\f]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t\n\r\v\f]*"
)
_BEGINS_NUMBER: Final = frozenset(" \t\n\r\v\f+-.0123456789")
_IS_NUMBER: Final = "a field's name is a number, which PHP sorts by value"
_UNESCAPED: Final = re.compile(r"[A-Za-z0-9_.-]*")
# PHP's urlencode leaves fewer bytes alone than RFC 3986: the tilde is escaped, the space is a plus.
_PHP_BYTES: Final = tuple(
    "+" if byte == 0x20 else chr(byte) if re.match(rb"[A-Za-z0-9_.-]", bytes((byte,))) else f"%{byte:02X}"
    for byte in range(256)
)


def read_form(body: bytes) -> Pairs:
    """The names and values of a form body in the order sent, nested names spelled `a[0][b]`.

    Total: whatever the bytes, it returns or raises SignatureRefused (malformed): more than `MAX_FORM_BYTES` or
    `MAX_FORM_PAIRS`, bad percent-encoding, bytes that are not UTF-8, an empty or repeated name. A query is read alike.
    """
    return parse_urlencoded(body, max_bytes=MAX_FORM_BYTES, max_pairs=MAX_FORM_PAIRS)


def build_query(fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> str:
    """The text that is signed: PHP's `http_build_query(ksort(fields and headers))`, RFC 1738 encoding.

    Top-level names are sorted bytewise; what is nested keeps the order sent, each array in one piece. Header names
    are written as the protocol writes them. Raises SignatureRefused (malformed) where PHP's answer would depend on its
    version or on the receiver: more than `MAX_FORM_PAIRS` or `MAX_FORM_DEPTH`, a top-level name that looks like a
    number, `a[]` or brackets that do not nest, a repeated name, one that is both a text and an array or both a field
    and a header.
    """
    if len(fields) > MAX_FORM_PAIRS:
        raise malformed(f"there are more than {MAX_FORM_PAIRS} parameters")
    pairs = (*fields, *headers.items())
    require_distinct(pairs)
    is_nested = any("[" in name or "]" in name for name, _ in pairs)
    ordered = _order_nested(pairs) if is_nested else _order_plain(pairs)
    return "&".join([f"{_php_encode(name)}={_php_encode(value)}" for name, value in ordered])


def sign_sorted_form(key: SigningKey, fields: Sequence[tuple[str, str]], headers: Mapping[str, str]) -> str:
    """HMAC-SHA1 of `build_query`, lower-case hex; errors as there, TypeError for a key that is no shared secret."""
    return _FORM.sign(key, build_query(fields, headers).encode())


def verify_sorted_form(
    keys: Iterable[SigningKey],
    fields: Sequence[tuple[str, str]],
    headers: Mapping[str, str],
    signature: bytes | None,
) -> str:
    """The id of the key that signed; SignatureRefused missing, malformed (signature, fields) or mismatch.

    The caller then judges the timestamp and spends the nonce. TypeError for a key that is not a shared secret,
    ValueError for more than `MAX_KEYS`: before the request is looked at.
    """
    held = take_keys(keys, SigningKey)
    presented = _FORM.read(signature)
    return _FORM.match(held, build_query(fields, headers).encode(), presented)


def _order_plain(pairs: Pairs) -> Sequence[tuple[str, str]]:
    """Without arrays the order is that of the names. Code points sort as their UTF-8 bytes do."""
    for name, _ in pairs:
        if name[0] in _BEGINS_NUMBER and _NUMERIC.fullmatch(name) is not None:
            raise malformed(_IS_NUMBER)
    return sorted(pairs)


def _order_nested(pairs: Pairs) -> Sequence[tuple[str, str]]:
    paths = [_prefixes(name) for name, _ in pairs]
    _require_one_kind(paths)
    appearance = {prefix: place for place, prefix in enumerate(dict.fromkeys(chain.from_iterable(paths)))}
    order = [(path[0], [appearance[prefix] for prefix in path]) for path in paths]
    return [pair for _, pair in sorted(zip(order, pairs, strict=True))]


def _prefixes(name: str) -> list[str]:
    """The arrays a field lies in and the field itself: `a`, `a[0]`, `a[0][b]`."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise malformed("a field's name has brackets that do not nest as a[0][b], or too many")
    if _NUMERIC.fullmatch(match[1]) is not None:
        raise malformed(_IS_NUMBER)
    return [*[name[: bracket.start()] for bracket in re.finditer(r"\[", name)], name]


def _require_one_kind(paths: Sequence[Sequence[str]]) -> None:
    texts = {path[-1] for path in paths}
    if any(prefix in texts for path in paths for prefix in path[:-1]):
        raise malformed("a name is both a text and an array")


def _php_encode(text: str) -> str:
    if _UNESCAPED.fullmatch(text) is not None:
        return text
    return "".join([_PHP_BYTES[byte] for byte in encode_text(text)])
