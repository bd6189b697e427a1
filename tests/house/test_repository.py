"""What may not be in the repository: keys, this or that machine's traces, a crowded root."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

import pytest

from house.reading import ROOT, Finding, refuse, repository_paths

MOST_ENTRIES: Final = 12
LOCK: Final = "uv.lock"

TRACES: Final = {
    "a package index (installers know theirs; only the lock names one)": (
        r"(?i)\b(pypi[.]org|pythonhosted[.]org|npmjs[.](org|com)|crates[.]io|proxy[.]golang[.]org|rubygems[.]org)\b"
    ),
    "a path of somebody's machine": (
        r"(?<![\w.~$/}-])(/(work|root|Users)/[\w.]|/home/(?!user/|croupier/)[a-z][\w-]*/|/tmp/[b]ash_jobs)"
        r"|\bC:\\Users\\"
    ),
    "how a text came about (a file says what it is, the log says who changed it)": (
        r"(?i)\b(c[o]-authored-by|g[e]nerated (with|by) (an? )?(a[i]\b|assistant)|[c]hat-?gpt|[c]laude\b|"
        r"[a]nthropic|[o]penai|[c]opilot|large [l]anguage model|[l]lms?\b|as an a[i]\b|"
        r"a[i][- ](generated|assisted|written))"
    ),
}
"""Brackets keep the patterns from matching themselves."""

PRIVATE_KEY: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
CLOUD_KEY: Final = re.compile(
    r"\b(AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[abprs]-[\w-]{10,}|sk-[A-Za-z0-9]{32,})\b"
)
LITERAL_SECRET: Final = re.compile(
    r"""(?i)\b(?:\w+_)?(?:secret|password|passwd|token|api_?key|private_?key)["']?\s*[:=]\s*b?["']"""
    r"""(?!env:|file:|aws-sm:|vault:)([^"'\s{}<>$…]{8,})["']"""
)
FOR_TESTS: Final = re.compile(r"(^|/)(tests|vectors|fixtures)/")


@cache
def text_of(path: str) -> str:
    """The file's text; empty for what is no text."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def find_traces(path: str, text: str) -> Iterator[Finding]:
    """Hosts, paths and phrases that belong to where or how a file was made."""
    for what, pattern in TRACES.items():
        for found in re.finditer(pattern, text):
            yield Finding(path, text.count("\n", 0, found.start()) + 1, f"{found[0]!r} names {what}")


def find_secrets(path: str, text: str) -> Iterator[Finding]:
    """Private keys, keys of cloud services, and secrets spelled out in code or configuration."""
    is_for_tests = bool(FOR_TESTS.search(path))
    for found in [*PRIVATE_KEY.finditer(text), *CLOUD_KEY.finditer(text)]:
        if not is_for_tests or "test" not in (path + text[: found.start()]).lower():
            yield Finding(
                path, text.count("\n", 0, found.start()) + 1, "a private key: secrets are referenced"
            )
    for found in LITERAL_SECRET.finditer(text):
        if not is_for_tests:
            line = text.count("\n", 0, found.start()) + 1
            yield Finding(path, line, "a secret spelled out: reference it as env:NAME or file:PATH")


def find_crowd(paths: Iterable[str]) -> Iterator[Finding]:
    """More entries in the root than a newcomer reads."""
    visible = sorted({path.split("/")[0] for path in paths if not path.startswith(".")})
    if len(visible) > MOST_ENTRIES:
        rule = f"{len(visible)} visible entries in the root, {MOST_ENTRIES} at most: {', '.join(visible)}"
        yield Finding(".", 1, rule)


def test_no_file_carries_traces_of_where_it_was_made() -> None:
    paths = [path for path in repository_paths() if path != LOCK]
    refuse(finding for path in paths for finding in find_traces(path, text_of(path)))


def test_no_file_carries_a_secret() -> None:
    paths = [path for path in repository_paths() if path != LOCK]
    refuse(finding for path in paths for finding in find_secrets(path, text_of(path)))


def test_the_root_can_be_taken_in_at_a_glance() -> None:
    refuse(find_crowd(repository_paths()))


@pytest.mark.parametrize(
    "text",
    [
        "index = https://py" + "pi.org/simple",
        "see /wo" + "rk/notes.md",
        "cp /ro" + "ot/.config/x .",
        "/home/" + "alice/croupier",
        "Co-" + "authored-by: somebody",
        "written by an L" + "LM",
    ],
)
def test_a_trace_is_reported(text: str) -> None:
    assert list(find_traces("docs/sample.md", text))


@pytest.mark.parametrize(
    "text", ["a clone in `/root`", "https://example.org/work/index.html", "the user agent"]
)
def test_what_only_looks_like_a_trace_is_let_through(text: str) -> None:
    assert not list(find_traces("docs/sample.md", text))


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN EC " + "PRIVATE KEY-----",
        "AKIA" + "ABCDEFGHIJKLMNOP",
        'secret = "' + "correct-horse-battery" + '"',
        "'api_key': '" + "0123456789abcdef" + "'",
    ],
)
def test_a_secret_is_reported(text: str) -> None:
    assert list(find_secrets("src/croupier/sample.py", text))


def test_a_key_marked_as_a_test_key_may_lie_among_fixtures() -> None:
    key = "-----BEGIN " + "PRIVATE KEY-----"
    assert list(find_secrets("src/croupier/fixtures/real.pem", key))
    assert not list(find_secrets("src/croupier/fixtures/test_only.pem", key))
    assert not list(find_secrets("docs/sample.md", 'secret = "env:STUDIO_SECRET"'))


def test_a_crowded_root_is_reported() -> None:
    assert list(find_crowd(f"file-{number}" for number in range(MOST_ENTRIES + 1)))
    assert not list(
        find_crowd([*(f"file-{number}" for number in range(MOST_ENTRIES)), ".hidden", "file-1/x"])
    )
