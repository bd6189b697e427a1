"""Lies and the scenarios that are meant for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from contract.wallet_proxy import Lie
from croupier.conformance.wallet.scenario import FAILED


@dataclass(frozen=True)
class Told:
    """One lie: what it is called, what it does, which scenarios it must not pass, and how they end."""

    name: str
    lie: Lie
    scenarios: tuple[str, ...]
    status: str


LIES: list[Told] = []


def finds(*scenarios: str, status: str = FAILED) -> Callable[[Lie], Lie]:
    """Register a lie for the scenarios that must find it."""

    def register(lie: Lie) -> Lie:
        LIES.append(Told(lie.__name__, lie, scenarios, status))
        return lie

    return register
