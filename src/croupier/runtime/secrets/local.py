"""Secrets of this machine: environment variables and private files."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from croupier.runtime.secrets.unavailable import LARGEST_SECRET_BYTES, SecretUnavailable

OTHERS_RIGHTS: Final = 0o077


def read_variable(name: str, env: Mapping[str, str]) -> bytes:
    """The bytes of a variable; raises SecretUnavailable."""
    if name not in env:
        raise SecretUnavailable(f"the environment variable {name} is not set", f"set {name}")
    return env[name].encode("utf-8", "surrogateescape")


def read_private_file(path: Path) -> bytes:
    """The bytes of a regular file that gives group and others nothing; raises SecretUnavailable."""
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
