"""The demo's provider accounts: their part of the configuration, their keys, and the sandbox's side of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import Final

from croupier.demo.settings import FOREIGN, GAMES, NATIVE, SUCCESSOR, DemoProvider, PlayedAsset
from croupier.runtime.accounts import ADAPTERS
from croupier.runtime.config import Config
from croupier.runtime.config.starter import KEYS_FOLDER
from croupier_signing import random_token
from croupier_signing.pairs import make_rsa_pair

ACCOUNTS_NAME: Final = "sandbox-accounts.toml"
_PRIVATE: Final = 0o600


def choose_providers() -> tuple[DemoProvider, ...]:
    """The native account, and one of each protocol that this version has an adapter for."""
    return (NATIVE, *(one for one in FOREIGN if one.protocol in ADAPTERS))


def seat_players(providers: Sequence[DemoProvider]) -> list[tuple[DemoProvider, PlayedAsset]]:
    """Where players sit: all accounts with their first asset, then all with the next, as far as there are any."""
    longest = max(len(provider.assets) for provider in providers)
    return [
        (provider, provider.assets[turn])
        for turn in range(longest)
        for provider in providers
        if turn < len(provider.assets)
    ]


def game_of(provider: DemoProvider, game: str) -> str:
    """The id of a game in the catalogue: the native account's are bare."""
    return game if provider is NATIVE else f"{provider.id}-{game}"


def add_providers(folder: Path, config: Config) -> str:
    """The configuration text of the accounts that are not in it yet; makes their keys."""
    known = {provider.id for provider in config.providers}
    missing = [one for one in choose_providers() if one.id not in known]
    for provider in missing:
        _make_keys(folder / KEYS_FOLDER, provider)
    declared = {entry.code for entry in config.assets}
    added = render_asset_tables(missing, declared) + "".join(render_provider(one) for one in missing)
    if SUCCESSOR.id not in known:
        _make_keys(folder / KEYS_FOLDER, SUCCESSOR)
        added += render_successor()
    return added


def write_accounts(folder: Path, gateway: str) -> Path:
    """The sandbox's file of all accounts but the native one."""
    providers = [one for one in choose_providers() if one is not NATIVE] + [SUCCESSOR]
    path = folder / ACCOUNTS_NAME
    path.write_text("".join(render_account(one, gateway) for one in providers), encoding="utf-8")
    return path


def render_asset_tables(providers: Iterable[DemoProvider], declared: set[str]) -> str:
    """Assets that neither ISO 4217 nor the configuration knows."""
    codes = {asset.code for provider in providers for asset in provider.assets}
    return _MILLI_BITCOIN if "mBTC" in codes - declared else ""


def render_provider(provider: DemoProvider) -> str:
    """An account, its games and its terms, as tables of `croupier.toml`."""
    settings = "".join(f'{name} = "{value}"\n' for name, value in provider.settings.items())
    tables = [_account_table(provider)]
    if settings:
        tables.append(f"[providers.settings]\n{settings}")
    tables += [
        _GAME.substitute(id=game_of(provider, game), provider=provider.id, name=game.title())
        for game in GAMES
    ]
    return "\n" + "\n".join([*tables, _CONTRACT.substitute(provider=provider.id)])


def render_successor() -> str:
    """The account that takes over from the native one: it plays the same games, on terms of its own."""
    account = _account_table(SUCCESSOR).replace("adapter =", f'replaces = "{NATIVE.id}"\nadapter =', 1)
    return "\n" + "\n".join([account, _CONTRACT.substitute(provider=SUCCESSOR.id)])


def _account_table(provider: DemoProvider) -> str:
    ours = ".pub" if provider.signs_with_pairs else ""
    return _PROVIDER.substitute(
        id=provider.id,
        protocol=provider.protocol,
        keys=KEYS_FOLDER,
        inbound=f"{provider.id}-in-1{ours}.key",
        outbound=f"{provider.id}-out-1.key",
    )


def render_account(provider: DemoProvider, gateway: str) -> str:
    """The same account as the sandbox sees it: it holds the other halves of the keys."""
    theirs = ".pub" if provider.signs_with_pairs else ""
    return _ACCOUNT.substitute(
        id=provider.id,
        protocol=provider.protocol,
        gateway=gateway,
        keys=KEYS_FOLDER,
        inbound=f"{provider.id}-in-1.key",
        outbound=f"{provider.id}-out-1{theirs}.key",
    )


def _make_keys(folder: Path, provider: DemoProvider) -> None:
    for direction in ("in", "out"):
        name = f"{provider.id}-{direction}-1"
        if not provider.signs_with_pairs:
            _write_key(folder / f"{name}.key", random_token().encode())
            continue
        private, public = make_rsa_pair()
        _write_key(folder / f"{name}.key", private)
        _write_key(folder / f"{name}.pub.key", public)


def _write_key(path: Path, content: bytes) -> None:
    path.touch(mode=_PRIVATE)
    path.chmod(_PRIVATE)
    with open(os.open(path, os.O_WRONLY | os.O_TRUNC), "wb") as file:
        file.write(content)


_MILLI_BITCOIN: Final = """
[[assets]]
code = "mBTC"
exponent = 5
"""

_PROVIDER: Final = Template("""\
[[providers]]
id = "$id"
adapter = "$protocol"
base_url = "http://127.0.0.1:8702/$id"
keys = [
    { id = "$id-in-1", secret = "file:$keys/$inbound", direction = "inbound" },
    { id = "$id-out-1", secret = "file:$keys/$outbound", direction = "outbound" },
]
""")

_GAME: Final = Template("""\
[[games]]
id = "$id"
provider = "$provider"
name = "$name"
category = "instant"
rtp_bps = 9900
""")

_CONTRACT: Final = Template("""\
[[contracts]]
provider = "$provider"
from = 2025-01-01
share_bps = 1200
""")

_ACCOUNT: Final = Template("""\
[[accounts]]
id = "$id"
protocol = "$protocol"
callback_base = "$gateway/providers/$id"
inbound = { id = "$id-in-1", secret = "file:$keys/$inbound" }
outbound = { id = "$id-out-1", secret = "file:$keys/$outbound" }

""")
