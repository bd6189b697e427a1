"""What is counted and measured of the keys shared with providers; ids are configured names: their number is bounded."""

from __future__ import annotations

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge


class KeyRequests(Struct, frozen=True):
    """Uses of one key with one result (verified, refused, signed) since the last telling."""

    provider: str
    key: str
    result: str
    count: int


class KeyAge(Struct, frozen=True):
    """How old the current key of a provider and direction is, in seconds, and how many of its keys are overdue."""

    provider: str
    direction: str
    age_s: float
    overdue: int


class KeyMetrics:
    """The metrics of keys, in the registry of one process."""

    def __init__(self, environment: str, registry: CollectorRegistry) -> None:
        self._environment = environment
        self._requests = Counter(
            "croupier_key_requests",
            "Calls verified or refused with a key, and calls signed with it",
            ("environment", "provider", "key", "result"),
            registry=registry,
        )
        # Every worker follows the keys, and the one that looked last knows best: after a rotation the age falls.
        self._age = Gauge(
            "croupier_key_age_seconds",
            "Age of the current key",
            ("environment", "provider", "direction"),
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._overdue = Gauge(
            "croupier_keys_overdue",
            "Keys in use beyond their due date",
            ("environment", "provider", "direction"),
            registry=registry,
            multiprocess_mode="mostrecent",
        )

    def note_requests(self, record: KeyRequests) -> None:
        """Count uses of a key."""
        labels = (self._environment, record.provider, record.key, record.result)
        self._requests.labels(*labels).inc(record.count)

    def note_age(self, record: KeyAge) -> None:
        """Say how old a provider's current key is."""
        labels = (self._environment, record.provider, record.direction)
        self._age.labels(*labels).set(record.age_s)
        self._overdue.labels(*labels).set(record.overdue)
