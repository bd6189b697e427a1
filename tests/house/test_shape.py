"""The shape of the code: lengths, names that say something, docstrings that add something."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Final

import pytest

from house.reading import SOURCES, Code, Finding, code_of, code_under, last_name, refuse

LONGEST_FUNCTION: Final = 70
LONGEST_FILE: Final = 500
NINETIETH_PERCENTILE: Final = 30

EMPTY_NAMES: Final = frozenset({
    "base", "common", "core", "helper", "helpers", "manager", "managers", "misc",
    "tool", "tools", "util", "utils",
})  # fmt: skip

PURE_PREFIXES: Final = ("decide_", "plan_", "apply_", "parse_", "render_")
ASYNC_PREFIXES: Final = ("load_", "insert_", "lock_", "send_", "claim_")
SYNCHRONOUS: Final = {
    "load_statements": "reads a file of the package at import time",
    "load_config": "reads the configuration before a loop exists",
    "send_signal": "a signal to a process does not wait",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(code: Code) -> Iterator[Function]:
    """Every function and method, nested ones too."""
    return (node for node in ast.walk(code.tree) if isinstance(node, Function))


def length_of(function: Function) -> int:
    """Lines from `def` to the end, docstring included, decorators not."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def find_long(code: Code) -> Iterator[Finding]:
    """Functions and files that outgrew a reader's patience."""
    lines = code.text.count("\n") + 1
    if lines > LONGEST_FILE:
        yield Finding(
            code.path, 1, f"{lines} lines: split the file by reason to change ({LONGEST_FILE} at most)"
        )
    for function in functions_of(code):
        if length_of(function) > LONGEST_FUNCTION:
            rule = (
                f"{function.name}: {length_of(function)} lines, name its parts ({LONGEST_FUNCTION} at most)"
            )
            yield code.finding(function, rule)


def ninetieth_percentile(lengths: Iterable[int]) -> int:
    """The length that nine in ten do not exceed."""
    ordered = sorted(lengths)
    return ordered[(len(ordered) * 9 - 1) // 10]


def find_empty_names(path: str) -> Iterator[Finding]:
    """Files and folders named after nothing in particular."""
    for part in PurePosixPath(path).with_suffix("").parts:
        if part.strip("_") in EMPTY_NAMES:
            yield Finding(
                path, 1, f"{part} says nothing: name the module after the thing or the action it holds"
            )


def find_missing_docstrings(code: Code) -> Iterator[Finding]:
    """Public modules, classes, functions and methods without docstring; properties speak by their name."""
    if not PurePosixPath(code.path).stem.rstrip("_").startswith("_") and not ast.get_docstring(code.tree):
        yield code.finding(code.tree, "the module has no docstring: say what it is for")
    for node in _public(code.tree):
        is_property = any(
            last_name(decorator) in ("property", "override") for decorator in node.decorator_list
        )
        if not is_property and not ast.get_docstring(node):
            yield code.finding(
                node, f"{node.name} has no docstring: one sentence, then units and errors raised"
            )


def find_echoing_docstrings(code: Code) -> Iterator[Finding]:
    """Docstrings that begin with the name they stand under, or say it once more in words."""
    for node in _public(code.tree):
        text = (ast.get_docstring(node) or "").strip()
        words = node.name.replace("_", " ").lower()
        begins = text.startswith(node.name) and not text[len(node.name) :][:1].isalnum()
        if (begins and not isinstance(node, ast.ClassDef)) or text.lower().rstrip(".") == words:
            yield code.finding(
                node, f"the docstring of {node.name} repeats the name: say what the name does not"
            )


def _public(node: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    for child in node.body:
        if isinstance(child, Function | ast.ClassDef) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from _public(child)


def find_wrong_prefixes(code: Code) -> Iterator[Finding]:
    """Pure names that wait, and names of I/O that do not."""
    for function in functions_of(code):
        is_async = isinstance(function, ast.AsyncFunctionDef)
        if is_async and function.name.startswith(PURE_PREFIXES):
            yield code.finding(
                function, f"{function.name}: this prefix promises a pure function, never async"
            )
        if not is_async and function.name.startswith(ASYNC_PREFIXES) and function.name not in SYNCHRONOUS:
            yield code.finding(function, f"{function.name}: this prefix says I/O, which is async")


def test_functions_and_files_stay_short() -> None:
    refuse(finding for code in code_under(*SOURCES) for finding in find_long(code))


def test_nine_functions_in_ten_fit_in_thirty_lines() -> None:
    lengths = [length_of(function) for code in code_under(*SOURCES) for function in functions_of(code)]
    assert ninetieth_percentile(lengths) <= NINETIETH_PERCENTILE


def test_no_module_is_named_after_nothing() -> None:
    files = code_under(*SOURCES, "tests/", "signing/tests/")
    refuse(finding for code in files for finding in find_empty_names(code.path))


def test_everything_public_has_a_docstring() -> None:
    refuse(finding for code in code_under(*SOURCES) for finding in find_missing_docstrings(code))


def test_docstrings_do_not_repeat_names() -> None:
    refuse(finding for code in code_under(*SOURCES) for finding in find_echoing_docstrings(code))


def test_prefixes_tell_the_cost() -> None:
    refuse(finding for code in code_under(*SOURCES) for finding in find_wrong_prefixes(code))


def test_a_long_function_and_a_long_file_are_reported() -> None:
    body = "    pass\n"
    assert not list(find_long(code_of("def go():\n" + body * (LONGEST_FUNCTION - 1))))
    assert list(find_long(code_of("def go():\n" + body * LONGEST_FUNCTION)))
    assert list(find_long(code_of("\n" * LONGEST_FILE)))


def test_the_percentile_counts_the_tenth_from_the_top() -> None:
    assert ninetieth_percentile(range(1, 11)) == 9
    assert ninetieth_percentile([5] * 89 + [31] * 11) == 31


@pytest.mark.parametrize(
    "path", ["src/croupier/utils.py", "src/croupier/core/__init__.py", "tests/_helpers.py"]
)
def test_a_name_that_says_nothing_is_reported(path: str) -> None:
    assert list(find_empty_names(path))
    assert not list(find_empty_names("src/croupier/play/session.py"))


@pytest.mark.parametrize(
    "text",
    ["x = 1", '"""Doc."""\ndef go(): ...', '"""Doc."""\nclass Go:\n    """Doc."""\n    def on(self): ...'],
)
def test_a_missing_docstring_is_reported(text: str) -> None:
    assert list(find_missing_docstrings(code_of(text)))
    assert not list(find_missing_docstrings(code_of('"""Doc."""\ndef _go(): ...')))


@pytest.mark.parametrize("text", ["load_facts loads them.", "Load facts.", "load_facts(x) gives y."])
def test_a_docstring_that_repeats_the_name_is_reported(text: str) -> None:
    assert list(find_echoing_docstrings(code_of(f'def load_facts():\n    """{text}"""')))
    assert not list(find_echoing_docstrings(code_of('def settle():\n    """Settle what is closed."""')))


@pytest.mark.parametrize("text", ["async def decide_bet(): ...", "def load_wallets(): ..."])
def test_a_prefix_that_lies_is_reported(text: str) -> None:
    assert list(find_wrong_prefixes(code_of(text)))
