"""The studio's jackpots: one pot for each asset, fed by contributions of bets that stand."""

from __future__ import annotations

from collections import Counter
from typing import Final

SHARE: Final = 100
"""One part in so many of a stake goes into the pot."""


def contribution_of(stake_minor: int) -> int:
    """What a stake adds to the pot, in minor units."""
    return stake_minor // SHARE


class Jackpots:
    """Pots in minor units. A contribution counts when its round is over, so no pot pays what a rollback takes back."""

    def __init__(self) -> None:
        self._pots: Counter[str] = Counter()

    def feed(self, asset: str, contribution_minor: int) -> None:
        """Put a contribution in."""
        self._pots[asset] += contribution_minor

    def holds(self, asset: str) -> bool:
        """Whether there is anything to win."""
        return self._pots[asset] > 0

    def pay(self, asset: str) -> int:
        """Empty the pot for whoever won it."""
        return self._pots.pop(asset, 0)
