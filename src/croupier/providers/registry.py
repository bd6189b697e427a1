"""Every adapter there is: the folders under `adapters/`, found by name so that a new one needs no list."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from croupier.providers import adapters
from croupier.providers.contract import Adapter


@cache
def find_adapters() -> Mapping[str, Adapter]:
    """Adapters by protocol and version. Raises ImportError or AttributeError when a folder holds no `ADAPTER`."""
    found: dict[str, Adapter] = {}
    for folder in pkgutil.iter_modules(adapters.__path__, f"{adapters.__name__}."):
        if folder.ispkg:
            adapter: Adapter = import_module(folder.name).ADAPTER
            found[adapter.manifest.id] = adapter
    return found
