"""What must happen, computed from the manifest's data and from what the protocol's text says of itself."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from croupier.conformance.reading import Cause
from croupier.conformance.speaker import Speaker, Traits
from croupier.providers.manifest import (
    Declines,
    Freshness,
    LateDebit,
    Manifest,
    RepeatBalance,
    SpentWin,
    UnknownTarget,
)

_OUR_CODES: Final = {
    Cause.FUNDS: "insufficient_funds",
    Cause.ROLLED_BACK: "tombstoned",
    Cause.SESSION_OVER: "session_not_active",
    Cause.ROUND_CLOSED: "round_closed",
}
"""Our codes of declines, which `balance_on_refusals` names."""


class Expectations(Struct, frozen=True):
    """The answers to "what now?" for one protocol."""

    manifest: Manifest
    traits: Traits

    def repeat_balance(self, *, stored: int, current: int) -> int:
        """The balance that a repeat shows, in minor units."""
        return stored if self.manifest.repeat_balance is RepeatBalance.STORED else current

    def shows_balance(self, cause: Cause) -> bool:
        """Whether a refusal for this cause carries the balance."""
        return _OUR_CODES.get(cause) in self.manifest.balance_on_refusals

    @property
    def declines_stick(self) -> bool:
        """Whether a declined reference stays declined although the wallet is full again."""
        return self.manifest.declines is Declines.STICKY

    @property
    def approves_unknown_target(self) -> bool:
        """Whether the rollback of what never came is approved."""
        return self.manifest.unknown_target is not UnknownTarget.ERROR

    @property
    def leaves_tombstone(self) -> bool:
        """Whether a debit that comes after its rollback takes nothing."""
        return self.manifest.unknown_target is not UnknownTarget.NO_EFFECT

    @property
    def late_debit_is_approved(self) -> bool:
        """Whether a debit after its rollback is answered as if it were taken."""
        return not self.leaves_tombstone or self.manifest.late_debit is LateDebit.APPROVED_AS_NO_OP

    @property
    def has_nonces(self) -> bool:
        """Whether a request sent twice can be told from two requests."""
        return self.manifest.freshness is Freshness.TIMESTAMP_AND_NONCE

    def taken_back(self, *, won: int, held: int) -> int | None:
        """What the rollback of a win takes from a wallet that holds less; None where it is refused."""
        if won <= held:
            return won
        return None if self.manifest.spent_win is SpentWin.REFUSE else held


def find_gaps(speaker: type[Speaker]) -> tuple[Cause, ...]:
    """Causes for which a speaker names no code of its protocol."""
    return tuple(cause for cause in Cause if not speaker.codes.get(cause))
