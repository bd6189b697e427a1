"""The file of `croupier sandbox serve --accounts`: provider accounts, the protocol and the keys of each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier.sandbox.protocols import open_wire
from croupier.sandbox.wire import Account
from croupier_signing import Key, read_key

Exponent = Annotated[int, Meta(ge=0, le=18)]


class BadAccounts(Exception):
    """The file cannot be used; the text says which account and why."""


class _Key(Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    secret: str


class _Account(Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
    protocol: str
    callback_base: str
    inbound: _Key
    outbound: _Key
    exponents: dict[str, Exponent] = {}


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    accounts: list[_Account]


def read_accounts(path: Path) -> tuple[Account, ...]:
    """The accounts of a TOML or JSON file, told apart by its suffix; raises BadAccounts.

    `inbound` is the key that signs calls to the gateway, `outbound` the one that verifies its launches: secret
    references as in `croupier.toml`, relative files counted from the file's folder.
    """
    decode: Any = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    try:
        described = decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise BadAccounts(f"{path} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise BadAccounts(f"{path}: {error}") from None
    return tuple(_open(one, path.parent) for one in described.accounts)


def _open(described: _Account, folder: Path) -> Account:
    try:
        account = Account(
            id=described.id,
            protocol=described.protocol,
            callback_base=described.callback_base,
            callback_key=_read(described.inbound, folder),
            launch_keys=(_read(described.outbound, folder),),
            exponents=described.exponents,
        )
        open_wire(account)
    except (SecretUnavailable, ValueError) as error:
        raise BadAccounts(f"account {described.id}: {error}") from None
    return account


def _read(key: _Key, folder: Path) -> Key:
    scheme, _, name = key.secret.partition(":")
    reference = f"file:{folder / name}" if scheme == "file" else key.secret
    return read_key(key.id, resolve_secret(reference))
