"""Accounts as the conformance kit needs them: of a deployment of its own, or of a configured one."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from croupier.cli.conformance_site import OTHER, OwnSite
from croupier.cli.output import CommandFailed
from croupier.conformance.speaker import Account
from croupier.conformance.speakers import find_speakers
from croupier.conformance.stage import ASSET, Target
from croupier.providers.client import ProviderClient
from croupier.providers.contract import Question, QuestionAnswer
from croupier.providers.manifest import KeyKind, Manifest
from croupier.providers.registry import find_adapters
from croupier.runtime.accounts import build_accounts
from croupier.runtime.config import Config, ContractBook, Provider, resolve_keys
from croupier_signing import Key, PrivateKey, PublicKey, SigningKey, random_token, read_key
from croupier_signing.pairs import make_rsa_pair

ASSETS: Final = (ASSET, "JPY", "BHD")
Ask = Callable[[Question], Awaitable[QuestionAnswer]]


class _Held(Struct, frozen=True, kw_only=True):
    """The provider's halves of an account's keys."""

    current: Key
    launch: SigningKey | PublicKey
    old: Key | None = None
    revoked: Key | None = None
    pair: Key | None = None
    foreign: Key | None = None


def own_target(site: OwnSite, adapter: str) -> Target:
    """An account of a site of our own; raises CommandFailed when the kit does not speak its protocol."""
    keys, other = site.keys[adapter], site.keys[f"{adapter}{OTHER}"]
    held = _Held(
        current=keys.current,
        launch=_verifying(keys.launch),
        old=keys.old,
        revoked=keys.revoked,
        pair=keys.pair,
        foreign=other.current,
    )
    target = _target(site.config, adapter, held)
    foreign = [game.id for game in site.config.games if game.provider == f"{adapter}{OTHER}"]
    return replace(target, foreign_game=foreign[0])


def configured_target(config: Config, account: str, own_key: Key | None) -> Target:
    """An account of a configured deployment, by the configuration's own keys.

    `own_key` is the provider's signing key, which the configuration cannot hold when it signs with a private key.
    Raises CommandFailed, ConfigProblems.
    """
    keys = resolve_keys(config, os.environ).providers[account]
    inbound = [key for key in keys.inbound if not isinstance(key, PublicKey)]
    if own_key is None and not inbound:
        raise CommandFailed(f"{account} signs with a private key of its own: give it with --signing-key")
    if not keys.outbound:
        raise CommandFailed(f"{account} has no outbound key, and nothing can be launched at it")
    held = _Held(
        current=own_key or inbound[0],
        launch=_verifying(keys.outbound[0]),
        old=inbound[1] if own_key is None and len(inbound) > 1 else None,
    )
    return _target(config, account, held)


def _verifying(key: Key) -> SigningKey | PublicKey:
    return key.public if isinstance(key, PrivateKey) else key


def _target(config: Config, account: str, held: _Held) -> Target:
    entry, adapter = build_accounts(config, resolve_keys(config, os.environ))[account]
    manifest, speakers = adapter.manifest, find_speakers()
    if manifest.id not in speakers:
        raise CommandFailed(f"the kit does not speak {manifest.id}; it speaks {', '.join(sorted(speakers))}")
    speaker = speakers[manifest.id](
        Account(
            id=account,
            root=f"/providers/{account}".encode(),
            key=held.current,
            launch_key=held.launch,
            settings=entry.settings,
        )
    )
    return Target(
        speaker=speaker,
        manifest=manifest,
        games=_games(config, account),
        assets=_assets(config, account),
        strange_key=make_key(manifest, "stranger"),
        old_key=held.old,
        revoked_key=held.revoked,
        pair_key=held.pair,
        foreign_key=held.foreign,
        window_s=entry.window_s,
        body_bytes=config.limits.body_bytes,
        ask=_ask(config, account),
    )


def _games(config: Config, account: str) -> tuple[str, ...]:
    games = tuple(game.id for game in config.games if game.provider == account)
    if not games:
        raise CommandFailed(f"{account} has no game to launch: add one under [[games]]")
    return games


def _assets(config: Config, account: str) -> Mapping[str, int]:
    """Those of `ASSETS` that a contract covers, with their exponents in the ledger."""
    book, registry, now = ContractBook(config.contracts), config.asset_registry(), datetime.now(UTC)
    group = next(game.group for game in config.games if game.provider == account)
    covered = [code for code in ASSETS if book.select(account, group, code, now) is not None]
    if ASSET not in covered:
        raise CommandFailed(f"no contract covers {ASSET} at {account}: the scenarios are played in it")
    return {code: registry.get(code).exponent for code in covered}


def make_key(manifest: Manifest, key_id: str) -> Key:
    """A new key of the kind that a protocol signs its calls with, known to nobody."""
    if manifest.inbound_key is KeyKind.RSA_PUBLIC:
        return read_key(key_id, make_rsa_pair()[0])
    return SigningKey(key_id, random_token().encode())


def _ask(config: Config, account: str) -> Ask:
    """Questions as the gateway would put them, through its own client and the account's adapter."""
    entry, adapter = build_accounts(config, resolve_keys(config, os.environ))[account]

    async def ask(question: Question) -> QuestionAnswer:
        client = ProviderClient(lambda: datetime.now(UTC))
        try:
            return await client.ask(entry, adapter, question)
        finally:
            await client.close()

    return ask


def find_account(config: Config, name: str) -> Provider:
    """The account of this id, or the only one that speaks the protocol of this name; raises CommandFailed."""
    for provider in config.providers:
        if provider.id == name:
            return provider
    speaking = [provider for provider in config.providers if provider.adapter == name]
    if len(speaking) == 1:
        return speaking[0]
    known = ", ".join(provider.id for provider in config.providers) or "none"
    raise CommandFailed(f"no provider account is called {name!r}; configured: {known}")


def adapter_of(config: Config, name: str) -> str:
    """The adapter of this name, or the one of the account of this name; raises CommandFailed."""
    if name in find_adapters():
        return name
    for provider in config.providers:
        if provider.id == name:
            return provider.adapter
    raise CommandFailed(
        f"no adapter or account is called {name!r}; adapters: {', '.join(sorted(find_adapters()))}"
    )
