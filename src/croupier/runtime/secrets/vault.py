"""HashiCorp Vault, by way of hvac (the extra `vault`): the newest version of a secret of a KV version 2 engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from croupier.runtime.secrets.unavailable import STORE_ANSWER_S, STORE_CONNECT_S, SecretUnavailable

_FIXES: Final = {
    "Forbidden": "give VAULT_TOKEN a policy with read on MOUNT/data/PATH, or renew it",
    "InvalidPath": "write MOUNT/PATH without /data/, and look whether its newest version is deleted",
    "VaultDown": "unseal Vault",
}


def read_vault_secret(path: str, member: str, env: Mapping[str, str]) -> bytes:
    """One text member of the secret at MOUNT/PATH; raises SecretUnavailable.

    Vault is found as its own tools find it: VAULT_ADDR, VAULT_TOKEN, and if set VAULT_NAMESPACE, VAULT_CACERT.
    """
    try:
        import hvac  # type: ignore[import-untyped]
        from hvac.exceptions import VaultError  # type: ignore[import-untyped]
        from requests import RequestException
    except ImportError:
        raise SecretUnavailable(
            f"vault:{path} needs hvac, which is not installed", "install croupier with the extra vault"
        ) from None
    for name in ("VAULT_ADDR", "VAULT_TOKEN"):
        if not env.get(name):
            raise SecretUnavailable(f"vault:{path} needs {name}, which is not set", f"set {name}")
    client = hvac.Client(
        url=env["VAULT_ADDR"],
        token=env["VAULT_TOKEN"],
        namespace=env.get("VAULT_NAMESPACE") or None,
        verify=env.get("VAULT_CACERT") or True,
        timeout=(STORE_CONNECT_S, STORE_ANSWER_S),
    )
    mount, _, rest = path.partition("/")
    try:
        answer = client.secrets.kv.v2.read_secret_version(
            path=rest, mount_point=mount, raise_on_deleted_version=True
        )
    except VaultError as error:
        kind = type(error).__name__
        raise SecretUnavailable(
            f"Vault refused vault:{path}: {kind}", _FIXES.get(kind, "see what Vault's log says")
        ) from None
    except (RequestException, ValueError) as error:
        raise SecretUnavailable(
            f"Vault could not be asked for vault:{path}: {type(error).__name__}",
            "check VAULT_ADDR, VAULT_CACERT and the network",
        ) from None
    finally:
        client.adapter.close()
    return _pick(path, member, answer)


def _pick(path: str, member: str, answer: Any) -> bytes:
    try:
        found = answer["data"]["data"][member]
    except (KeyError, TypeError):
        found = None
    if not isinstance(found, str):
        raise SecretUnavailable(
            f"the secret at vault:{path} has no text member {member}", "correct the name after #"
        )
    return found.encode()
