"""The signing keys behind a configuration, their secrets resolved once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from croupier.runtime.config.checks import api_key_references, secret_references
from croupier.runtime.config.problems import ConfigProblems, Problem
from croupier.runtime.config.sections import Config, Provider
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import Key, SigningKey, read_key


class ProviderKeys(Struct, frozen=True):
    """A provider's keys as the file orders them: inbound verify its calls, the first outbound signs ours."""

    inbound: tuple[Key, ...]
    outbound: tuple[Key, ...]


class ResolvedKeys(Struct, frozen=True):
    """Keys by provider id, and native keys of the operator API by key id; the repr masks every secret."""

    providers: Mapping[str, ProviderKeys]
    api: Mapping[str, SigningKey]


def resolve_keys(config: Config, env: Mapping[str, str]) -> ResolvedKeys:
    """Read every secret; raises ConfigProblems with all that cannot be used."""
    if problems := list(find_unusable_secrets(config, env)):
        raise ConfigProblems(problems)
    return ResolvedKeys(
        providers={provider.id: _provider_keys(provider, env) for provider in config.providers},
        api=_api_keys(config, env),
    )


def resolve_api_keys(config: Config, env: Mapping[str, str]) -> Mapping[str, SigningKey]:
    """The native keys of the operator API alone, by key id; raises ConfigProblems."""
    if problems := list(_find_unusable(api_key_references(config), env)):
        raise ConfigProblems(problems)
    return _api_keys(config, env)


def resolve_check_key(config: Config, env: Mapping[str, str]) -> SigningKey | None:
    """What signs the questions to the self-exclusion check, None without one; raises ConfigProblems."""
    check = config.self_exclusion
    if check.secret is None:
        return None
    if problems := list(_find_unusable({"self_exclusion.secret": check.secret}, env)):
        raise ConfigProblems(problems)
    return SigningKey(check.key_id, resolve_secret(check.secret, env=env))


def resolve_wallet_key(config: Config, env: Mapping[str, str]) -> SigningKey | None:
    """What signs the calls to the operator's wallet, None where there is none; raises ConfigProblems."""
    wallet = config.wallet
    if wallet.secret is None:
        return None
    if problems := list(_find_unusable({"wallet.secret": wallet.secret}, env)):
        raise ConfigProblems(problems)
    return SigningKey(wallet.key_id, resolve_secret(wallet.secret, env=env))


def find_unusable_secrets(config: Config, env: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each reference without a usable secret behind it."""
    yield from _find_unusable(secret_references(config), env)


def _find_unusable(references: Mapping[str, str], env: Mapping[str, str]) -> Iterator[Problem]:
    for place, reference in references.items():
        try:
            read_key("any", resolve_secret(reference, env=env))
        except SecretUnavailable as error:
            yield Problem(place, error.what, error.fix)
        except ValueError as error:
            what = str(error).removeprefix("key any: ")
            yield Problem(place, what, "use a random secret, or an unencrypted PEM key")


def _api_keys(config: Config, env: Mapping[str, str]) -> Mapping[str, SigningKey]:
    return {
        key.id: SigningKey(key.id, resolve_secret(key.secret, env=env))
        for key in config.api_keys
        if key.secret is not None
    }


def _provider_keys(provider: Provider, env: Mapping[str, str]) -> ProviderKeys:
    keys = [(key, read_key(key.id, resolve_secret(key.secret, env=env))) for key in provider.keys]
    return ProviderKeys(
        inbound=tuple(signing for key, signing in keys if key.is_inbound),
        outbound=tuple(signing for key, signing in keys if key.is_outbound),
    )
