"""What a shadow has found since it last wrote: counts by day, and differences grouped by kind. Pure, and bounded."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from typing import Final

from msgspec import Struct

from croupier.providers.shadow.compare import Difference
from croupier.providers.shadow.trial import Result, Trial

EXAMPLES: Final = 3
"""Examples kept of one kind of difference: the first ones."""
MOST_KINDS: Final = 200
"""Most kinds of one comparison; further ones are counted together as `OTHER`."""
LONGEST: Final = 128
"""Longest text that is kept of what a candidate has a say in: names of members, of classes, values."""
DROPPED: Final = "dropped"


class Kind(Struct, frozen=True, order=True):
    """What equal differences share: operation, member, and the class of either value."""

    operation: str
    path: str
    live: str
    candidate: str


OTHER: Final = Kind("other", "other", "", "")


class Example(Struct, frozen=True, kw_only=True):
    """One call in which a difference was seen; nothing in it is a secret."""

    correlation_id: str
    at: datetime
    live: str
    candidate: str
    request: str


class Group(Struct, frozen=True):
    """How often a difference was seen, when first and last, and the first examples."""

    count: int
    first_at: datetime
    last_at: datetime
    examples: tuple[Example, ...]

    def joined(self, later: Group) -> Group:
        """Both together; the examples are those that came first."""
        return Group(
            self.count + later.count,
            min(self.first_at, later.first_at),
            max(self.last_at, later.last_at),
            (*self.examples, *later.examples)[:EXAMPLES],
        )


class Tried(Struct, frozen=True):
    """One call that was tried: which, when it came, its request as it may be shown, and what came of it."""

    operation: str
    correlation_id: str
    at: datetime
    request: str
    trial: Trial


def render_kept(text: str) -> str:
    """A text as the database takes it, whatever the candidate put into it."""
    return text[:LONGEST].replace("\0", "\ufffd")


class Tally:
    """Counts by (day, result), and groups by kind; `known` are the kinds that are written already."""

    def __init__(self, known: frozenset[Kind] = frozenset()) -> None:
        self.known = set(known)
        self.counts: Counter[tuple[date, str]] = Counter()
        self.groups: dict[Kind, Group] = {}

    def note(self, tried: Tried) -> None:
        """Count a call; a difference that shows in several places of it counts once for each kind."""
        self.counts[tried.at.date(), tried.trial.result.value] += 1
        seen: set[Kind] = set()
        for one in tried.trial.differences:
            kind = self._kind(tried.operation, one)
            if kind in seen:
                continue
            seen.add(kind)
            example = Example(
                correlation_id=tried.correlation_id,
                at=tried.at,
                live=render_kept(one.shown_live or one.live),
                candidate=render_kept(one.shown_candidate or one.candidate),
                request=tried.request,
            )
            self._add(kind, Group(1, tried.at, tried.at, (example,)))

    def note_dropped(self, count: int, at: datetime) -> None:
        """Count calls that were never tried."""
        if count:
            self.counts[at.date(), DROPPED] += count

    def take(self) -> Tally:
        """Everything since the last time; begin anew."""
        taken = Tally()
        taken.counts, self.counts = self.counts, Counter()
        taken.groups, self.groups = self.groups, {}
        return taken

    def put_back(self, taken: Tally) -> None:
        """What could not be written is written with what comes next."""
        self.counts += taken.counts
        later, self.groups = self.groups, taken.groups
        for kind, group in later.items():
            self._add(kind, group)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self.counts and not self.groups

    def _kind(self, operation: str, one: Difference) -> Kind:
        kind = Kind(*(render_kept(text) for text in (operation, one.path, one.live, one.candidate)))
        if kind not in self.known:
            if len(self.known) >= MOST_KINDS:
                return OTHER
            self.known.add(kind)
        return kind

    def _add(self, kind: Kind, group: Group) -> None:
        before = self.groups.get(kind)
        self.groups[kind] = group if before is None else before.joined(group)


COUNTED: Final = (*(result.value for result in Result), DROPPED)
"""What is counted for each day, in the order of the table."""
