"""Configuration of Croupier: `croupier.toml`, overridden by `CROUPIER_…` environment variables."""

from croupier.runtime.config.contracts import ContractBook
from croupier.runtime.config.eligibility import Geo, JurisdictionEntry, SelfExclusion
from croupier.runtime.config.jurisdictions import built_in_packs, served_in
from croupier.runtime.config.keys import (
    ProviderKeys,
    ResolvedKeys,
    find_unusable_secrets,
    resolve_api_keys,
    resolve_check_key,
    resolve_keys,
    resolve_wallet_key,
)
from croupier.runtime.config.loading import load_config
from croupier.runtime.config.outbound import Breakers, Retries
from croupier.runtime.config.outbox_keys import find_unusable_outbox, read_webhook_key, resolve_outbox
from croupier.runtime.config.problems import ConfigProblems, Problem
from croupier.runtime.config.queues import Inbox, Outbox, OutboxEndpoint
from croupier.runtime.config.rollout import Rollout
from croupier.runtime.config.sections import (
    ANY,
    EMBEDDED,
    ApiKey,
    AssetEntry,
    Config,
    Contract,
    Database,
    Game,
    Http,
    Lanes,
    Limits,
    Owner,
    Provider,
    ProviderKey,
    Sandbox,
    Telemetry,
    parse_address,
)
from croupier.runtime.config.shadows import Shadow
from croupier.runtime.config.timeouts import Timeout, timeout_policy
from croupier.runtime.config.wallet import Wallet

__all__ = [
    "ANY",
    "EMBEDDED",
    "ApiKey",
    "AssetEntry",
    "Breakers",
    "Config",
    "ConfigProblems",
    "Contract",
    "ContractBook",
    "Database",
    "Game",
    "Geo",
    "Http",
    "Inbox",
    "JurisdictionEntry",
    "Lanes",
    "Limits",
    "Outbox",
    "OutboxEndpoint",
    "Owner",
    "Problem",
    "Provider",
    "ProviderKey",
    "ProviderKeys",
    "ResolvedKeys",
    "Retries",
    "Rollout",
    "Sandbox",
    "SelfExclusion",
    "Shadow",
    "Telemetry",
    "Timeout",
    "Wallet",
    "built_in_packs",
    "find_unusable_outbox",
    "find_unusable_secrets",
    "load_config",
    "parse_address",
    "read_webhook_key",
    "resolve_api_keys",
    "resolve_check_key",
    "resolve_keys",
    "resolve_outbox",
    "resolve_wallet_key",
    "served_in",
    "timeout_policy",
]
