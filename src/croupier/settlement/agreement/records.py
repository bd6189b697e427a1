"""What is compared, and what is found. Amounts are minor units; a change is positive when the player has more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec import Struct, field

from croupier.wallet.calls import Booked, CallState

SKEW: Final = timedelta(seconds=60)
"""How far a movement may lie outside the life of its call. A wallet whose clock is more than 30 s from ours refuses
every signature, and one that nobody waits for any more is refused as stale after 30 s."""

LACKS_MOVEMENT: Final = "wallet_lacks_movement"
UNKNOWN_MOVEMENT: Final = "wallet_has_unknown_movement"
OTHER_AMOUNT: Final = "wallet_moved_another_amount"
TWICE: Final = "wallet_moved_twice"
OTHER_HOLDER: Final = "wallet_other_player_or_asset"
UNSETTLED: Final = "wallet_moved_unsettled"
REFUSED_CREDIT: Final = "wallet_refused_credit"
NOT_EVEN: Final = "wallet_undone_not_even"
LACKS_ENTRY: Final = "ledger_lacks_entry"
UNASKED_ENTRY: Final = "ledger_has_unasked_entry"
OTHER_ASKED: Final = "provider_asked_another"

KINDS: Final = (
    *(
        LACKS_MOVEMENT,
        UNKNOWN_MOVEMENT,
        OTHER_AMOUNT,
        TWICE,
        OTHER_HOLDER,
        UNSETTLED,
        REFUSED_CREDIT,
        NOT_EVEN,
    ),
    *(LACKS_ENTRY, UNASKED_ENTRY, OTHER_ASKED),
)
"""Everything that a comparison finds. The money path opens the third and the seventh too, under the same subjects."""


class Window(Struct, frozen=True):
    """A period: from its start, and before its end."""

    starts_at: datetime
    ends_at: datetime

    def holds(self, at: datetime) -> bool:
        """Whether a moment lies in it."""
        return self.starts_at <= at < self.ends_at


class Listed(Struct, frozen=True, gc=False, kw_only=True):
    """A movement as the wallet's statement lists it; `recorded_at` is by its clock."""

    reference: str
    operation: str
    player_id: str
    asset: str
    amount: int
    change: int
    recorded_at: datetime
    wallet_reference: str | None = None


class Asked(Struct, frozen=True, gc=False, kw_only=True):
    """What the provider asked for, as its reference was decided."""

    action: str
    status: str
    player_id: str
    asset: str | None
    amount: int | None


class Target(Struct, frozen=True, gc=False):
    """The call that an undoing takes back: its reference at the wallet, when it was asked and when it was undone."""

    name: str
    asked_at: datetime
    undone_at: datetime

    def lives(self, at: datetime) -> bool:
        """Whether a movement that was recorded then can be its."""
        return self.asked_at - SKEW <= at <= self.undone_at + SKEW


class Held(Struct, frozen=True, gc=False, kw_only=True):
    """A wallet call as we hold it, with what is booked for it and what its provider asked.

    `entry_change` is what the entry of the provider's transaction moved in the player's wallet, None without an entry.
    `target` is there where the call undoes another that was never booked.
    """

    name: str
    player_id: str
    asset: str
    operation: str
    amount: int
    booked: str
    state: str
    moved: int | None
    reason: str | None
    provider: str
    reference: str
    session_id: UUID | None
    round_id: str | None
    asked_at: datetime
    settled_at: datetime | None
    deadline: datetime
    owner: str
    entry_change: int | None = None
    asked: Asked | None = None
    target: Target | None = None

    @property
    def expected(self) -> int:
        """By how much it changed what the player has, as the wallet told us; nothing unless it was approved."""
        if self.state != CallState.APPROVED:
            return 0
        # What is booked first brings the player money, what is booked afterwards takes it.
        return (self.moved or 0) * (1 if self.booked == Booked.BEFORE else -1)

    @property
    def begun_at(self) -> datetime:
        """When the first movement that it is compared with may have been recorded."""
        return self.asked_at if self.target is None else min(self.asked_at, self.target.asked_at)

    def lives(self, at: datetime) -> bool:
        """Whether a movement that was recorded then can be its."""
        return self.asked_at - SKEW <= at and (self.settled_at is None or at <= self.settled_at + SKEW)


class Unasked(Struct, frozen=True, gc=False, kw_only=True):
    """An entry that moves a player's mirror, and no wallet call was made for its reference."""

    entry_id: UUID
    kind: str
    provider: str
    reference: str
    player_id: str
    asset: str
    change: int
    session_id: UUID | None
    round_id: str | None
    recorded_at: datetime


class Difference(Struct, frozen=True, kw_only=True):
    """Something that the sides do not agree about; work for a person.

    `subject` names it within its kind. `amount` is what it is about, and `gaps` say by asset how much more their wallet
    moved than our ledger because of it. `since` is when it happened.
    """

    kind: str
    subject: str
    explanation: str
    provider: str | None
    player_id: str
    asset: str
    amount: int
    since: datetime
    gaps: tuple[tuple[str, int], ...] = ()
    session_id: UUID | None = None
    round_id: str | None = None


class Sums(Struct, kw_only=True):
    """Net changes of one asset; `under_way` is the part of theirs − ledger that time explains."""

    theirs: int = 0
    ours: int = 0
    ledger: int = 0
    under_way: int = 0

    @property
    def difference(self) -> int:
        """By how much more their wallet moved than our ledger, without what is under way."""
        return self.theirs - self.ledger - self.under_way


class Agreement(Struct, kw_only=True):
    """What a comparison found. `agreed` counts calls on which all sides agree, `under_way` what is too young to judge.

    `movements` are those that were counted in `sums`; `kinds` says how many differences there are of each.
    """

    calls: int = 0
    movements: int = 0
    agreed: int = 0
    under_way: int = 0
    sums: dict[str, Sums] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)

    @property
    def found(self) -> int:
        """How many differences there are."""
        return sum(self.kinds.values())

    def of(self, asset: str) -> Sums:
        """The sums of an asset."""
        return self.sums.setdefault(asset, Sums())

    def take_in(self, other: Agreement) -> None:
        """Add the counts and sums of another part; its differences are left where they are."""
        self.calls += other.calls
        self.movements += other.movements
        self.agreed += other.agreed
        self.under_way += other.under_way
        for kind, count in other.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + count
        for asset, sums in other.sums.items():
            mine = self.of(asset)
            mine.theirs += sums.theirs
            mine.ours += sums.ours
            mine.ledger += sums.ledger
            mine.under_way += sums.under_way


class Part(Struct, frozen=True, kw_only=True):
    """One part of a comparison: the calls settled in a window, and what is listed in and around it by reference.

    `recorded` are the movements that were recorded in the window. `elsewhere` are the calls, of any state, behind the
    references for which `stray_references` asks. `unasked` are the entries of the window without a call.
    """

    window: Window
    held: Sequence[Held] = ()
    listed: Mapping[str, Sequence[Listed]] = field(default_factory=dict)
    recorded: Sequence[Listed] = ()
    elsewhere: Mapping[str, Held] = field(default_factory=dict)
    unasked: Sequence[Unasked] = ()
