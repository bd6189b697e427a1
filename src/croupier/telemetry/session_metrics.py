"""What is counted and measured of sessions that are not final: where they are, for how long, and what timeouts did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge

STATES: Final = ("created", "launched", "active", "pending_settlement")
"""The states that are not final: each has a value, if only zero."""


class StateRecord(Struct, frozen=True):
    """The sessions of one state and one team: how many, the age of the oldest in seconds, how many are overdue."""

    state: str
    owner: str
    sessions: int
    oldest_s: float
    overdue: int


class SessionMetrics:
    """The metrics of sessions, in the registry of one process. States and teams are few."""

    def __init__(self, environment: str, registry: CollectorRegistry) -> None:
        self._environment = environment
        self._sessions = _gauge(
            "croupier_sessions", "Sessions that are not final, by state", ("state",), registry
        )
        self._age = _gauge(
            "croupier_session_state_age_seconds", "How long the oldest has been there", ("state",), registry
        )
        self._overdue = _gauge(
            "croupier_sessions_overdue",
            "Sessions that stayed in a state for longer than it may last",
            ("state", "owner"),
            registry,
        )
        self._late = _gauge(
            "croupier_timers_late_seconds", "How long the oldest due timer has waited", (), registry
        )
        self._unknown = _gauge("croupier_unknown_outcomes", "Outcomes that nobody knows yet", (), registry)
        self._turns = Counter(
            "croupier_timer_turns",
            "Turns of the timers, by how they ended",
            ("environment", "result"),
            registry=registry,
        )
        self._timeouts = Counter(
            "croupier_timeouts",
            "Timeouts of sessions, by what was done",
            ("environment", "state", "action", "result"),
            registry=registry,
        )
        self._told: set[tuple[str, str]] = set()

    def note_states(self, records: Iterable[StateRecord]) -> None:
        """Say how many sessions there are; a state or team that is not named has none."""
        sessions, oldest_s = dict.fromkeys(STATES, 0), dict.fromkeys(STATES, 0.0)
        overdue = dict.fromkeys(self._told, 0)
        for record in records:
            sessions[record.state] = sessions.get(record.state, 0) + record.sessions
            oldest_s[record.state] = max(oldest_s.get(record.state, 0.0), record.oldest_s)
            overdue[record.state, record.owner] = record.overdue
        for state, count in sessions.items():
            self._sessions.labels(self._environment, state).set(count)
            self._age.labels(self._environment, state).set(oldest_s[state])
        for (state, owner), count in overdue.items():
            self._overdue.labels(self._environment, state, owner).set(count)
        self._told |= set(overdue)

    def note_lateness(self, oldest_s: float) -> None:
        """Say how long the oldest due timer has waited."""
        self._late.labels(self._environment).set(oldest_s)

    def note_unknown(self, count: int) -> None:
        """Say how many outcomes are unknown."""
        self._unknown.labels(self._environment).set(count)

    def note_turn(self, result: str) -> None:
        """Count a turn: done, failed, or held back because of the clock."""
        self._turns.labels(self._environment, result).inc()

    def note_timeout(self, *, state: str, action: str, result: str) -> None:
        """Count a timeout: done, left alone because the session was used, told to its owner, or failed."""
        self._timeouts.labels(self._environment, state, action, result).inc()


def _gauge(name: str, text: str, labels: tuple[str, ...], registry: CollectorRegistry) -> Gauge:
    # Every background process measures the same database, and the one that looked last knows best.
    return Gauge(name, text, ("environment", *labels), registry=registry, multiprocess_mode="mostrecent")
