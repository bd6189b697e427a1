"""Every scenario, in the order of a report: the modules of this folder, each a group."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from croupier.conformance.scenario import Scenario

GROUPS: Final = (
    "manifest",
    "launches",
    "play",
    "repeats",
    "rollbacks",
    "batches",
    "extras",
    "webhooks",
    "tokens",
    "authentication",
    "freshness",
    "amounts",
    "binding",
    "bounds",
)
"""The modules, first what must work and then what must be refused."""


def _scenarios_of(group: str) -> tuple[Scenario, ...]:
    module = import_module(f"{__name__}.{group}")
    return tuple(value for value in vars(module).values() if isinstance(value, Scenario))


SCENARIOS: Final = tuple(scenario for group in GROUPS for scenario in _scenarios_of(group))
"""All of them; names are unique."""
