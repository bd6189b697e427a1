"""From a reference to its secret: which source it names, and what every secret must be like."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from croupier.runtime.secrets.aws import read_aws_secret
from croupier.runtime.secrets.local import read_private_file, read_variable
from croupier.runtime.secrets.unavailable import LARGEST_SECRET_BYTES, SecretUnavailable
from croupier.runtime.secrets.vault import read_vault_secret
from croupier_signing import MIN_SECRET_BYTES

SCHEMES: Final = ("env", "file", "aws-sm", "vault")

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_AWS: Final = re.compile(r"[A-Za-z0-9/_+=.@:-]{1,2048}(#[^#\s]+)?")
_VAULT: Final = re.compile(r"[^/#?\s]+(/[^/#?\s]+)+#[^#\s]+")


def resolve_secret(reference: str, *, env: Mapping[str, str] | None = None) -> bytes:
    """The bytes behind a reference, one trailing newline removed; at least 16 bytes.

    A relative file is looked up from the working directory (a loaded configuration holds absolute ones); its
    mode must give group and others nothing. A store over the network blocks for a few seconds at most. Raises
    SecretUnavailable.
    """
    check_reference(reference)
    scheme, _, name = reference.partition(":")
    value = _read(scheme, name, os.environ if env is None else env)
    return _require_strong(_without_newline(value), shown=f"{scheme}:{name}")


def check_reference(reference: str) -> None:
    """Raises SecretUnavailable unless the text has the form of a reference; reads nothing."""
    scheme, colon, name = reference.partition(":")
    if not colon or scheme not in SCHEMES:
        raise SecretUnavailable(
            "a secret must be a reference, never the value itself",
            "write env:NAME, file:PATH, aws-sm:NAME or vault:PATH#FIELD, and put the value there (not shown here)",
        )
    if scheme == "env" and _VARIABLE.fullmatch(name) is None:
        raise SecretUnavailable("env: is not followed by a variable's name", "write env:NAME")
    if scheme == "file" and (not name or "\0" in name):
        raise SecretUnavailable("file: is not followed by a path", "write file:PATH")
    if scheme == "aws-sm" and _AWS.fullmatch(name) is None:
        raise SecretUnavailable(
            "aws-sm: is not followed by the name of a secret", "write aws-sm:NAME, or aws-sm:NAME#FIELD"
        )
    if scheme == "vault" and _VAULT.fullmatch(name) is None:
        raise SecretUnavailable(
            "vault: is not followed by a path and a field",
            "write vault:MOUNT/PATH#FIELD, for example vault:secret/croupier/studio#key",
        )


def _read(scheme: str, name: str, env: Mapping[str, str]) -> bytes:
    match scheme:
        case "env":
            return read_variable(name, env)
        case "file":
            return read_private_file(Path(name))
        case "aws-sm":
            secret, _, member = name.partition("#")
            return read_aws_secret(secret, member or None)
        case _:
            path, _, member = name.partition("#")
            return read_vault_secret(path, member, env)


def _without_newline(value: bytes) -> bytes:
    return value.removesuffix(b"\r\n") if value.endswith(b"\r\n") else value.removesuffix(b"\n")


def _require_strong(value: bytes, *, shown: str) -> bytes:
    if not value:
        raise SecretUnavailable(f"the secret at {shown} is empty", "put the secret there")
    if len(value) < MIN_SECRET_BYTES:
        raise SecretUnavailable(
            f"the secret at {shown} is shorter than {MIN_SECRET_BYTES} bytes",
            f"use a random one of {MIN_SECRET_BYTES} bytes or more",
        )
    if len(value) > LARGEST_SECRET_BYTES:
        raise SecretUnavailable(
            f"the secret at {shown} is larger than {LARGEST_SECRET_BYTES} bytes", "name the secret itself"
        )
    return value
