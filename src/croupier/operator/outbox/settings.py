"""What the delivery of events needs to know; `runtime` fills it in from the configuration and its secrets."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from croupier_signing import PrivateKey, SigningKey

ANY_TYPE: Final = "*"

NATS: Final = "nats"
"""The consumer that is no endpoint: a JetStream server. No endpoint may have this id."""


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where events are posted. Every event is signed with each of the keys; `timeout_s` is for one attempt.

    `allow_private` lets the address be one that only we can reach, such as loopback.
    """

    id: str
    url: str
    keys: tuple[SigningKey | PrivateKey, ...]
    types: tuple[str, ...] = (ANY_TYPE,)
    timeout_s: int = 15
    allow_private: bool = False

    def takes(self, type_: str) -> bool:
        """Whether events of this type are for it."""
        return ANY_TYPE in self.types or type_ in self.types


class JetStream(Struct, frozen=True, kw_only=True):
    """A NATS server with JetStream. Subjects are `subject`, a dot and the event's type; `stream` is made if missing."""

    url: str
    stream: str
    subject: str
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return (
            f"JetStream(url={self.url!r}, stream={self.stream!r}, subject={self.subject!r}, <login masked>)"
        )


class Outbox(Struct, frozen=True, kw_only=True):
    """All consumers, the pauses between attempts, and two spans: all in seconds.

    `disable_after_s`: how long an endpoint may fail without one success. `keep_s`: how long events are kept.
    """

    endpoints: tuple[Endpoint, ...] = ()
    jetstream: JetStream | None = None
    schedule_s: tuple[int, ...] = (5, 300, 1800, 7200, 18_000, 36_000, 36_000)
    disable_after_s: int = 432_000
    keep_s: int = 2_592_000
