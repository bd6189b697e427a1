"""Which adapters may read along: every adapter, and the candidates that no account can be configured with.

Names are read from folders. Nothing but the process in which a candidate is tried imports its code.
"""

from __future__ import annotations

import importlib.resources
import pkgutil
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from importlib.resources.abc import Traversable

from croupier.providers import adapters, candidates
from croupier.providers.contract import Adapter
from croupier_signing import payload_digest


class CandidateUnusable(Exception):
    """There is no such candidate, or its folder holds none; the text says which."""


@cache
def candidate_names() -> tuple[str, ...]:
    """What `[[shadows]]` may name, in order."""
    return tuple(sorted({*_folders(adapters.__path__), *_folders(candidates.__path__)}))


def import_candidate(name: str) -> Adapter:
    """Import a candidate. Raises CandidateUnusable, and whatever its code raises."""
    found = getattr(import_module(_package(name)), "ADAPTER", None)
    if found is None:
        raise CandidateUnusable(f"{name} has no ADAPTER")
    adapter: Adapter = found
    if adapter.manifest.id != name:
        raise CandidateUnusable(f"the folder {name} holds {adapter.manifest.id}")
    return adapter


@cache
def render_digest(candidate: str, live: str) -> str:
    """What the code of both adapters is, in 16 hex digits: a change of either begins a new comparison."""
    lines = []
    for name in (candidate, live):
        root = importlib.resources.files(_package(name))
        lines += [f"{path} {payload_digest(file.read_bytes())}" for path, file in _files(root, name)]
    return payload_digest("\n".join(lines).encode())[:16]


def _files(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        below = f"{path}/{file.name}"
        if file.is_dir() and file.name != "__pycache__":
            yield from _files(file, below)
        elif file.name.endswith(".py"):
            yield below, file


def _package(name: str) -> str:
    """The candidate's own folder where it has one: a fixed version may be tried beside the adapter of its name."""
    for parent in (candidates, adapters):
        if name in _folders(parent.__path__):
            return f"{parent.__name__}.{name}"
    raise CandidateUnusable(f"no candidate is called {name}")


def _folders(path: Iterable[str]) -> tuple[str, ...]:
    return tuple(folder.name for folder in pkgutil.iter_modules(path) if folder.ispkg)
