"""A wallet that nobody asks: for whoever decides money and leaves the calls to the background processes."""

from __future__ import annotations

from typing import Final

from croupier.wallet.port import Balance, NotApplied, Operation, Refused, Unknown, WalletOrder, Word

LEFT: Final = "left_to_others"


class AwayWallet:
    """Away all the time: credits are queued, debits are told to come again."""

    def is_away(self, operation: Operation) -> bool:
        """Always."""
        return True

    async def move(self, order: WalletOrder, *, ends_at_s: float) -> Word:
        """Certainly not applied: nothing was sent."""
        return NotApplied(LEFT)

    async def ask_status(self, order: WalletOrder, *, ends_at_s: float) -> Word:
        """Nobody was asked."""
        return Unknown(LEFT)

    async def load_balance(
        self, player_id: str, asset: str, *, correlation_id: str, ends_at_s: float
    ) -> Balance | Refused | Unknown:
        """Nobody was asked."""
        return Unknown(LEFT)
