"""What a player's balance should be by this provider's own bookkeeping, compared with what it is told."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

MOST_PURSES: Final = 20_000
MOST_AFLOAT: Final = 12


@dataclass(slots=True)
class Purse:
    """One player's balance in one asset, in minor units; None while nothing can be said about it.

    It is judged only by a call that had the wallet to itself: a balance told while another call was on its way
    may be from before or after that one. What webhooks move is afloat until a balance shows it.
    """

    expected_minor: int | None = None
    _is_unsure: bool = False
    _under_way: int = 0
    _is_crowded: bool = False
    _afloat: list[int] = field(default_factory=list)

    def await_webhook(self, effect_minor: int) -> None:
        """A webhook that may move so much is about to be sent; nobody will say when it did."""
        self._afloat.append(effect_minor)

    def enter(self) -> None:
        """A call is about to be sent."""
        self._under_way += 1
        self._is_crowded = self._is_crowded or self._under_way > 1

    def leave(self, effect_minor: int | None, told_minor: int | None) -> str | None:
        """A call was answered: what it did (None: unknown), what balance was told; says what is wrong, if anything.

        Afterwards what was told is believed, so that one mistake is reported once.
        """
        was_crowded = self._is_crowded
        self._under_way -= 1
        self._is_crowded = self._under_way > 0
        # What may still happen at the gateway may happen later: nothing is sure until the next question.
        self._is_unsure = self._is_unsure or effect_minor is None
        expected = None
        if effect_minor is not None and self.expected_minor is not None:
            expected = self.expected_minor + effect_minor
        self.expected_minor = expected
        if self._is_unsure:
            self.expected_minor = None
        if was_crowded or told_minor is None or self._is_unsure:
            return None
        self.expected_minor = told_minor
        # Less than nothing is not owed: a gateway may clamp, and turn the rest into a debt.
        if expected is None or expected < 0 or expected == told_minor:
            return None
        if self._has_landed(told_minor - expected):
            return None
        return f"the balance should be {expected}, it is told as {told_minor}"

    def _has_landed(self, difference: int) -> bool:
        """Whether some of what is afloat explains a difference; that is not afloat any more then."""
        if len(self._afloat) > MOST_AFLOAT:
            return True
        landed = _find_sum(self._afloat, difference)
        for effect in landed:
            self._afloat.remove(effect)
        return bool(landed)

    def learn(self, told_minor: int | None) -> None:
        """Believe the answer to a question about the balance, unless a call is under way."""
        if self._under_way == 0:
            self.expected_minor, self._is_unsure = told_minor, False


class Purses:
    """Purses by player and asset; too many, and the one opened first is forgotten."""

    def __init__(self) -> None:
        self._by_owner: OrderedDict[tuple[str, str], Purse] = OrderedDict()

    def of(self, player_id: str, asset: str) -> Purse:
        """The purse of a player, opened if need be."""
        owner = (player_id, asset)
        if owner not in self._by_owner:
            if len(self._by_owner) >= MOST_PURSES:
                self._by_owner.popitem(last=False)
            self._by_owner[owner] = Purse()
        return self._by_owner[owner]


def _find_sum(effects: Sequence[int], wanted: int) -> tuple[int, ...]:
    """The fewest of the effects that come to what is wanted; none if no choice does."""
    for size in range(1, len(effects) + 1):
        for chosen in combinations(effects, size):
            if sum(chosen) == wanted:
                return chosen
    return ()
