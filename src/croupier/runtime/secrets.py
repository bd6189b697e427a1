"""Secrets by reference: `env:NAME` and `file:PATH`. Values appear in no error, no log and no repr."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from croupier_signing import MIN_SECRET_BYTES

LARGEST_SECRET_BYTES: Final = 65_536
OTHERS_RIGHTS: Final = 0o077
LATER_SCHEMES: Final = {"aws-sm": "AWS Secrets Manager", "vault": "HashiCorp Vault"}

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SecretUnavailable(Exception):
    """A reference without a usable secret: `what` is wrong and `fix` says what to do; no value in either."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}; {fix}")
        self.what = what
        self.fix = fix


def resolve_secret(reference: str, *, env: Mapping[str, str] | None = None) -> bytes:
    """The bytes behind a reference, one trailing newline removed; at least 16 bytes.

    A relative file is looked up from the working directory (a loaded configuration holds absolute ones); its
    mode must give group and others nothing. Raises SecretUnavailable.
    """
    scheme, _, name = reference.partition(":")
    check_reference(reference)
    if scheme == "env":
        value = _read_variable(name, os.environ if env is None else env)
    else:
        value = _read_private_file(Path(name))
    return _require_strong(_without_newline(value), shown=f"{scheme}:{name}")


def check_reference(reference: str) -> None:
    """Raises SecretUnavailable unless the text is a reference this version can resolve; reads nothing."""
    scheme, colon, name = reference.partition(":")
    if colon and scheme in LATER_SCHEMES:
        raise SecretUnavailable(
            f"secrets from {LATER_SCHEMES[scheme]} are not available in this version",
            "use env:NAME or file:PATH",
        )
    if not colon or scheme not in ("env", "file"):
        raise SecretUnavailable(
            "a secret must be a reference, never the value itself",
            "write env:NAME or file:PATH, and put the value there (not shown here)",
        )
    if scheme == "env" and _VARIABLE.fullmatch(name) is None:
        raise SecretUnavailable("env: is not followed by a variable's name", "write env:NAME")
    if scheme == "file" and (not name or "\0" in name):
        raise SecretUnavailable("file: is not followed by a path", "write file:PATH")


def _read_variable(name: str, env: Mapping[str, str]) -> bytes:
    if name not in env:
        raise SecretUnavailable(f"the environment variable {name} is not set", f"set {name}")
    return env[name].encode("utf-8", "surrogateescape")


def _read_private_file(path: Path) -> bytes:
    try:
        # Non-blocking, so that a pipe in the place of the file cannot hold the start up.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SecretUnavailable(
            f"the secret file {path} cannot be read: {error.strerror}",
            f"create {path} readable by this user only (chmod 600)",
        ) from None
    try:
        _require_private(path, os.fstat(handle))
        content = os.read(handle, LARGEST_SECRET_BYTES + 1)
    finally:
        os.close(handle)
    if len(content) > LARGEST_SECRET_BYTES:
        raise SecretUnavailable(
            f"the secret file {path} is larger than {LARGEST_SECRET_BYTES} bytes",
            "name the file of the secret",
        )
    return content


def _require_private(path: Path, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise SecretUnavailable(f"{path} is not a regular file", "name the file that holds the secret")
    mode = stat.S_IMODE(facts.st_mode)
    if mode & OTHERS_RIGHTS:
        raise SecretUnavailable(
            f"the secret file {path} is open to others (mode {mode:04o})", f"run: chmod 600 {path}"
        )


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
    return value
