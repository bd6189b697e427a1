"""The flags there are. Another name means nothing to anybody, so it is refused before it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct


class Flag(Struct, frozen=True, kw_only=True):
    """A flag that code asks for: what it decides, and its value where no rule says anything."""

    name: str
    meaning: str
    default: bool
    needs_provider: bool = False
    """Whether a rule without a provider would mean nothing."""
    may_undo_upwards: bool = True
    """Whether a rollback may turn it on for more players than now; a halted rollout is raised on purpose only."""


LAUNCH: Final = Flag(name="launch", meaning="whether a game may be opened", default=True)
ROLLOUT: Final = Flag(
    name="rollout",
    meaning="which players' sessions go to the account that replaces another",
    default=False,
    needs_provider=True,
    may_undo_upwards=False,
)

FLAGS: Final[Mapping[str, Flag]] = MappingProxyType({flag.name: flag for flag in (LAUNCH, ROLLOUT)})
"""Every flag by its name."""
