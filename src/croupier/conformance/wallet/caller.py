"""Signed calls to a wallet, each kept as it was sent and answered, and judged by the contract's schemas."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from croupier.conformance.wallet.schema import NotJson, Schemas, parse_strictly
from croupier.conformance.wallet.wire import Answer, Wire
from croupier_signing import SigningKey, random_nonce, sign_native

CORRELATION: Final = b"x-correlation-id"
JSON: Final = "application/json"
KNOWN_PATHS: Final = frozenset(
    {"/balance", "/debit", "/credit", "/rollback", "/status", "/batch", "/statement"}
)


class How(Struct, frozen=True, kw_only=True):
    """What is unusual about a call; the defaults are a call as the gateway makes it.

    `shift_s` is added to the time that is signed. `signed_*` is signed in place of what is sent, and `authorization` is
    sent in place of a signature; an empty one leaves the header out.
    """

    key: SigningKey | None = None
    shift_s: int = 0
    nonce: str | None = None
    authorization: str | None = None
    signed_path: str | None = None
    signed_body: bytes | None = None
    signed_method: str = "POST"
    query: str = ""
    signed_query: str | None = None
    media_type: str = JSON
    is_fresh: bool = False


AS_USUAL: Final = How()


class Exchange(Struct, frozen=True, kw_only=True):
    """One call: the bytes that were sent, what came, how long it took, and what the schemas say about it."""

    path: str
    message: bytes
    answer: Answer
    took_s: float
    document: Any = None
    flaws: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        return self.answer.status

    def get(self, name: str) -> Any:
        """A member of the answer; None where there is none."""
        return self.document.get(name) if isinstance(self.document, dict) else None


class Caller:
    """Calls one wallet with one key. Every exchange with an answer counts in `times_s`."""

    def __init__(self, url: str, key: SigningKey, schemas: Schemas) -> None:
        self._wire = Wire(url)
        self._prefix = urlsplit(url).path.rstrip("/")
        self.key = key
        self._schemas = schemas
        self.times_s: list[float] = []

    async def call(self, path: str, body: Mapping[str, Any] | bytes, how: How = AS_USUAL) -> Exchange:
        """Send one request and read its answer."""
        message = self.make_message(path, body, how)
        return await self.exchange(path, message, is_fresh=how.is_fresh)

    async def exchange(self, path: str, message: bytes, *, is_fresh: bool = False) -> Exchange:
        """Send bytes that are ready, and read their answer."""
        began_s = time.monotonic()
        answer = await self._wire.send(message, is_fresh=is_fresh)
        took_s = time.monotonic() - began_s
        if answer.status:
            self.times_s.append(took_s)
        document, flaws = self._judge(path, answer)
        return Exchange(
            path=path, message=message, answer=answer, took_s=took_s, document=document, flaws=flaws
        )

    async def send_and_leave(self, message: bytes, *, is_reset: bool) -> None:
        """Send, and close the connection without reading; OSError and TimeoutError when it cannot be sent."""
        await self._wire.send_and_leave(message, is_reset=is_reset)

    def make_message(self, path: str, body: Mapping[str, Any] | bytes, how: How = AS_USUAL) -> bytes:
        """The whole HTTP request."""
        sent = body if isinstance(body, bytes) else render_json(body)
        target = self._prefix + path + (f"?{how.query}" if how.query else "")
        lines = [
            f"POST {target} HTTP/1.1".encode(),
            b"host: " + self._wire.authority,
            b"content-type: " + how.media_type.encode(),
            b"accept: application/json",
            CORRELATION + b": kit-" + random_nonce().encode(),
            b"content-length: %d" % len(sent),
        ]
        authorization = self._sign(path, sent, how) if how.authorization is None else how.authorization
        if authorization:
            lines.insert(2, b"authorization: " + authorization.encode("latin-1"))
        return b"\r\n".join(lines) + b"\r\n\r\n" + sent

    def _sign(self, path: str, sent: bytes, how: How) -> str:
        query = how.query if how.signed_query is None else how.signed_query
        return sign_native(
            how.key or self.key,
            method=how.signed_method,
            path=(self._prefix + (how.signed_path or path)).encode(),
            query=query.encode(),
            timestamp_s=int(time.time()) + how.shift_s,
            nonce=how.nonce or random_nonce(),
            body=sent if how.signed_body is None else how.signed_body,
        )

    def _judge(self, path: str, answer: Answer) -> tuple[Any, tuple[str, ...]]:
        if answer.status == 0:
            return None, ()
        try:
            document = parse_strictly(answer.body)
        except NotJson as error:
            return None, (f"the body is no JSON: {error}",)
        media_type = dict(answer.headers).get(b"content-type", b"").split(b";")[0].strip().lower()
        flaws = (
            [] if media_type == JSON.encode() else [f"the content-type is {media_type.decode('latin-1')!r}"]
        )
        is_decision = answer.status == 200 and path in KNOWN_PATHS
        name = f"{path[1:]}-reply" if is_decision else "error"
        return document, (*flaws, *self._schemas.find_flaws(name, document))

    def close(self) -> None:
        """Hang up."""
        self._wire.close()


def render_json(body: Mapping[str, Any]) -> bytes:
    """The bytes of a body, in UTF-8."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
