"""The connection to a NATS server with JetStream. A fault ends it; the next one begins anew.

The client's own reconnecting is not used: it keeps what it could not send and sends it later, after what was
published anew meanwhile. The library is an extra of this package and is imported when a connection is made.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

from croupier.operator.outbox.answers import render_fault
from croupier.operator.outbox.post import Message
from croupier.operator.outbox.settings import JetStream

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

_log = structlog.get_logger("croupier.outbox")

ACK_S: Final = 5.0
"""How long the server may take to say that an event is stored."""
CONNECT_S: Final = 5
CLOSE_S: Final = 2.0
DUPLICATES_S: Final = 120.0
"""For how long a stream made by us recognises an event that it has stored already."""

_TOO_LARGE_FOR_STREAM: Final = 10054
"""JetStream's error code (`JSStreamMessageExceedsMaximumErr`)."""


class LinkLost(Exception):
    """The server cannot be used now; the text says why."""


class MessageRefused(Exception):
    """The server is there and does not take this event, now or later; the text says why."""


class JetStreamLink:
    """One connection at a time, and the stream behind it. `keep_s` is the age at which a stream made here forgets."""

    def __init__(self, settings: JetStream, *, keep_s: int) -> None:
        self._settings = settings
        self._keep_s = keep_s
        self._client: Client | None = None
        self._stream: JetStreamContext | None = None
        self._fault: Exception | None = None

    async def open(self) -> None:
        """Connect, and make the stream if there is none. Raises LinkLost."""
        if self._client is not None and self._client.is_connected:
            return
        await self.close()
        from nats.errors import Error, NoServersError

        try:
            async with asyncio.timeout(CONNECT_S):
                stream = await self._connect()
            await self._ensure_stream(stream)
            self._stream = stream
        except (Error, OSError, TimeoutError) as error:
            await self.close()
            # The library keeps what happened to itself when it gives up.
            cause = self._fault if isinstance(error, NoServersError) and self._fault is not None else error
            raise LinkLost(f"NATS cannot be used: {render_fault(cause)}") from error

    async def _connect(self) -> JetStreamContext:
        from nats.aio.client import Client

        self._client, self._fault = Client(), None
        await self._client.connect(
            servers=[self._settings.url],
            name="croupier-outbox",
            user=self._settings.user,
            password=self._settings.password,
            allow_reconnect=False,
            # Even so it tries a first connection so many times more, pausing in between.
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=CONNECT_S,
            error_cb=self._note_fault,
        )
        return self._client.jetstream(timeout=ACK_S)

    async def _note_fault(self, error: Exception) -> None:
        self._fault = error

    async def _ensure_stream(self, stream: JetStreamContext) -> None:
        from nats.js.errors import NotFoundError

        try:
            await stream.stream_info(self._settings.stream)
        except NotFoundError:
            await stream.add_stream(
                name=self._settings.stream,
                subjects=[f"{self._settings.subject}.>"],
                max_age=float(self._keep_s),
                duplicate_window=DUPLICATES_S,
            )
            _log.info("stream_made", stream=self._settings.stream, subjects=f"{self._settings.subject}.>")

    async def publish(self, message: Message, type_: str) -> None:
        """Return once the stream has stored the event, now or before. Raises LinkLost, MessageRefused."""
        from nats.errors import Error, MaxPayloadError
        from nats.js.errors import APIError, NoStreamResponseError

        if self._stream is None:
            raise LinkLost("there is no connection")
        subject = f"{self._settings.subject}.{type_}"
        try:
            await self._stream.publish(
                subject,
                message.body,
                stream=self._settings.stream,
                headers=_render_headers(message),
            )
        except MaxPayloadError as error:
            raise MessageRefused("the event is larger than the server takes") from error
        except APIError as error:
            if error.err_code == _TOO_LARGE_FOR_STREAM:
                raise MessageRefused("the event is larger than the stream takes") from error
            raise LinkLost(f"the stream does not take events: {render_fault(error)}") from error
        except NoStreamResponseError as error:
            raise LinkLost(f"no stream takes {subject}, or JetStream is not ready") from error
        except (Error, OSError, TimeoutError) as error:
            raise LinkLost(f"NATS did not confirm an event: {render_fault(error)}") from error

    async def close(self) -> None:
        """End the connection; what was not confirmed is published anew by whoever comes next."""
        client, self._client, self._stream = self._client, None, None
        if client is not None and not client.is_closed:
            with suppress(TimeoutError, OSError):
                async with asyncio.timeout(CLOSE_S):
                    await client.close()


def _render_headers(message: Message) -> dict[str, Any]:
    headers = {"Nats-Msg-Id": message.event_id, "Content-Type": "application/json"}
    if message.correlation_id is not None:
        headers["X-Correlation-Id"] = message.correlation_id
    return headers
