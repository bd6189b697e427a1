"""Canonical JSON (Swipe Games): HMAC-SHA256 over a body in RFC 8785 form, or over the query written in that form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, cast

import rfc8785

from .coverage import Coverage
from .hmac_form import hmac_form
from .keys import SigningKey
from .matching import take_keys
from .urlencoded import parse_urlencoded

BODY_COVERAGE: Final = Coverage(
    scheme="canonical_body",
    covered=("body",),
    uncovered=("method", "path", "query", "headers", "timestamp", "nonce"),
)
QUERY_COVERAGE: Final = Coverage(
    scheme="canonical_query",
    covered=("query",),
    uncovered=(
        "method",
        "path",
        "body",
        "headers",
        "timestamp",
        "nonce",
        "the order of the parameters and their percent-encoding",
    ),
)
MAX_QUERY_BYTES: Final = 16_384
MAX_QUERY_PAIRS: Final = 256

_FORM: Final = hmac_form("sha256", "hex")


def canonicalise(value: object) -> bytes:
    """The RFC 8785 (JCS) bytes of a JSON value: names sorted by UTF-16 unit, ECMAScript numbers, UTF-8 unescaped.

    ValueError for what JSON cannot carry exactly: NaN and infinities, integers beyond ±(2**53 - 1), half a surrogate
    pair, names that are not texts, other types, values nested too deeply.
    """
    try:
        return rfc8785.dumps(cast(Any, value))
    except RecursionError:
        raise ValueError("the value is nested too deeply for canonical JSON") from None


def canonical_query(query: bytes) -> bytes:
    """The canonical JSON object of a query's parameters, every value a text; `{}` when there is none.

    `query` is the bytes on the wire without the `?`. Raises SignatureRefused (malformed): more than `MAX_QUERY_BYTES`
    or `MAX_QUERY_PAIRS`, bad percent-encoding, bytes that are not UTF-8, an empty or repeated name.
    """
    return canonicalise(dict(parse_urlencoded(query, max_bytes=MAX_QUERY_BYTES, max_pairs=MAX_QUERY_PAIRS)))


def sign_canonical_body(key: SigningKey, body: bytes) -> str:
    """HMAC-SHA256 of these bytes, lower-case hex: send exactly them, made with `canonicalise`.

    TypeError for a key that is not a shared secret.
    """
    return _FORM.sign(key, body)


def verify_canonical_body(keys: Iterable[SigningKey], body: bytes, signature: bytes | None) -> str:
    """The id of the key that signed the body; SignatureRefused missing, malformed or mismatch.

    A body arrives in canonical form, so its bytes are judged as they are and never written again. TypeError for a key
    that is not a shared secret, ValueError for more than `MAX_KEYS`: before the request is looked at.
    """
    return _FORM.verify(keys, body, signature)


def sign_canonical_query(key: SigningKey, query: bytes) -> str:
    """HMAC-SHA256 of `canonical_query`, lower-case hex; errors as there.

    TypeError for a key that is not a shared secret.
    """
    return _FORM.sign(key, canonical_query(query))


def verify_canonical_query(keys: Iterable[SigningKey], query: bytes, signature: bytes | None) -> str:
    """The id of the key that signed the query; SignatureRefused missing, malformed (signature, query) or mismatch.

    TypeError for a key that is not a shared secret, ValueError for more than `MAX_KEYS`: before the request is looked
    at.
    """
    held = take_keys(keys, SigningKey)
    presented = _FORM.read(signature)
    return _FORM.match(held, canonical_query(query), presented)
