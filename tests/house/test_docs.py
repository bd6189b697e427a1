"""Documents point at things that exist: files, headings, and the tests that the guarantees cite."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest

from house.reading import ROOT, Finding, read_code, refuse, repository_paths

GUARANTEES: Final = "docs/guarantees.md"
FENCE: Final = re.compile(r"^ {0,3}(```+|~~~+).*?^ {0,3}\1", re.MULTILINE | re.DOTALL)
INLINE_CODE: Final = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")
LINK: Final = re.compile(
    r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s*<?(\S+?)>?\s*$", re.MULTILINE
)
HTML_LINK: Final = re.compile(r"<(?:a|img|source)\b[^>]*\b(?:href|src|srcset)=\"([^\"]+)\"")
HEADING: Final = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
NAMED: Final = re.compile(r"<[^>]*\b(?:id|name)=\"([^\"]+)\"")
CITATION: Final = re.compile(r"((?:signing/)?tests/[\w./-]+\.py)((?:::\w+)*)")


def documents() -> Iterator[tuple[str, str]]:
    """Every Markdown file of the repository with its text."""
    for path in repository_paths():
        if path.endswith(".md"):
            yield path, (ROOT / path).read_text(encoding="utf-8")


def find_dead_links(path: str, text: str, root: Path = ROOT) -> Iterator[Finding]:
    """Relative links to files that are not there and to headings that no document has."""
    prose = _blank(INLINE_CODE, _blank(FENCE, text))
    for pattern in (LINK, HTML_LINK):
        for link in pattern.finditer(prose):
            target = next(filter(None, link.groups()))
            if not re.match(r"[a-z][a-z0-9+.-]*:|//", target, re.IGNORECASE):
                line = prose.count("\n", 0, link.start()) + 1
                yield from _find_dead_target(path, line, target, text, root)


def _find_dead_target(path: str, line: int, target: str, text: str, root: Path) -> Iterator[Finding]:
    file, _, anchor = target.partition("#")
    found = (root / path).parent / unquote(file.partition("?")[0]) if file else root / path
    if file and (file.startswith("/") or not found.exists()):
        yield Finding(path, line, f"dead link: {target} (links are relative to the document)")
    elif anchor and (not file or found.suffix == ".md"):
        there = found.read_text(encoding="utf-8") if file else text
        if unquote(anchor) not in anchors_of(there):
            yield Finding(path, line, f"dead anchor: {target}")


@cache
def anchors_of(text: str) -> frozenset[str]:
    """What a link may name after `#`: headings as code forges spell them, and explicit ids."""
    anchors: set[str] = set(NAMED.findall(text))
    for heading in HEADING.findall(_blank(FENCE, text)):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        repeats = 1
        unique = slug
        while unique in anchors:
            unique, repeats = f"{slug}-{repeats}", repeats + 1
        anchors.add(unique)
    return frozenset(anchors)


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """Replace what matches by its line breaks, so that line numbers stay."""
    return pattern.sub(lambda found: "\n" * found[0].count("\n"), text)


def find_dead_citations(path: str, text: str) -> Iterator[Finding]:
    """Tests that a document cites as `tests/….py::test_name` and nobody wrote."""
    for citation in CITATION.finditer(text):
        file, names = citation[1], citation[2].split("::")[1:]
        line = text.count("\n", 0, citation.start()) + 1
        if file not in repository_paths():
            yield Finding(path, line, f"cites {file}, which does not exist")
        elif not _holds(read_code(file).tree, names):
            yield Finding(path, line, f"cites {citation[0]}, which does not exist")


def _holds(node: ast.AST, names: list[str]) -> bool:
    if not names:
        return True
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    inside = [child for child in ast.iter_child_nodes(node) if isinstance(child, kinds)]
    return any(child.name == names[0] and _holds(child, names[1:]) for child in inside)


def test_no_link_in_the_documents_is_dead() -> None:
    refuse(finding for path, text in documents() for finding in find_dead_links(path, text))


def test_every_test_that_a_document_cites_exists() -> None:
    refuse(finding for path, text in documents() for finding in find_dead_citations(path, text))


def test_the_guarantees_cite_tests() -> None:
    assert GUARANTEES in repository_paths(), (
        f"{GUARANTEES} is missing: the guarantee first, then the test, then code"
    )
    text = (ROOT / GUARANTEES).read_text(encoding="utf-8")
    assert any(citation[2] for citation in CITATION.finditer(text)), f"{GUARANTEES} cites no test"


@pytest.mark.parametrize(
    "link",
    [
        "[a](missing.md)",
        "![a](missing.png)",
        "[a](other.md#no-such-heading)",
        "[a](#nowhere)",
        "[a]: missing.md",
        '<img src="missing.svg">',
        "[a](/other.md)",
    ],
)
def test_a_dead_link_is_reported(link: str, tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Here\n")
    assert list(find_dead_links("page.md", f"# Page\n\n{link}\n", tmp_path))


@pytest.mark.parametrize(
    "link",
    [
        "[a](other.md)",
        "[a](other.md#here-and-there-1)",
        "[a](#page)",
        "[a](https://example.com/x.md)",
        "`[a](missing.md)`",
        "```\n[a](missing.md)\n```",
    ],
)
def test_a_live_link_is_let_through(link: str, tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Here, and `there`\n\n## Here and there\n")
    assert not list(find_dead_links("page.md", f"# Page\n\n{link}\n", tmp_path))


@pytest.mark.parametrize(
    "name", ["test_docs.py::test_nobody_wrote_this", "test_gone.py", "test_docs.py::Test::x"]
)
def test_a_dead_citation_is_reported(name: str) -> None:
    assert list(find_dead_citations("docs/sample.md", f"proved by `tests/house/{name}`"))
    own = "tests/house/test_docs.py::test_a_dead_citation_is_reported"
    assert not list(find_dead_citations("docs/sample.md", f"proved by `{own}`"))
