"""The keys in use at one moment: rows of the database with their secrets, ready to verify and to sign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import structlog
from msgspec import Struct

from croupier.governance.audit import Detail, Entry, insert_record, lock_chain
from croupier.governance.keys import Change, Direction, KeyFacts, KeyState, Step, find_signer
from croupier.runtime.statements import load_statements
from croupier_signing import MAX_KEYS, Key

_log = structlog.get_logger("croupier.keys")
_SQL: Final = load_statements("croupier/governance/keys.sql")
_ORDER: Final = (KeyState.CURRENT, KeyState.PUBLISHED, KeyState.RETIRING)

CHANNEL: Final = "croupier_keys"
"""Where a change of any key is announced (the statement `announce_keys`)."""


class ProviderKeyring(Struct, frozen=True):
    """A provider's keys: those that verify its calls, the current ones first, and the one that signs ours."""

    inbound: tuple[Key, ...] = ()
    outbound: Key | None = None


class Unusable(Struct, frozen=True):
    """A key that is not revoked and cannot be used here, and why; never with a value."""

    key_id: str
    provider: str
    because: str


class Keyring(Struct, frozen=True):
    """Every provider's keys at one moment; `facts` are all rows, revoked ones too."""

    facts: tuple[KeyFacts, ...] = ()
    providers: Mapping[str, ProviderKeyring] = {}
    unusable: tuple[Unusable, ...] = ()

    def of(self, provider: str) -> ProviderKeyring:
        """The keys of a provider; none for one that has none."""
        return self.providers.get(provider, ProviderKeyring())


class KeyUse(Struct, frozen=True):
    """What one process has seen of one key since it last told."""

    key_id: str
    last_seen_ok: datetime | None
    last_seen_refused: datetime | None
    ok: int
    refused: int


def assemble_keyring(
    facts: Sequence[KeyFacts], held: Mapping[str, Key], unusable: Iterable[Unusable] = ()
) -> Keyring:
    """The keyring of these rows with the secrets that could be read; a revoked key is never in it.

    Of more than `MAX_KEYS` inbound keys of a provider the current and then the newest are kept, and the rest logged.
    """
    names = dict.fromkeys(key.provider for key in facts)
    return Keyring(
        facts=tuple(facts),
        providers={name: _assemble([key for key in facts if key.provider == name], held) for name in names},
        unusable=tuple(unusable),
    )


def _assemble(keys: Sequence[KeyFacts], held: Mapping[str, Key]) -> ProviderKeyring:
    living = [key for key in keys if not key.is_revoked and key.key_id in held]
    living.sort(key=lambda key: _ORDER.index(key.state))
    signer = find_signer(living)
    return ProviderKeyring(
        inbound=tuple(held[key.key_id] for key in _capped([key for key in living if key.is_verifying])),
        outbound=None if signer is None else held[signer.key_id],
    )


def _capped(verifying: Sequence[KeyFacts]) -> Sequence[KeyFacts]:
    """The steps of a rotation let no provider have more; rows that came another way must not end every call."""
    if len(verifying) <= MAX_KEYS:
        return verifying
    ranked = sorted(
        verifying, key=lambda key: (key.state is KeyState.CURRENT, key.published_at), reverse=True
    )
    left_out = {key.key_id for key in ranked[MAX_KEYS:]}
    _log.error(
        "inbound_keys_left_out", provider=verifying[0].provider, key_ids=sorted(left_out), most=MAX_KEYS
    )
    return [key for key in verifying if key.key_id not in left_out]


async def load_keys(connection: asyncpg.Connection) -> tuple[KeyFacts, ...]:
    """Every key with what is known of its use."""
    return tuple(_facts(row) for row in await connection.fetch(_SQL["load_keys"].sql))


async def load_key_states(connection: asyncpg.Connection) -> tuple[KeyFacts, ...]:
    """Every key without its use: equal as long as no key has changed."""
    return tuple(_facts(row) for row in await connection.fetch(_SQL["load_key_states"].sql))


def _facts(row: Mapping[str, Any]) -> KeyFacts:
    fields = dict(row) | {"direction": Direction(row["direction"]), "state": KeyState(row["state"])}
    return KeyFacts(**fields)


async def lock_keys(connection: asyncpg.Connection) -> tuple[KeyFacts, ...]:
    """Every key, and nobody else changes one until the transaction ends."""
    await lock_chain(connection)
    return await load_keys(connection)


async def write_step(
    connection: asyncpg.Connection, step: Step, *, action: str, actor: str, reason: str, now: datetime
) -> None:
    """Write a decided step with its records and announce it, within the caller's transaction (see `lock_keys`).

    The first change is the step itself; the others followed from it and are records of their own.
    """
    by_id = {key.key_id: key for key in step.keys}
    for change in step.changes:
        key = by_id[change.key_id]
        if change.before is None:
            await _insert_key(connection, key)
        else:
            await connection.execute(
                _SQL["move_key"].sql, key.key_id, key.state.value, key.promoted_at, key.revoked_at
            )
        name = "key.retired" if change.after is KeyState.RETIRING else action
        details = _details(key, change)
        entry = Entry(actor=actor, action=name, subject=f"key:{key.key_id}", reason=reason, details=details)
        await insert_record(connection, entry, now)
    await connection.execute(_SQL["announce_keys"].sql)


async def _insert_key(connection: asyncpg.Connection, key: KeyFacts) -> None:
    await connection.execute(
        _SQL["insert_key"].sql,
        key.key_id,
        key.provider,
        key.direction.value,
        key.secret,
        key.state.value,
        key.published_at,
        key.promoted_at,
        key.due_at,
    )


def _details(key: KeyFacts, change: Change) -> dict[str, Detail]:
    return {
        "provider": key.provider,
        "direction": key.direction.value,
        "secret": key.secret,
        "before": None if change.before is None else change.before.value,
        "after": change.after.value,
        "due_at": key.due_at.isoformat(),
    }


async def insert_key_uses(connection: asyncpg.Connection, uses: Sequence[KeyUse]) -> None:
    """Add what was seen to what is known."""
    columns = zip(
        *((u.key_id, u.last_seen_ok, u.last_seen_refused, u.ok, u.refused) for u in uses), strict=True
    )
    await connection.execute(_SQL["add_key_uses"].sql, *map(list, columns))


async def insert_loaded(
    connection: asyncpg.Connection, loaded: Sequence[str], unusable: Sequence[Unusable], now: datetime
) -> None:
    """Tell which secrets this process has read, and which it could not use."""
    if loaded:
        await connection.execute(_SQL["note_loaded"].sql, list(loaded), now)
    if unusable:
        because = [one.because for one in unusable]
        await connection.execute(_SQL["note_unusable"].sql, [one.key_id for one in unusable], because, now)
