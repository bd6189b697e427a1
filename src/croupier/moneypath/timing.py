"""Timing: the timers and unknown outcomes that follow from what a batch decided. No I/O.

Only a change of state touches a timer: a bet in an active session costs nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from msgspec import Struct, structs

from croupier.moneypath.facts import Effects, Stamp
from croupier.play.eligibility import PlayTerms
from croupier.play.session import Session
from croupier.play.timeouts import Timer, arm
from croupier.play.unknown import Resolution, UnknownOutcome, resolve_launch


class Timing(Struct, frozen=True, gc=False):
    """What is written beside a batch's effects: a timer for each session that entered a state, or its end."""

    timers: tuple[Timer, ...]
    over: tuple[tuple[int, UUID], ...]
    unknowns: tuple[UnknownOutcome, ...]
    resolutions: tuple[Resolution, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.timers or self.over or self.unknowns)


def plan_timing(
    applied: Iterable[Effects],
    sessions: Mapping[UUID, Session],
    terms: Mapping[UUID, PlayTerms],
    stamp: Stamp,
) -> Timing:
    """The timing of a batch, whose sessions stand as they do after all of it. What is resolved has changed state."""
    moved: set[UUID] = set()
    resolutions: list[Resolution] = []
    unknowns: dict[tuple[str, str, str], UnknownOutcome] = {}
    for effects in applied:
        for event in effects.events:
            if event.from_state != event.to_state:
                moved.add(event.session_id)
                resolution = resolve_launch(event)
                if resolution is not None:
                    resolutions.append(resolution)
        if effects.unknown is not None:
            _add_unknown(unknowns, effects.unknown)
    # Sorted, so that two processes which write the same rows wait for each other in one order.
    after = sorted((sessions[session_id] for session_id in moved), key=lambda one: (one.bucket, one.id))
    armed = [
        (session, arm(session, stamp.now, stamp.timeouts, _idle_close_s(terms, session))) for session in after
    ]
    return Timing(
        timers=tuple(timer for _, timer in armed if timer is not None),
        over=tuple((session.bucket, session.id) for session, timer in armed if timer is None),
        unknowns=tuple(unknowns.values()),
        resolutions=tuple(resolutions),
    )


def _idle_close_s(terms: Mapping[UUID, PlayTerms], session: Session) -> int | None:
    asked = terms.get(session.id)
    return None if asked is None else asked.idle_close_s


def _add_unknown(unknowns: dict[tuple[str, str, str], UnknownOutcome], found: UnknownOutcome) -> None:
    key = (found.provider, found.kind, found.subject)
    known = unknowns.get(key)
    # A row is written once: asked twice within a batch is one row with two attempts.
    unknowns[key] = found if known is None else structs.replace(known, attempts=known.attempts + 1)
