"""How a scenario ends before its end."""

from __future__ import annotations

from croupier.conformance.wallet.caller import Exchange


class Failed(Exception):
    """The wallet broke a promise: what was expected, what came, and in which exchange it shows."""

    def __init__(self, expected: str, came: str, exchange: Exchange | None = None) -> None:
        super().__init__(f"expected {expected}; came {came}")
        self.expected = expected
        self.came = came
        self.exchange = exchange


class NotPlayable(Exception):
    """The scenario cannot be played here; the text says what is missing."""


class NotReady(Exception):
    """The run cannot begin; the text says why and what would help."""
