"""Nothing is left lying about: reminders, code in comments, sleeping tests, skips without reason."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from typing import Final

import pytest

from house.reading import (
    ROOT,
    SOURCES,
    TESTS,
    Code,
    Finding,
    code_of,
    code_under,
    full_name,
    last_name,
    paths_under,
    refuse,
)

REMINDER: Final = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|HA[C]K)\b")
"""Brackets keep the pattern from matching itself."""

PRAGMA: Final = re.compile(r"(noqa|type:|fmt:|pragma|!)")
LONGEST_SLEEP_S: Final = 1

CODE_NODES: Final = (
    ast.AnnAssign, ast.Assert, ast.Assign, ast.AugAssign, ast.ClassDef, ast.Delete, ast.For, ast.FunctionDef,
    ast.If, ast.Import, ast.ImportFrom, ast.Raise, ast.Return, ast.Try, ast.While, ast.With,
)  # fmt: skip


def find_reminders(path: str, text: str) -> Iterator[Finding]:
    """Work that was put off in a comment instead of being done or written down where it is planned."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := REMINDER.search(line):
            yield Finding(path, number, f"{found[0]}: do it, or plan it outside the code")


def find_commented_code(code: Code) -> Iterator[Finding]:
    """Comment lines that are statements of Python."""
    if "#" not in code.text:
        return
    for token in tokenize.generate_tokens(io.StringIO(code.text).readline):
        text = token.string.lstrip("# ")
        if token.type == tokenize.COMMENT and not PRAGMA.match(text) and _is_statement(text):
            yield Finding(code.path, token.start[0], "code in a comment: delete it, git remembers")


def _is_statement(text: str) -> bool:
    if text.startswith(("elif ", "else:", "except", "finally:")) and text.endswith(":"):
        return True
    try:
        (node,) = ast.parse(f"{text} pass" if text.endswith(":") else text).body
    except (SyntaxError, ValueError):
        return False
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Call | ast.Await)
    return isinstance(node, CODE_NODES)


def find_sleeps(code: Code) -> Iterator[Finding]:
    """Tests that wait for time to pass instead of for a condition."""
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Call) and full_name(node.func) == "time.sleep":
            yield code.finding(node, "time.sleep in a test: wait on a condition with a deadline")
        names = node.names if isinstance(node, ast.ImportFrom) and node.module == "time" else ()
        if any(alias.name == "sleep" for alias in names):
            yield code.finding(node, "time.sleep in a test: wait on a condition with a deadline")
        if isinstance(node, ast.Call) and full_name(node.func) == "asyncio.sleep" and _is_long(node):
            yield code.finding(node, "a long sleep in a test: wait on a condition with a deadline")


def _is_long(call: ast.Call) -> bool:
    seconds = call.args[0] if call.args else None
    if not isinstance(seconds, ast.Constant) or not isinstance(seconds.value, int | float):
        return False
    return seconds.value >= LONGEST_SLEEP_S


def find_silent_skips(code: Code) -> Iterator[Finding]:
    """Skips and expected failures that do not say why."""
    marks = {"pytest.mark.skip", "pytest.mark.skipif", "pytest.mark.xfail"}
    called = {id(node.func) for node in ast.walk(code.tree) if isinstance(node, ast.Call)}
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Attribute) and full_name(node) in marks and id(node) not in called:
            yield code.finding(node, f"{full_name(node)} without a reason")
        if not isinstance(node, ast.Call) or _has_reason(node):
            continue
        if full_name(node.func) in marks | {"pytest.skip", "pytest.xfail"}:
            yield code.finding(node, f"{full_name(node.func)} without a reason")


def _has_reason(call: ast.Call) -> bool:
    takes_text_first = last_name(call.func) == "skip" or full_name(call.func) == "pytest.xfail"
    given = [keyword.value for keyword in call.keywords if keyword.arg == "reason"]
    given += call.args[:1] if takes_text_first else []
    return any(not (isinstance(reason, ast.Constant) and not reason.value) for reason in given)


def test_no_reminders_are_left_in_the_source() -> None:
    paths = [path for suffix in (".py", ".sql", ".html") for path in paths_under(*SOURCES, suffix=suffix)]
    texts = ((path, (ROOT / path).read_text(encoding="utf-8")) for path in paths)
    refuse(finding for path, text in texts for finding in find_reminders(path, text))


def test_no_code_is_kept_in_comments() -> None:
    refuse(finding for code in code_under(*SOURCES, *TESTS) for finding in find_commented_code(code))


def test_no_test_sleeps() -> None:
    refuse(finding for code in code_under(*TESTS) for finding in find_sleeps(code))


def test_every_skip_says_why() -> None:
    refuse(finding for code in code_under(*TESTS) for finding in find_silent_skips(code))


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"])
def test_a_reminder_is_reported(word: str) -> None:
    assert list(find_reminders("sample.py", f"pay()  # {word}: later"))


@pytest.mark.parametrize(
    "comment",
    ["# amount = 1", "x = 1  # pay(amount)", "# if amount:", "# return amount", "# import os", "# else:"],
)
def test_code_in_a_comment_is_reported(comment: str) -> None:
    assert list(find_commented_code(code_of(comment)))


@pytest.mark.parametrize(
    "comment", ["# The clock is read late.", "# bucket", "x = '# y = 1'", "# type: ignore"]
)
def test_prose_in_a_comment_is_let_through(comment: str) -> None:
    assert not list(find_commented_code(code_of(comment)))


@pytest.mark.parametrize("text", ["time.sleep(0.1)", "from time import sleep", "await asyncio.sleep(1)"])
def test_a_sleeping_test_is_reported(text: str) -> None:
    assert list(find_sleeps(code_of(text)))
    assert not list(find_sleeps(code_of("await asyncio.sleep(0.01)")))


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.mark.skip\ndef f(): ...",
        "pytest.mark.skipif(True)",
        "pytest.skip()",
        "pytest.mark.skip(reason='')",
    ],
)
def test_a_silent_skip_is_reported(text: str) -> None:
    assert list(find_silent_skips(code_of(text)))
    assert not list(
        find_silent_skips(code_of("pytest.skip('needs node')\npytest.mark.skipif(True, reason='x')"))
    )
