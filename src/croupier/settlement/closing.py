"""Closing a session: its clearing goes to zero by the contract's share of the cumulative result.

Posting the difference to what earlier closings posted makes closing safe to repeat: a rollback or a late win after
settlement closes again and leaves nothing behind (`money.md`, "settlement of a session").
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

BASIS_POINTS: Final = 10_000


class SessionBooks(Struct, frozen=True, gc=False):
    """A session's cumulative money in minor units: stakes, wins, contributions, and what closings posted so far."""

    staked: int
    won: int
    contributed: int
    share_posted: int
    revenue_posted: int

    @property
    def gross_gaming_revenue(self) -> int:
        """Stakes less wins less contributions; negative when players won more than they staked."""
        return self.staked - self.won - self.contributed

    @property
    def clearing(self) -> int:
        """What the session's clearing account holds now."""
        return self.gross_gaming_revenue - self.share_posted - self.revenue_posted


class Closing(Struct, frozen=True, gc=False):
    """What one closing posts, in minor units; both parts may be negative."""

    to_provider: int
    to_revenue: int


def provider_share(gross_gaming_revenue: int, share_bps: int) -> int:
    """The provider's part of a cumulative result, rounded toward minus infinity."""
    return gross_gaming_revenue * share_bps // BASIS_POINTS


def plan_closing_amounts(books: SessionBooks, share_bps: int) -> Closing | None:
    """What remains to be posted so that clearing becomes zero; None when it is zero already."""
    if books.clearing == 0:
        return None
    to_provider = provider_share(books.gross_gaming_revenue, share_bps) - books.share_posted
    return Closing(to_provider, books.clearing - to_provider)
