"""The keys of providers as configuration and database name them together, and their secrets read.

The file is the bootstrap: a key of the file that the database does not know is adopted. From then on the database
says in which state it is, whatever the file says; where its secret is, the file of each host may say for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import structlog

from croupier.governance.keyring import (
    Keyring,
    Unusable,
    assemble_keyring,
    load_key_states,
    lock_keys,
    write_step,
)
from croupier.governance.keys import Direction, KeyFacts, KeyState, Step, StepRefused, decide_adopt
from croupier.providers.manifest import KeyKind, Manifest
from croupier.runtime.accounts import ADAPTERS
from croupier.runtime.config import Config, Problem, ProviderKeys, ResolvedKeys
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import MAX_KEYS, Key, PrivateKey, PublicKey, SigningKey, read_key

_log = structlog.get_logger("croupier.keys")


ADOPTED_BECAUSE: Final = "named in the configuration file"


def configured_keys(config: Config, now: datetime) -> Iterator[KeyFacts]:
    """The keys that the file names, in its order, as if they were published at `now`."""
    for provider in config.providers:
        due_at = now + timedelta(seconds=provider.rotate_after_s)
        for key in provider.keys:
            yield KeyFacts(
                key_id=key.id,
                provider=provider.id,
                direction=Direction(key.direction),
                secret=key.secret,
                state=KeyState.PUBLISHED,
                published_at=now,
                promoted_at=None,
                revoked_at=None,
                due_at=due_at,
            )


async def adopt_keys(connection: asyncpg.Connection, config: Config, now: datetime, *, actor: str) -> int:
    """Take over the keys of the file that the database does not know; how many there were.

    A key that the rules refuse is left out and logged (`find_unusable` tells of it). Any number of processes may do
    this at once. Raises asyncpg.PostgresError.
    """
    wanted = list(configured_keys(config, now))
    known = {key.key_id for key in await load_key_states(connection)}
    if known.issuperset(key.key_id for key in wanted):
        return 0
    async with connection.transaction():
        keys = await lock_keys(connection)
        adopted = 0
        for new in wanted:
            if all(key.key_id != new.key_id for key in keys):
                step = _adopt_or_leave(keys, new, now)
                if step is None:
                    continue
                keys, adopted = step.keys, adopted + 1
                await write_step(
                    connection, step, action="key.adopted", actor=actor, reason=ADOPTED_BECAUSE, now=now
                )
    return adopted


def _adopt_or_leave(keys: Sequence[KeyFacts], new: KeyFacts, now: datetime) -> Step | None:
    try:
        return decide_adopt(keys, new, now)
    except StepRefused as refused:
        _log.error(
            "key_not_adopted", provider=new.provider, key_id=new.key_id, because=refused.what, fix=refused.fix
        )
        return None


class KeyReader:
    """Reads the secret of a key: from where this host's file says, else from where the database says."""

    def __init__(self, config: Config, env: Mapping[str, str]) -> None:
        self._env = env
        self._manifests = {one.id: ADAPTERS[one.adapter].manifest for one in config.providers}
        self._here = {key.key_id: key for key in configured_keys(config, datetime.now(UTC))}

    def reference_of(self, key: KeyFacts) -> str:
        """Where the secret is for this process."""
        here = self._here.get(key.key_id)
        return key.secret if here is None or here.provider != key.provider else here.secret

    def read(self, key: KeyFacts) -> Key | Unusable:
        """The key, or why it cannot be used; blocks while a secret store answers."""
        try:
            found = read_key(key.key_id, resolve_secret(self.reference_of(key), env=self._env))
        except SecretUnavailable as error:
            return Unusable(key.key_id, key.provider, error.what)
        except ValueError as error:
            return Unusable(key.key_id, key.provider, str(error))
        manifest = self._manifests.get(key.provider)
        why_not = None if manifest is None else find_misfit(manifest, key.direction, found)
        return found if why_not is None else Unusable(key.key_id, key.provider, why_not)


_USABLE: Final[Mapping[tuple[Direction, KeyKind], tuple[type[Key], ...]]] = {
    (Direction.INBOUND, KeyKind.SHARED): (SigningKey,),
    (Direction.INBOUND, KeyKind.TOKEN): (SigningKey,),
    (Direction.INBOUND, KeyKind.RSA_PUBLIC): (PublicKey,),
    (Direction.OUTBOUND, KeyKind.SHARED): (SigningKey,),
    (Direction.OUTBOUND, KeyKind.TOKEN): (SigningKey,),
    (Direction.OUTBOUND, KeyKind.RSA_PRIVATE): (PrivateKey,),
}


def find_misfit(manifest: Manifest, direction: Direction, key: Key) -> str | None:
    """Why a protocol cannot use a key in a direction; None when it can."""
    kinds = {Direction.INBOUND: manifest.inbound_key, Direction.OUTBOUND: manifest.outbound_key}
    for part in direction.parts:
        if not _is_usable(manifest, part, kinds[part], key):
            wanted = kinds[part].value.replace("_", " ")
            return f"{manifest.id} wants another kind of {part} key: {wanted}"
    return None


def _is_usable(manifest: Manifest, part: Direction, kind: KeyKind, key: Key) -> bool:
    """Whether the protocol's verifier or signer takes such a key: what it would ignore must not look usable."""
    if part is Direction.INBOUND and manifest.signing == "native" and isinstance(key, PublicKey):
        return True  # A native caller may sign with a key pair of its own (RFC 9421).
    if not isinstance(key, _USABLE.get((part, kind), ())):
        return False
    half = key.public if isinstance(key, PrivateKey) else key
    return not isinstance(half, PublicKey) or half.is_rsa


def read_all(reader: KeyReader, keys: Sequence[KeyFacts]) -> tuple[dict[str, Key], list[Unusable]]:
    """The keys that can be used, by id, and those that cannot; blocks while secret stores answer."""
    read = [reader.read(key) for key in keys]
    held = {one.id: one for one in read if not isinstance(one, Unusable)}
    return held, [one for one in read if isinstance(one, Unusable)]


async def load_keyring(connection: asyncpg.Connection, config: Config, env: Mapping[str, str]) -> Keyring:
    """Every provider's keys as they are now, read once; raises asyncpg.PostgresError."""
    facts = await load_key_states(connection)
    held, unusable = read_all(KeyReader(config, env), [key for key in facts if not key.is_revoked])
    return assemble_keyring(facts, held, unusable)


def find_unusable(config: Config, keyring: Keyring) -> list[Problem]:
    """A problem for each key of the file that is not revoked and cannot be used: told at the start."""
    named = {key.id for provider in config.providers for key in provider.keys}
    known = {key.key_id for key in keyring.facts}
    return [
        Problem(
            f"key {key.id} of {provider.id}",
            f"was not adopted: the provider has {MAX_KEYS} inbound keys already",
            "revoke one that is out of use, or remove this one from the file",
        )
        for provider in config.providers
        for key in provider.keys
        if key.id not in known
    ] + [
        Problem(
            f"key {one.key_id} of {one.provider}", one.because, "make its secret readable, or revoke the key"
        )
        for one in keyring.unusable
        if one.key_id in named
    ]


def render_resolved(config: Config, keyring: Keyring, api: Mapping[str, SigningKey]) -> ResolvedKeys:
    """The keyring in the form accounts are built from, with the native keys of the operator API."""
    return ResolvedKeys(
        providers={provider.id: _keys_of(keyring, provider.id) for provider in config.providers}, api=api
    )


def _keys_of(keyring: Keyring, provider: str) -> ProviderKeys:
    keys = keyring.of(provider)
    return ProviderKeys(inbound=keys.inbound, outbound=() if keys.outbound is None else (keys.outbound,))
