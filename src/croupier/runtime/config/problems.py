"""What is wrong with a configuration: all of it at once, each with what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from msgspec import Struct

LONGEST_SHOWN = 60
NEAREST_CUTOFF = 0.6


class Problem(Struct, frozen=True):
    """One thing to repair: the key or variable, what is wrong, what to do. Never a secret's value."""

    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.fix}"


class ConfigProblems(Exception):
    """The configuration cannot be used; `problems` lists every reason, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def render_shown(value: object) -> str:
    """A value as an error may show it: quoted like TOML, cut after 60 characters."""
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def render_nearest(name: str, known: Iterable[str], *, otherwise: str) -> str:
    """Advice for an unknown name: the nearest known one, else `otherwise`."""
    found = get_close_matches(name[:LONGEST_SHOWN], list(known), n=1, cutoff=NEAREST_CUTOFF)
    return f'did you mean "{found[0]}"?' if found else otherwise
