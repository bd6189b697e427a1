"""What a signing profile covers and, more to the point, what it leaves open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PARTS: Final = ("method", "path", "query", "body", "headers", "timestamp", "nonce")
"""The parts of a request that every profile names, each on exactly one side; `headers` are those nothing else names."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The declaration of one scheme: which parts of a request its signature proves and which it does not.

    Besides `PARTS` either side may name something narrower, such as one header. `weakness` says why a scheme is weak
    and is given exactly when it is; ValueError otherwise.
    """

    scheme: str
    covered: tuple[str, ...]
    uncovered: tuple[str, ...]
    is_weak: bool = False
    weakness: str | None = None

    def __post_init__(self) -> None:
        if self.is_weak != bool(self.weakness):
            raise ValueError(f"{self.scheme}: a weak scheme says why it is weak, and no other does")
        if twice := set(self.covered) & set(self.uncovered):
            raise ValueError(f"{self.scheme}: covered and uncovered at once: {', '.join(sorted(twice))}")
