"""The canonical form of one request: seven lines of bytes, the same in every language."""

from __future__ import annotations

import re

from .digest import payload_digest
from .refusal import malformed

SCHEME = "CROUPIER1-HMAC-SHA256"
MAX_TIMESTAMP_S = 10**12 - 1
NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")

_SCHEME_LINE = SCHEME.encode()
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
_TO_NORMALISE = re.compile(rb"[%\x00-\x1f\x7f-\xff]")
# A raw LF would blur where one line ends and the next begins, so control bytes are refused as well.
_NEVER_RAW = re.compile(rb"[\x00-\x1f\x7f-\xff]")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def canonical_request(
    *, method: str, path: bytes, query: bytes, timestamp_s: int, nonce: str, body: bytes
) -> bytes:
    """The bytes a signature covers: seven lines joined by LF, no trailing newline.

    `path` and `query` are bytes as sent on the public side, the query without its `?`. Raises
    SignatureRefused (malformed) for a method, path or query no signature can cover, ValueError for a
    timestamp or nonce that `parse_authorization` would not let through.
    """
    if NONCE.fullmatch(nonce) is None:
        raise ValueError("a nonce is 16-64 of A-Za-z0-9_-")
    if not 0 <= timestamp_s <= MAX_TIMESTAMP_S:
        raise ValueError("a timestamp is whole seconds since 1970, at most 12 digits")
    return b"\n".join(
        (
            _SCHEME_LINE,
            normalise_method(method),
            normalise_path(path),
            normalise_query(query),
            b"%d" % timestamp_s,
            nonce.encode(),
            payload_digest(body).encode(),
        )
    )


def normalise_method(method: str) -> bytes:
    """The method in upper case; SignatureRefused (malformed) unless it is an HTTP token of at most 32."""
    if _METHOD.fullmatch(method) is None:
        raise malformed("the method is not an HTTP token")
    return method.upper().encode()


def normalise_path(path: bytes) -> bytes:
    """The path with its percent-encoding normalised, `/` when empty; dot segments stay (RFC 3986, 6.2.2)."""
    return _normalise(path, "path") if path else b"/"


def normalise_query(query: bytes) -> bytes:
    """The query's `name=value` pairs, each side normalised, sorted bytewise by name and then value."""
    if not query:
        return b""
    # Sorting the joined text would be wrong: `a-=1` is before `a=1` as text, but the name `a` is before `a-`.
    pairs = sorted(_pair(part) for part in query.split(b"&") if part)
    return b"&".join([name + b"=" + value for name, value in pairs])


def _pair(part: bytes) -> tuple[bytes, bytes]:
    name, _, value = part.partition(b"=")
    return _normalise(name, "query"), _normalise(value, "query")


def _normalise(text: bytes, where: str) -> bytes:
    if _TO_NORMALISE.search(text) is None:
        return text
    if _NEVER_RAW.search(text) is not None:
        raise malformed(f"the {where} has a control byte or a raw byte outside ASCII")
    if _BAD_ESCAPE.search(text) is not None:
        raise malformed(f"the {where} has a % that two hex digits do not follow")
    return _ESCAPE.sub(_normalise_escape, text)


def _normalise_escape(match: re.Match[bytes]) -> bytes:
    byte = int(match.group(1), 16)
    return bytes((byte,)) if byte in _UNRESERVED else match.group().upper()
