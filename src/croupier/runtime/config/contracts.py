"""Which contract governs a game at an instant (contracts are dated; a session pins its own)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time

import msgspec

from croupier.runtime.config.sections import ANY, Contract


class ContractBook:
    """Finds the contract of a provider, game group and asset.

    The most specific scope wins (group and asset, then group, then asset, then neither), in it the latest
    start. A scope counts only from its first start on; before that the next broader one applies.
    """

    __slots__ = ("_by_scope",)

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._by_scope: dict[tuple[str, str, str], list[Contract]] = {}
        for contract in sorted(contracts, key=lambda contract: contract.starts_at, reverse=True):
            scope = (contract.provider, contract.game_group, contract.asset)
            self._by_scope.setdefault(scope, []).append(contract)

    def select(self, provider: str, game_group: str, asset: str, at: datetime) -> Contract | None:
        """The contract in force at an aware instant, its start included; None when nothing covers it."""
        for scope in ((game_group, asset), (game_group, ANY), (ANY, asset), (ANY, ANY)):
            for contract in self._by_scope.get((provider, *scope), ()):
                if contract.starts_at <= at:
                    return contract
        return None


def apply_day_start(contract: Contract) -> Contract:
    """Turn a `from` given as a bare date into an instant: the start of the contract's day, in its zone.

    Raises ValueError or KeyError (ZoneInfoNotFoundError) when zone or time of day are unusable.
    """
    zone = contract.zone
    hour, minute = (int(part) for part in contract.day_start.split(":"))
    if contract.starts_at.tzinfo is not None:
        return contract
    local = datetime.combine(contract.starts_at.date(), time(hour, minute), tzinfo=zone)
    return msgspec.structs.replace(contract, starts_at=local.astimezone(UTC))
