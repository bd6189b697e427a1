"""The signing keys behind a configuration, their secrets resolved once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from croupier.runtime.config.checks import secret_references
from croupier.runtime.config.problems import ConfigProblems, Problem
from croupier.runtime.config.sections import Config, Provider
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import SigningKey


class ProviderKeys(Struct, frozen=True):
    """A provider's keys as the file orders them: inbound verify its calls, the first outbound signs ours."""

    inbound: tuple[SigningKey, ...]
    outbound: tuple[SigningKey, ...]


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
        api={
            key.id: SigningKey(key.id, resolve_secret(key.secret, env=env))
            for key in config.api_keys
            if key.secret is not None
        },
    )


def find_unusable_secrets(config: Config, env: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each reference without a usable secret behind it."""
    for place, reference in secret_references(config).items():
        try:
            resolve_secret(reference, env=env)
        except SecretUnavailable as error:
            yield Problem(place, error.what, error.fix)


def _provider_keys(provider: Provider, env: Mapping[str, str]) -> ProviderKeys:
    keys = [(key, SigningKey(key.id, resolve_secret(key.secret, env=env))) for key in provider.keys]
    return ProviderKeys(
        inbound=tuple(signing for key, signing in keys if key.is_inbound),
        outbound=tuple(signing for key, signing in keys if key.is_outbound),
    )
