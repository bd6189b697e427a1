"""The sections of what comes in by webhook and what goes out as events."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from croupier.runtime.config.forms import Duration, HttpUrl, SecretReference, Slug, seconds_of, text_form

EventChoice = Annotated[str, text_form(r"\*|[a-z_]+\.[a-z_]+", 'an event type such as "money.moved", or "*"')]
NatsUrl = Annotated[str, text_form(r"(nats|tls)://[^\s@]+", "a nats:// or tls:// URL without credentials")]
SubjectRoot = Annotated[
    str, text_form(r"([A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+", "words of A-Z a-z 0-9 _ -, joined by dots")
]

SCHEDULE = ("5s", "5m", "30m", "2h", "5h", "10h", "10h")
"""Pauses between attempts to deliver an event: eight attempts over a little more than a day."""


class Inbox(Struct, frozen=True, forbid_unknown_fields=True):
    """Webhooks from providers: how many may wait, how often one is tried, how long everything is kept."""

    accepting: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="Most deliveries one process may be storing at once; more answers 503.",
        ),
    ] = 256
    rest: Annotated[
        int,
        Meta(
            ge=0,
            le=10_000,
            description="While money calls are under way, webhooks rest this many times as long as they took; "
            "less where there are processors to spare, 0 for no right of way.",
        ),
    ] = 100
    backlog: Annotated[
        int,
        Meta(
            ge=1, le=100_000_000, description="Most unprocessed deliveries of one provider; more answers 429."
        ),
    ] = 1_000_000
    backlog_total: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000_000,
            description="Most unprocessed deliveries of all providers; more answers 503.",
        ),
    ] = 4_000_000
    claim: Annotated[
        int, Meta(ge=1, le=10_000, description="Most deliveries of one provider a worker takes in one turn.")
    ] = 500
    lease: Annotated[
        Duration, Meta(description="How long a worker may hold what it took before others may take it.")
    ] = "30s"
    attempts: Annotated[
        int, Meta(ge=1, le=100, description="Attempts at one delivery before it becomes a dead letter.")
    ] = 8
    wait_for_cause: Annotated[
        Duration,
        Meta(
            description="How long a notice waits for the session, player or round it is about; then a person does."
        ),
    ] = "1h"
    keep: Annotated[
        Duration,
        Meta(description="How long deliveries are kept and their ids known; replays reach back as far."),
    ] = "90d"
    keep_refused: Annotated[
        int, Meta(ge=0, le=100_000, description="Most refused deliveries kept for one provider.")
    ] = 1000
    retry_after_cap: Annotated[Duration, Meta(description="The longest wait a sender is asked for.")] = "5m"

    @property
    def lease_s(self) -> int:
        return seconds_of(self.lease)

    @property
    def wait_for_cause_s(self) -> int:
        return seconds_of(self.wait_for_cause)

    @property
    def keep_s(self) -> int:
        return seconds_of(self.keep)

    @property
    def retry_after_cap_s(self) -> int:
        return seconds_of(self.retry_after_cap)


class OutboxEndpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """Where events are sent, as Standard Webhooks."""

    id: Annotated[Slug, Meta(description="Unique among the endpoints; not `nats`.")]
    url: Annotated[HttpUrl, Meta(description="Where events are posted.")]
    secrets: Annotated[
        tuple[SecretReference, ...],
        Meta(
            description="Every event is signed with each of them: add the new one, have it taken over, remove the old. "
            "`whsec_…` texts, other shared secrets or Ed25519 private keys."
        ),
    ] = ()
    events: Annotated[tuple[EventChoice, ...], Meta(description='Which types, or `"*"`.')] = ("*",)
    timeout_s: Annotated[int, Meta(ge=1, le=60, description="Longest wait for an answer, in seconds.")] = 15
    allow_private: Annotated[
        bool,
        Meta(description="Whether the address may be private, link-local or loopback; refused otherwise."),
    ] = False


class Outbox(Struct, frozen=True, forbid_unknown_fields=True):
    """Domain events for the operator: endpoints, retries, retention."""

    endpoints: tuple[OutboxEndpoint, ...] = ()
    nats_url: Annotated[
        NatsUrl | None,
        Meta(
            description="A NATS JetStream server that gets every event, in the order of each session; "
            "needs the extra `nats`."
        ),
    ] = None
    nats_stream: Annotated[Slug, Meta(description="Its stream, made if it is not there.")] = "croupier"
    nats_subject: Annotated[
        SubjectRoot, Meta(description="Subjects are this, a dot, and the event's type.")
    ] = "croupier"
    nats_credentials: Annotated[
        SecretReference | None, Meta(description="Where its user and password are, as `user:password`.")
    ] = None
    schedule: Annotated[
        tuple[Duration, ...], Meta(description="Pauses between the attempts at one event; jitter is added.")
    ] = SCHEDULE
    disable_after: Annotated[
        Duration,
        Meta(description="How long an endpoint may fail without one success before it is switched off."),
    ] = "5d"
    keep: Annotated[
        Duration, Meta(description="How long events and attempts are kept; redelivery reaches back as far.")
    ] = "30d"

    @property
    def schedule_s(self) -> tuple[int, ...]:
        return tuple(seconds_of(pause) for pause in self.schedule)

    @property
    def disable_after_s(self) -> int:
        return seconds_of(self.disable_after)

    @property
    def keep_s(self) -> int:
        return seconds_of(self.keep)
