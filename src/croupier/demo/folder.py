"""The demo's folder: what `croupier init` would write, all of the sandbox's accounts, and where it listens today."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Final

from croupier.demo.providers import add_providers
from croupier.demo.reading_along import render_shadow
from croupier.demo.settings import WALLET_TIMEOUT
from croupier.runtime.config import Config, load_config
from croupier.runtime.config.starter import CONFIG_NAME, KEYS_FOLDER, write_starter

QUICK_BREAKERS: Final = """
# A provider that failed is tried again while you watch; the default waits for longer.
[breakers]
open = "10s"
"""

QUICKER_BREAKERS: Final = """
# A wallet that is away is left alone, and tried again, while you watch; the defaults look at more and wait for longer.
[breakers]
window = "5s"
open = "5s"
open_cap = "5s"
"""

OWN_WALLET: Final = f"""
# The operator's own wallet keeps the players' money; the demo starts it, on another port each time.
[wallet]
mode = "remote"
url = "$url"
secret = "file:{KEYS_FOLDER}/wallet.key"
timeout = "{WALLET_TIMEOUT}"
"""

QUICK_PARKING: Final = """
# A webhook that cannot be processed is to be a dead letter while you watch; the default tries it for minutes.
[inbox]
attempts = 3
"""

SET_ASIDE: Final = f"{CONFIG_NAME}.old"
"""Where a configuration of an earlier version goes, which says nothing of jurisdictions: nobody could play under it."""

_CHECK_URL: Final = re.compile(r'^url = "http://[^"/]*/self-exclusion"$', re.MULTILINE)
_WALLET_URL: Final = re.compile(r'^\[wallet\]\nmode = "remote"\nurl = "[^"]*"$', re.MULTILINE)
_BASE_URL: Final = re.compile(r'^base_url = "http://[^"/]*(/[^"]*)?"$', re.MULTILINE)


def prepare_folder(folder: Path, env: Mapping[str, str], *, wallet_url: str | None = None) -> Config:
    """The demo's configuration, written first if it is not there; raises ConfigProblems.

    CROUPIER_SANDBOX_LISTEN moves the sandbox, and no variable can move a provider: the file follows. With `wallet_url`
    the operator's wallet there keeps the money, whose key must be in the folder.
    """
    path = folder / CONFIG_NAME
    if path.exists() and "\n[[jurisdictions]]\n" not in path.read_text(encoding="utf-8"):
        path.replace(folder / SET_ASIDE)
    if not path.exists():
        write_starter(folder)
    config = load_config(path, env)
    text = path.read_text(encoding="utf-8")
    added = add_providers(folder, config)
    added += "" if "\n[[shadows]]\n" in text else render_shadow()
    for section in (QUICK_PARKING, QUICK_BREAKERS if wallet_url is None else QUICKER_BREAKERS):
        name = section.splitlines()[2]
        added += "" if f"\n{name}\n" in text else section
    wanted = point_at_sandbox(text + added, config.sandbox.listen)
    wanted = wanted if wallet_url is None else point_at_wallet(wanted, wallet_url)
    if wanted == text:
        return config
    path.write_text(wanted, encoding="utf-8")
    return load_config(path, env)


def point_at_sandbox(text: str, listen: str) -> str:
    """The configuration's text with every provider, and the check that it stands in for, at this "host:port"."""
    text = _CHECK_URL.sub(f'url = "http://{listen}/self-exclusion"', text)
    return _BASE_URL.sub(rf'base_url = "http://{listen}\1"', text)


def point_at_wallet(text: str, url: str) -> str:
    """The configuration's text with the operator's wallet there."""
    section = Template(OWN_WALLET).substitute(url=url)
    if "\n[wallet]\n" not in text:
        return text + section
    return _WALLET_URL.sub(f'[wallet]\nmode = "remote"\nurl = "{url}"', text)
