"""Keys of the kind a protocol signs with, or a plain refusal when an account is opened."""

from __future__ import annotations

from typing import TypeVar

from croupier.sandbox.wire import Account
from croupier_signing import Key, PrivateKey, PublicKey, SigningKey

K = TypeVar("K", SigningKey, PublicKey)


def require_secret(account: Account, key: Key) -> SigningKey:
    """The key as a shared secret; raises ValueError."""
    if not isinstance(key, SigningKey):
        raise ValueError(f"{account.id}: {account.protocol} signs with a shared secret, not with a key pair")
    return key


def require_private(account: Account, key: Key) -> PrivateKey:
    """The key as the private half of a pair; raises ValueError."""
    if not isinstance(key, PrivateKey):
        raise ValueError(f"{account.id}: {account.protocol} signs with the private half of a key pair")
    return key


def require_keys(account: Account, kind: type[K]) -> tuple[K, ...]:
    """The keys of launches, all of one kind; raises ValueError."""
    taken = tuple(key for key in account.launch_keys if isinstance(key, kind))
    if len(taken) != len(account.launch_keys):
        raise ValueError(f"{account.id}: {account.protocol} verifies launches with a {kind.__name__}")
    return taken
