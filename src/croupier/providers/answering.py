"""How an answer leaves over HTTP: its length, the correlation and trace it belongs to, and the end of the line."""

from __future__ import annotations

from typing import Final

from croupier.providers.arrival import Head, Send
from croupier.providers.contract import Reply

_NO_STORE: Final = (b"cache-control", b"no-store")
_CLOSE: Final = (b"connection", b"close")


async def send_reply(
    send: Send, reply: Reply, head: Head, correlation_id: str, *, must_close: bool = False
) -> None:
    """Send a reply; close the connection after it where the rest of the body may still be on its way.

    That rest is not a next request.
    """
    headers = [
        *reply.headers,
        (b"content-length", b"%d" % len(reply.body)),
        (b"x-correlation-id", correlation_id.encode()),
        _NO_STORE,
    ]
    if head.traceparent is not None:
        headers.append((b"traceparent", head.traceparent))
    if must_close:
        headers.append(_CLOSE)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
