"""Provider accounts as the configuration describes them, each with the adapter that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from croupier.moneypath.commands import Contract
from croupier.providers.contract import Adapter, ProviderAccount
from croupier.providers.registry import find_adapters
from croupier.runtime.config import Config, ContractBook, Game, Provider, ResolvedKeys

ADAPTERS: Final[Mapping[str, Adapter]] = find_adapters()
"""Every adapter there is, by protocol and version."""


def build_accounts(
    config: Config, keys: ResolvedKeys, *, used_pools: Iterable[str] = ()
) -> dict[str, tuple[ProviderAccount, Adapter]]:
    """Accounts and adapters by provider id.

    `used_pools` have balances already: sessions may be pinned to them although the configuration has moved on.
    """
    used = frozenset(used_pools)
    book = ContractBook(config.contracts)
    groups = {game.id: game for game in config.games}
    return {
        provider.id: (_account(config, provider, keys, book, groups, used), ADAPTERS[provider.adapter])
        for provider in config.providers
    }


def _account(
    config: Config,
    provider: Provider,
    keys: ResolvedKeys,
    book: ContractBook,
    games: Mapping[str, Game],
    used_pools: frozenset[str],
) -> ProviderAccount:
    own = keys.providers[provider.id]

    def contract_for(*, asset: str, game_id: str | None, at: datetime) -> Contract | None:
        game = games.get(game_id) if game_id is not None else None
        found = book.select(provider.id, "default" if game is None else game.group, asset, at)
        return None if found is None else Contract(found.effective_pool, found.promo_source)

    pools = {one.effective_pool for one in config.contracts if one.provider == provider.id}
    return ProviderAccount(
        id=provider.id,
        adapter=provider.adapter,
        base_url=provider.base_url or "",
        inbound_keys={key.id: key for key in own.inbound},
        outbound_key=own.outbound[0] if own.outbound else None,
        assets=config.asset_registry(),
        contract_for=contract_for,
        window_s=provider.window_s,
        settings=_settings(provider),
        pools=tuple(sorted(used_pools | {pool for pool in pools if pool is not None})),
    )


def _settings(provider: Provider) -> dict[str, str]:
    """What the configuration gives, and the protocol's own defaults for the rest."""
    known = ADAPTERS[provider.adapter].manifest.settings
    defaults = {setting.name: setting.default for setting in known if setting.default is not None}
    return defaults | dict(provider.settings)
