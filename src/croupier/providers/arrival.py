"""What arrives over HTTP, within bounds: a request's head, its correlation, its body as the bytes sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import quote

from msgspec import Struct

from croupier.errors import BODY_TOO_LARGE, REQUEST_TIMEOUT, UNSUPPORTED_MEDIA_TYPE, CroupierError
from croupier.providers.verification import Headers

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_CORRELATION: Final = re.compile(rb"[ -~]{1,128}")
# W3C Trace Context: all-zero ids and version ff are invalid, and what is invalid counts as absent.
_TRACEPARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_JSON: Final = "application/json"
_UTF8: Final = frozenset({"utf-8", '"utf-8"'})


class BodyLimits(Struct, frozen=True, kw_only=True):
    """How many bytes a body may have, and how many seconds it may take to arrive."""

    max_bytes: int = 256 * 1024
    timeout_s: float = 10.0


class ClientGone(Exception):
    """The caller hung up before its request was complete; there is nobody to answer."""


class Head(Struct, frozen=True, gc=False):
    """Method, public path and query as sent, headers, and the few of them that every request needs.

    `content_length` is None when absent or unreadable; what counts is how many bytes arrive.
    """

    method: str
    path: bytes
    query: bytes
    headers: Headers
    content_type: bytes | None
    content_length: int | None
    is_encoded: bool
    correlation_id: str | None
    traceparent: bytes | None
    trace_id: str | None


def parse_head(scope: Scope) -> Head:
    """Read the head of an ASGI request; total: what is unreadable counts as absent."""
    content_type = length = correlation = traceparent = trace = None
    is_encoded = False
    headers: Headers = tuple(scope["headers"])
    for name, value in headers:
        if name == b"content-type":
            content_type = value if content_type is None else b""
        elif name == b"content-length":
            length = value
        elif name == b"x-correlation-id":
            correlation = _CORRELATION.fullmatch(value)
        elif name == b"traceparent":
            trace = _TRACEPARENT.fullmatch(value)
            traceparent = value if trace is not None else None
        elif name == b"content-encoding":
            is_encoded = value.lower() != b"identity"
    return Head(
        scope["method"],
        scope.get("raw_path") or quote(scope["path"]).encode(),
        scope["query_string"],
        headers,
        content_type,
        None if length is None or _LENGTH.fullmatch(length) is None else int(length),
        is_encoded,
        None if correlation is None else correlation[0].decode(),
        traceparent,
        None if trace is None else trace[1].decode(),
    )


def check_media_type(head: Head, wanted: str | None) -> None:
    """Refuse other media types, other charsets than UTF-8, and compressed bodies: unsupported_media_type."""
    if head.is_encoded:
        raise CroupierError(UNSUPPORTED_MEDIA_TYPE, "send the body without Content-Encoding")
    if wanted is None or head.content_type == wanted.encode():
        return
    media_type, *parameters = (head.content_type or b"").decode("latin-1").lower().split(";")
    charsets = [part.strip().removeprefix("charset=") for part in parameters if part.strip()]
    if media_type.strip() != wanted or not _UTF8.issuperset(charsets):
        raise CroupierError(UNSUPPORTED_MEDIA_TYPE, f"the Content-Type must be {wanted}, once, in UTF-8")


async def read_body(receive: Receive, declared: int | None, limits: BodyLimits) -> bytes:
    """Read the whole body.

    Raises CroupierError body_too_large (by the declared length or by the bytes that came) or request_timeout,
    and ClientGone.
    """
    if declared is not None and declared > limits.max_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.timeout_s):
            return await _collect(receive, limits)
    except TimeoutError:
        detail = f"the body did not arrive within {limits.timeout_s:g} s; repeat the request"
        raise CroupierError(REQUEST_TIMEOUT, detail) from None


async def _collect(receive: Receive, limits: BodyLimits) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limits.max_bytes:
            raise _too_large(limits)
        if not message.get("more_body", False):
            return chunk if not chunks else b"".join((*chunks, chunk))
        # Empty chunks would grow the list without growing the size.
        if chunk:
            chunks.append(chunk)


def _too_large(limits: BodyLimits) -> CroupierError:
    return CroupierError(BODY_TOO_LARGE, f"a body has at most {limits.max_bytes} bytes")
