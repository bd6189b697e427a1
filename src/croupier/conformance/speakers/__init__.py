"""The provider's side of every protocol, one module each, found by the adapter's name."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from croupier.conformance import speakers
from croupier.conformance.speaker import Speaker


@cache
def find_speakers() -> Mapping[str, type[Speaker]]:
    """Speakers by protocol and version; a module whose name does not end in a version is none."""
    found: dict[str, type[Speaker]] = {}
    for module in pkgutil.iter_modules(speakers.__path__, f"{speakers.__name__}."):
        if module.name.rpartition("_v")[2].isdigit():
            speaker: type[Speaker] = import_module(module.name).SPEAKER
            found[speaker.adapter] = speaker
    return found
