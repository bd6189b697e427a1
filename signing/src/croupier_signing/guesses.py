"""What signers get wrong: ways another implementation may have built the signed bytes, for diagnosis only."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations
from typing import Literal
from urllib.parse import unquote_to_bytes

from .canonical import SCHEME

Part = Literal["method", "path", "query", "ts", "nonce", "body", "secret", "separator", "ending"]
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
_MAX_PREFIXES = 4


@dataclass(frozen=True, slots=True)
class Attempt:
    """Everything one HMAC is computed from, part by part."""

    secret: bytes
    method: bytes
    path: bytes
    query: bytes
    ts: bytes
    nonce: bytes
    body: bytes
    separator: bytes = b"\n"
    ending: bytes = b""

    def message(self) -> bytes:
        """The bytes under the HMAC; `body` is the digest's line."""
        lines = (SCHEME.encode(), self.method, self.path, self.query, self.ts, self.nonce, self.body)
        return self.separator.join(lines) + self.ending


@dataclass(frozen=True, slots=True)
class Guess:
    """One part built in another way, and how to tell the signer so."""

    part: Part
    value: bytes
    message: str

    def applied_to(self, attempt: Attempt) -> Attempt:
        """The attempt with this part replaced."""
        return replace(attempt, **{self.part: self.value})


@dataclass(frozen=True, slots=True)
class RawRequest:
    """The request as received, before anything is normalised."""

    method: str
    path: bytes
    query: bytes
    body: bytes


def plan_attempts(base: Attempt, request: RawRequest) -> Iterator[tuple[tuple[Guess, ...], Attempt]]:
    """Every single mistake, then every two in different parts: at most a few thousand attempts."""
    guesses = [guess for guess in _all_guesses(base, request) if getattr(base, guess.part) != guess.value]
    for guess in guesses:
        yield (guess,), guess.applied_to(base)
    for first, second in combinations(guesses, 2):
        if first.part != second.part:
            yield (first, second), second.applied_to(first.applied_to(base))


def _all_guesses(base: Attempt, request: RawRequest) -> Iterator[Guess]:
    yield from _method_guesses(request)
    yield from _path_guesses(base, request)
    yield from _query_guesses(base, request)
    yield from _clock_guesses(base)
    yield from _body_guesses(base, request.body)
    yield from secret_guesses(base.secret)
    yield Guess("separator", b"\r\n", "the lines were joined by CRLF; they are joined by LF")
    yield Guess("separator", b"", "the lines were joined by nothing; they are joined by LF")
    yield Guess("separator", b"\\n", "the lines were joined by a backslash and an n; they are joined by LF")
    yield Guess("ending", b"\n", "a newline was signed after the last line; there is none")


def _method_guesses(request: RawRequest) -> Iterator[Guess]:
    for spelling in (request.method.lower(), request.method.title(), request.method):
        yield Guess("method", spelling.encode(), f"{spelling} was signed; the method is signed in upper case")
    for other in _METHODS:
        yield Guess("method", other.encode(), f"{other} was signed but {request.method} was sent")


def _path_guesses(base: Attempt, request: RawRequest) -> Iterator[Guess]:
    raw, line = request.path, base.path
    yield Guess("path", raw, "the path was signed as sent; its percent-encoding must be normalised")
    yield Guess(
        "path", unquote_to_bytes(raw), "the path was signed percent-decoded; only unreserved characters are"
    )
    yield Guess("path", line.rstrip(b"/"), "the path was signed without its trailing slash")
    yield Guess("path", line + b"/", "the path was signed with a trailing slash that was not sent")
    for query in (request.query, base.query):
        yield Guess("path", line + b"?" + query, "the query was signed on the path's line as well")
    parts = line.split(b"/")
    for count in range(2, min(len(parts), _MAX_PREFIXES + 2)):
        shown = b"/".join(parts[:count]).decode("ascii", "replace")
        yield Guess(
            "path", b"/" + b"/".join(parts[count:]), f"the path was signed without its prefix {shown}"
        )


def _query_guesses(base: Attempt, request: RawRequest) -> Iterator[Guess]:
    raw, pairs = request.query, base.query.split(b"&")
    unsorted = b"&".join(_as_sent(raw, base.query))
    yield Guess("query", b"", "the query was not signed")
    yield Guess("query", raw, "the query was signed as sent; it must be sorted and normalised")
    yield Guess(
        "query", unsorted, "the query was signed in the order sent; pairs are sorted by name, then value"
    )
    yield Guess(
        "query", b"&".join(sorted(pairs)), "whole pairs were sorted as text; sort by name, then by value"
    )
    yield Guess("query", b"?" + raw, "the query was signed with its question mark")
    yield Guess("query", b"?" + base.query, "the query was signed with its question mark")
    yield Guess("query", unquote_to_bytes(base.query), "the query was signed percent-decoded")
    yield Guess("query", base.query.replace(b"+", b"%20"), "+ was signed as %20; + stays +")
    yield Guess("query", base.query.replace(b"%20", b"+"), "%20 was signed as +; %20 stays %20")
    bare = b"&".join(pair.removesuffix(b"=") for pair in pairs)
    yield Guess("query", bare, "a name without a value was signed without =; it is signed as name=")
    for order in (pairs, list(_as_sent(raw, base.query))):
        for single in (_one_per_name(order), _one_per_name(order[::-1])):
            yield Guess("query", single, "only one value of a repeated name was signed; repeats are kept")


def _one_per_name(pairs: list[bytes]) -> bytes:
    last = {pair.partition(b"=")[0]: pair for pair in pairs}
    return b"&".join(last[name] for name in sorted(last))


def _as_sent(raw: bytes, normalised: bytes) -> Iterator[bytes]:
    by_meaning = {unquote_to_bytes(pair): pair for pair in normalised.split(b"&")}
    for part in filter(None, raw.split(b"&")):
        pair = part if b"=" in part else part + b"="
        yield by_meaning.get(unquote_to_bytes(pair), pair)


def _clock_guesses(base: Attempt) -> Iterator[Guess]:
    yield Guess("ts", base.ts + b"000", "the timestamp was signed in milliseconds; the header has seconds")
    yield Guess("ts", base.ts[:-3], "the timestamp was signed in seconds but sent in milliseconds")
    yield Guess("ts", b"", "the timestamp was not signed")
    yield Guess("nonce", b"", "the nonce was not signed")
    yield Guess("nonce", base.nonce.lower(), "the nonce was signed in lower case")


def _body_guesses(base: Attempt, body: bytes) -> Iterator[Guess]:
    digest = bytes.fromhex(base.body.decode())
    yield Guess("body", base.body.upper(), "the body's digest was signed in upper-case hex; it is lower case")
    yield Guess(
        "body", base64.b64encode(digest), "the body's digest was signed in base64; it is lower-case hex"
    )
    yield Guess("body", body, "the body itself was signed; its SHA-256 in lower-case hex is")
    for other, message in other_bodies(body):
        yield Guess("body", sha256(other).hexdigest().encode(), message)


def other_bodies(body: bytes) -> Iterator[tuple[bytes, str]]:
    """Bodies that may have been signed in place of this one, each with how to tell the signer so."""
    yield b"", "an empty body was signed but a body was sent"
    yield body.strip(), "the body was signed without the white space around it"
    yield body + b"\n", "the body was signed with a newline at the end that was not sent"
    yield body.replace(b"\r\n", b"\n"), "the body was signed with LF line ends but sent with CRLF"
    yield body.removeprefix(b"\xef\xbb\xbf"), "the body was signed without its byte order mark"
    for spelling, how in _json_spellings(body):
        yield spelling, f"the body was parsed and written again ({how}) before it was signed"


def _json_spellings(body: bytes) -> Iterator[tuple[bytes, str]]:
    try:
        value = json.loads(body)
        compact = json.dumps(value, separators=(",", ":"))
    except (ValueError, RecursionError):
        return
    yield compact.encode(), "compact JSON, \\u escapes"
    yield _dump(value, separators=(",", ":")), "compact JSON"
    yield _dump(value), "JSON with spaces"
    yield json.dumps(value).encode(), "JSON with spaces, \\u escapes"
    yield _dump(value, separators=(",", ":"), sort_keys=True), "compact JSON, sorted keys"
    yield _dump(value, sort_keys=True), "JSON with spaces, sorted keys"
    yield _dump(value, indent=2), "JSON indented by 2"
    yield _dump(value, indent=4), "JSON indented by 4"
    yield compact.replace("/", "\\/").encode(), "compact JSON, escaped slashes"


def _dump(
    value: object,
    *,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
    indent: int | None = None,
) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=separators, sort_keys=sort_keys, indent=indent)
    return text.encode("utf-8", "surrogatepass")


def secret_guesses(secret: bytes) -> Iterator[Guess]:
    """The secret as it may have been handed over, misread; the messages never hold it."""
    yield Guess("secret", secret.hex().encode(), "the signer used the hex text of the secret, not its bytes")
    yield Guess(
        "secret", base64.b64encode(secret), "the signer used the base64 text of the secret, not its bytes"
    )
    yield Guess(
        "secret", base64.urlsafe_b64encode(secret), "the signer used the base64url text of the secret"
    )
    unpadded = base64.urlsafe_b64encode(secret).rstrip(b"=")
    yield Guess("secret", unpadded, "the signer used the unpadded base64url text of the secret")
    yield Guess(
        "secret", secret.strip(), "the secret here has white space around it that the signer's has not"
    )
    yield Guess("secret", secret + b"\n", "the signer's secret ends with a newline")
    padded = secret + b"=" * (-len(secret) % 4)
    for decode, how in (
        (bytes.fromhex, "hex"),
        (base64.b64decode, "base64"),
        (base64.urlsafe_b64decode, "base64url"),
    ):
        try:
            decoded = decode(padded.decode("ascii"))
        except (ValueError, binascii.Error):
            continue
        yield Guess("secret", decoded, f"the signer decoded the secret from {how}; here its text is used")
