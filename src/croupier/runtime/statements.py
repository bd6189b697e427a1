"""Named SQL statements in SQL files: one block, one name, one purpose, one statement.

    -- name: load_wallets
    -- Lock the wallets of one bucket in id order.
    SELECT …

The comment lines right below the name are the purpose; everything after them, up to the next name, is the
SQL.
"""

import importlib.resources
import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from types import MappingProxyType

import msgspec

_NAME_LINE = re.compile(r"^--[ \t]*name:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class StatementFileError(Exception):
    """A SQL file breaks the layout; the text names file and statement."""


class Statement(msgspec.Struct, frozen=True):
    """One SQL statement with its name in the file and what it is for."""

    name: str
    purpose: str
    sql: str


def load_statements(resource: str) -> Mapping[str, Statement]:
    """Read a SQL file of an installed package, for example `croupier/wallet/queries.sql`: name → statement.

    Meant for import time, hence not async. StatementFileError when the file is missing or breaks the layout.
    """
    package, _, path = resource.partition("/")
    try:
        return read_statements(importlib.resources.files(package).joinpath(path), source=resource)
    except (FileNotFoundError, IsADirectoryError, ModuleNotFoundError) as error:
        raise StatementFileError(f"{resource}: no such SQL file ({error})") from error


def read_statements(file: Traversable, *, source: str) -> Mapping[str, Statement]:
    """Read any file of this layout; `source` names it in errors."""
    return parse_statements(file.read_text(encoding="utf-8"), source=source)


def parse_statements(text: str, *, source: str) -> Mapping[str, Statement]:
    """Split the text of a SQL file, keeping the order; raises StatementFileError."""
    head, *parts = _NAME_LINE.split(text)
    if any(line.strip() and not line.lstrip().startswith("--") for line in head.splitlines()):
        raise StatementFileError(f"{source}: SQL stands before the first `-- name:` line")
    found: dict[str, Statement] = {}
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        if name in found:
            raise StatementFileError(f"{source}: statement {name} is there twice")
        found[name] = _parse_block(name, block, source)
    if not found:
        raise StatementFileError(f"{source}: holds no `-- name:` block")
    return MappingProxyType(found)


def _parse_block(name: str, block: str, source: str) -> Statement:
    if not _NAME.fullmatch(name):
        raise StatementFileError(f"{source}: {name!r} is no name (lower case, digits, underscores)")
    lines = block.strip("\n").splitlines()
    purpose: list[str] = []
    while lines and lines[0].startswith("--"):
        purpose.append(lines.pop(0).lstrip("-").strip())
    sql = "\n".join(lines).strip()
    if not any(purpose):
        raise StatementFileError(f"{source}: statement {name} has no purpose line")
    if not _has_sql(sql):
        raise StatementFileError(f"{source}: statement {name} is empty")
    return Statement(name=name, purpose=" ".join(purpose), sql=sql)


def _has_sql(text: str) -> bool:
    return any(line.strip(" \t;") and not line.lstrip().startswith("--") for line in text.splitlines())
