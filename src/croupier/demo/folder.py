"""The demo's folder: a configuration that `croupier init` would write, with the sandbox where it listens today."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from croupier.runtime.config import Config, load_config
from croupier.runtime.config.starter import CONFIG_NAME, write_starter

_BASE_URL: Final = re.compile(r'^base_url = "[^"]*"$', re.MULTILINE)


def prepare_folder(folder: Path, env: Mapping[str, str]) -> Config:
    """The demo's configuration, written first if it is not there; raises ConfigProblems.

    CROUPIER_SANDBOX_LISTEN moves the sandbox, and no variable can move a provider: the file follows.
    """
    path = folder / CONFIG_NAME
    if not path.exists():
        write_starter(folder)
    config = load_config(path, env)
    text = path.read_text(encoding="utf-8")
    moved = point_at_sandbox(text, config.sandbox.listen)
    if moved == text:
        return config
    path.write_text(moved, encoding="utf-8")
    return load_config(path, env)


def point_at_sandbox(text: str, listen: str) -> str:
    """The starter's text with its one provider at this address ("host:port")."""
    return _BASE_URL.sub(f'base_url = "http://{listen}"', text)
