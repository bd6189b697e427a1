"""Every scenario, in the order in which they are played: what needs all the others comes last."""

from __future__ import annotations

from types import ModuleType
from typing import Final

from croupier.conformance.wallet.scenario import Scenario
from croupier.conformance.wallet.scenarios import (
    balance,
    batch,
    concurrency,
    conflicts,
    credits,
    deadlines,
    debits,
    errors,
    limits,
    lost_replies,
    precision,
    repeats,
    rollbacks,
    signatures,
    statement,
    status,
)

MODULES: Final[tuple[ModuleType, ...]] = (
    balance,
    debits,
    credits,
    repeats,
    conflicts,
    rollbacks,
    status,
    lost_replies,
    concurrency,
    precision,
    limits,
    signatures,
    errors,
    batch,
    statement,
    deadlines,
)


def _scenarios_of(module: ModuleType) -> list[Scenario]:
    found: list[Scenario] = []
    for value in vars(module).values():
        found += [
            one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, Scenario)
        ]
    return found


SCENARIOS: Final[tuple[Scenario, ...]] = tuple(one for module in MODULES for one in _scenarios_of(module))
