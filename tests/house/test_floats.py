"""Floats stay away from money: no literal, call, annotation, true division or rounding where amounts live."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

import pytest

from house.reading import Code, Finding, ancestors_of, code_of, code_under, last_name, refuse

NEAR_MONEY: Final = (
    "src/croupier/money.py",
    "src/croupier/wallet/",
    "src/croupier/play/",
    "src/croupier/moneypath/",
    "src/croupier/settlement/",
    "src/croupier/providers/adapters/",
    "src/croupier/operator/",
)
TIME_SUFFIXES: Final = ("_s", "_ms", "timeout", "duration", "latency")
"""Seconds may be floats, when the name says that they are seconds."""

TAKES_SECONDS: Final = frozenset({"Deadline", "call_later", "sleep", "timeout", "wait_for"})
FOLDERS: Final = ("folder", "path", "root")

PUBLISHED_IN_DOUBLES: Final = {
    ("src/croupier/settlement/fairness/float_stream.py", "draw_limbo"): "the site computes in doubles",
    (
        "src/croupier/settlement/fairness/hash_chain.py",
        "multiplier_of_52_bits",
    ): "the site computes in doubles",
}


def find_floats(code: Code) -> Iterator[Finding]:
    """Every float, unless its name says seconds or the game's published formula is in doubles."""
    for node in ast.walk(code.tree):
        what = _float_in(node)
        if what and not _is_seconds(code, node) and not _is_published(code, node):
            yield code.finding(
                node, f"{what} near money: amounts are integers of minor units (seconds end in _s)"
            )


def _float_in(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=float() | complex()):
            return "a float literal"
        case ast.BinOp(op=ast.Div(), left=left, right=right) if not _is_text(left) and not _is_text(right):
            return "true division"
        case ast.AugAssign(op=ast.Div()):
            return "true division"
        case ast.Call(func=ast.Name(id="float" | "round" as name)):
            return f"{name}()"
        case ast.arg(annotation=ast.Name(id="float")) | ast.AnnAssign(annotation=ast.Name(id="float")):
            return "a float annotation"
        case (
            ast.FunctionDef(returns=ast.Name(id="float")) | ast.AsyncFunctionDef(returns=ast.Name(id="float"))
        ):
            return "a function that returns a float"
        case _:
            return None


def _is_text(node: ast.expr) -> bool:
    """A folder divided by a file name is a path."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    return isinstance(node, ast.JoinedStr) or last_name(node).lower().endswith(FOLDERS)


def _is_seconds(code: Code, node: ast.AST) -> bool:
    for holder in ancestors_of(code, node):
        match holder:
            case ast.keyword(arg=str(name)) | ast.arg(arg=name):
                return _says_time(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                return _says_time(name)
            case ast.AnnAssign(target=target) | ast.AugAssign(target=target) | ast.Assign(targets=[target]):
                return _says_time(last_name(target))
            case ast.Call(func=called) if last_name(called) in TAKES_SECONDS:
                return True
            case ast.BinOp() | ast.Compare() | ast.Call() if _names_are_times(holder):
                return True
            case _:
                pass
    return False


def _says_time(name: str) -> bool:
    return name.lower().endswith(TIME_SUFFIXES)


def _names_are_times(expression: ast.AST) -> bool:
    """Whether every value the expression names is a time; the names of called functions do not count."""
    called = {id(node.func) for node in ast.walk(expression) if isinstance(node, ast.Call)}
    outermost = [node for node in _outermost_names(expression) if id(node) not in called]
    return bool(outermost) and all(_says_time(last_name(node)) for node in outermost)


def _outermost_names(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Name | ast.Attribute):
        yield node
        return
    for child in ast.iter_child_nodes(node):
        yield from _outermost_names(child)


def _is_published(code: Code, node: ast.AST) -> bool:
    """Whether a published formula holds the float, or uses the constant that it defines."""
    constants = {last_name(used) for function in _published_functions(code) for used in ast.walk(function)}
    for holder in ancestors_of(code, node):
        if isinstance(holder, ast.FunctionDef) and (code.path, holder.name) in PUBLISHED_IN_DOUBLES:
            return True
        if isinstance(holder, ast.Assign) and holder in code.tree.body:
            return last_name(holder.targets[0]) in constants
    return False


def _published_functions(code: Code) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(code.tree):
        if isinstance(node, ast.FunctionDef) and (code.path, node.name) in PUBLISHED_IN_DOUBLES:
            yield node


def test_no_float_stands_near_money() -> None:
    refuse(finding for code in code_under(*NEAR_MONEY) for finding in find_floats(code))


def test_every_exception_still_stands() -> None:
    for path, function in PUBLISHED_IN_DOUBLES:
        (code,) = code_under(path)
        assert any(node.name == function for node in _published_functions(code)), (
            f"{path}: {function} is gone"
        )


@pytest.mark.parametrize(
    "bad",
    [
        "share = 0.5",
        "amount_minor / 2",
        "amount_minor /= 2",
        "float(amount)",
        "round(amount_minor)",
        "def pay(amount: float): ...",
        "def share(amount) -> float: ...",
        "total: float = 0",
        "amount_minor / elapsed_s",
        "pay(amount=1.5)",
        "rate_s = 1\nshare = amount * 0.1",
    ],
)
def test_a_float_near_money_is_reported(bad: str) -> None:
    assert list(find_floats(code_of(bad)))


@pytest.mark.parametrize(
    "good",
    [
        "amount_minor // 2",
        "outage_s: float = 10.0",
        "wait(timeout=2.5)",
        "await asyncio.sleep(0.05)",
        "return_s = round(wait_s + 0.5)",
        "if elapsed_s > 1.5: ...",
        "self._rate_per_s += (len(batch) / duration_s - self._rate_per_s) / 8",
        "def retry_after_s() -> float:\n    return 0.5",
        "folder / 'schemas'",
        "SCHEMA_FOLDER / name",
        "Deadline('bet', 5.0)",
    ],
)
def test_seconds_and_paths_are_let_through(good: str) -> None:
    assert not list(find_floats(code_of(good)))
