"""What the house rules read: the repository's files, parsed once, and the findings they report."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ("src/", "signing/src/")
TESTS: Final = ("tests/", "signing/tests/")


@dataclass(frozen=True, slots=True)
class Finding:
    """A place that breaks a rule, and the rule in words that say what to do instead."""

    path: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}"


@dataclass(frozen=True, slots=True)
class Code:
    """A Python file with its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    def finding(self, node: ast.AST, rule: str) -> Finding:
        """A finding at a node of this file's tree."""
        return Finding(self.path, getattr(node, "lineno", 1), rule)

    @property
    def module(self) -> str:
        """The dotted name under which this file is imported."""
        path = self.path.partition("src/")[2] or self.path
        return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def code_of(text: str, path: str = "src/croupier/sample.py") -> Code:
    """Parse a sample as if it were the file of that path."""
    return Code(path, text, ast.parse(text))


@cache
def repository_paths() -> tuple[str, ...]:
    """Every file git tracks or would add, sorted; deleted ones left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(path for path in sorted(set(listed.split("\0"))) if path and (ROOT / path).is_file())


def paths_under(*prefixes: str, suffix: str) -> tuple[str, ...]:
    """The repository's files below these paths; every prefix must still name something."""
    for prefix in prefixes:
        assert any(path.startswith(prefix) for path in repository_paths()), (
            f"a rule names {prefix}: it is gone"
        )
    return tuple(path for path in repository_paths() if path.startswith(prefixes) and path.endswith(suffix))


def code_under(*prefixes: str) -> Iterator[Code]:
    """The parsed Python files below these paths."""
    return (read_code(path) for path in paths_under(*prefixes, suffix=".py"))


@cache
def read_code(path: str) -> Code:
    """Parse one file of the repository."""
    return code_of((ROOT / path).read_text(encoding="utf-8"), path)


@cache
def parents_of(code: Code) -> dict[ast.AST, ast.AST]:
    """Which node holds which."""
    return {child: node for node in ast.walk(code.tree) for child in ast.iter_child_nodes(node)}


def ancestors_of(code: Code, node: ast.AST) -> Iterator[ast.AST]:
    """The node itself, then what holds it, up to the module."""
    parents = parents_of(code)
    while True:
        yield node
        if node not in parents:
            return
        node = parents[node]


def last_name(node: ast.AST) -> str:
    """The last part of a name: `sleep` of `asyncio.sleep`; empty when the node is no name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def full_name(node: ast.AST) -> str:
    """A dotted name as written, `pytest.mark.skip`; empty when the node is no name."""
    if isinstance(node, ast.Attribute):
        return f"{full_name(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def refuse(findings: Iterable[Finding]) -> None:
    """Fail with every finding on a line of its own."""
    lines = [str(finding) for finding in findings]
    if lines:
        pytest.fail("\n".join([f"{len(lines)} found:", *lines]), pytrace=False)
