"""Provider API versions are adapters side by side: nobody else asks which one an account speaks (J3)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

import pytest

from croupier.providers.shadow.candidates import candidate_names
from house.reading import Code, Finding, code_of, code_under, refuse

SPEAKERS: Final = (
    "src/croupier/providers/adapters/",
    "src/croupier/providers/candidates/",
    "src/croupier/conformance/speakers/",
    "src/croupier/sandbox/protocols/",
)
"""Folders with a file or a folder for each protocol and version: each knows what it is itself."""

NAMED: Final = re.compile(r"[a-z][a-z0-9_]*_v[0-9]+")
PROTOCOLS: Final = frozenset(name.rpartition("_v")[0] for name in candidate_names())


def find_version_conditionals(code: Code) -> Iterator[Finding]:
    """Comparisons, matches and beginnings that single a protocol or a version out."""
    for node in ast.walk(code.tree):
        if any(_names_one(part) for part in _compared(node)):
            yield code.finding(
                node,
                "a condition on a protocol or its version: let the adapter's manifest or a function say it",
            )


def _compared(node: ast.AST) -> list[ast.expr]:
    match node:
        case ast.Compare(left=left, comparators=others):
            return [left, *others]
        case ast.MatchValue(value=value):
            return [value]
        case ast.Call(func=ast.Attribute(attr="startswith" | "endswith", value=value), args=given):
            return [*given, value]
        case _:
            return []


def _names_one(part: ast.expr) -> bool:
    match part:
        case ast.Constant(value=str(text)):
            return bool(NAMED.fullmatch(text)) or text.rstrip("_") in PROTOCOLS
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return any(_names_one(one) for one in parts)
        case ast.Attribute(attr="version", value=ast.Name(id="manifest") | ast.Attribute(attr="manifest")):
            return True
        case _:
            return False


def test_nobody_but_adapters_asks_for_a_protocol_or_a_version() -> None:
    files = (code for code in code_under("src/croupier/") if not code.path.startswith(SPEAKERS))
    refuse(finding for code in files for finding in find_version_conditionals(code))


@pytest.mark.parametrize(
    "text",
    [
        'if account.adapter == "softswiss_v2": pass',
        'x = 1 if "hub88_v1" != name else 2',
        'if name in ("softswiss_v2", "softswiss_v3"): pass',
        'if adapter.manifest.protocol == "softswiss": pass',
        "if manifest.version >= 3: pass",
        'if name.startswith("softswiss_"): pass',
        'match name:\n    case "evolution_v1":\n        pass\n    case _:\n        pass',
    ],
)
def test_a_condition_on_a_version_is_reported(text: str) -> None:
    assert list(find_version_conditionals(code_of(text)))


@pytest.mark.parametrize(
    "text",
    ['adapter: str = "croupier_v1"', "if manifest.session_token: pass", 'if migration.version == "x": pass'],
)
def test_a_name_that_decides_nothing_is_let_through(text: str) -> None:
    assert not list(find_version_conditionals(code_of(text)))
