"""Faults are named: broad `except` at the edges only, every match closed, nothing left unimplemented."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import Final

import pytest

from house.reading import (
    SOURCES,
    Code,
    Finding,
    ancestors_of,
    code_of,
    code_under,
    full_name,
    last_name,
    refuse,
    repository_paths,
)

BROAD: Final = frozenset({"Exception", "BaseException"})

EDGES: Final[dict[tuple[str, str], str]] = {
    (
        "src/croupier/providers/callbacks.py",
        "*",
    ): "the request edge towards providers: every fault becomes a reply",
    (
        "src/croupier/inbox/intake.py",
        "_answer",
    ): "the request edge towards providers: every sender gets an answer",
    (
        "src/croupier/inbox/accept.py",
        "_settle",
    ): "the worker loop: every fault ends in an answer to each sender",
    (
        "src/croupier/inbox/replay/reading.py",
        "read",
    ): "the worker loop: an adapter's fault is one delivery's trouble",
    (
        "src/croupier/moneypath/lane.py",
        "_settle",
    ): "the worker loop: every fault ends in an answer to each call",
    (
        "src/croupier/moneypath/transaction.py",
        "run_transaction",
    ): "rolls back whatever happened, then raises it on",
    (
        "src/croupier/moneypath/transaction.py",
        "_decide_guarded",
    ): "one call's fault must not reach its neighbours",
    (
        "src/croupier/moneypath/transaction.py",
        "_roll_back",
    ): "the fault that led here is being raised already",
    (
        "src/croupier/operator/outbox/dispatch.py",
        "_keep_doing",
    ): "the worker loop: a fault in one consumer must not stop the others",
    (
        "src/croupier/operator/outbox/deliver.py",
        "_attempt",
    ): "the worker loop: a fault of ours counts as a failed attempt, or it would come back for ever",
    (
        "src/croupier/providers/shadow/tap.py",
        "offer",
    ): "the request edge towards providers: a copy that fails must not reach the call it copies",
    (
        "src/croupier/runtime/shadow_child.py",
        "main",
    ): "the worker loop: a candidate that cannot be loaded is a result",
    (
        "src/croupier/runtime/shadow_child.py",
        "_try",
    ): "the worker loop: a candidate's fault is a result of its call",
    (
        "src/croupier/inbox/drain.py",
        "_work_on",
    ): "the worker loop: a fault with one provider's deliveries must not stop the others'",
    (
        "src/croupier/inbox/drain.py",
        "_settle",
    ): "the worker loop: one delivery's fault must not reach its neighbours",
    (
        "src/croupier/sandbox/wallet/service.py",
        "_handle",
    ): "the request edge of the reference wallet: every fault is answered in the contract's form",
    (
        "src/croupier/sandbox/wallet/books.py",
        "work",
    ): "the worker loop: a batch that fails is answered so, and the next one is decided",
}
"""File and function → why it may catch everything. Two kinds only: the request edge and the worker loop."""


def find_broad_excepts(code: Code) -> Iterator[Finding]:
    """Handlers of everything, and suppressions of everything, outside the edges."""
    for node in ast.walk(code.tree):
        if _is_broad(node) and not any(
            (code.path, name) in EDGES for name in ("*", _function_of(code, node))
        ):
            rule = "broad except: name the errors, or let it reach the request edge or the worker loop"
            yield code.finding(node, rule)


def _is_broad(node: ast.AST) -> bool:
    match node:
        case ast.ExceptHandler(type=None):
            return True
        case ast.ExceptHandler(type=ast.Tuple(elts=caught)):
            return any(last_name(one) in BROAD for one in caught)
        case ast.ExceptHandler(type=ast.expr() as caught_one):
            return last_name(caught_one) in BROAD
        case ast.Call(func=function, args=caught) if last_name(function) == "suppress":
            return any(last_name(one) in BROAD for one in caught)
        case _:
            return False


def _function_of(code: Code, node: ast.AST) -> str:
    holders = (holder for holder in ancestors_of(code, node))
    return next((h.name for h in holders if isinstance(h, ast.FunctionDef | ast.AsyncFunctionDef)), "")


def find_open_matches(code: Code) -> Iterator[Finding]:
    """A match over classes or enum members ends in `case _: assert_never(…)`.

    Where the subject is `Any` (nothing can be proven then), `case _: pass` says that the rest is left alone.
    """
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Match) and any(_is_ours(code, case.pattern) for case in node.cases):
            last = node.cases[-1]
            if not _is_wildcard(last) or not (_asserts_never(last) or _may_pass(code, node, last)):
                yield code.finding(node, "a match over a union of ours closes with `case _: assert_never(…)`")


def _is_ours(code: Code, pattern: ast.pattern) -> bool:
    """Our classes and enum members; `str()`, `"text"` and the classes of others have no end."""
    classes = [node.cls for node in ast.walk(pattern) if isinstance(node, ast.MatchClass)]
    values = [node.value for node in ast.walk(pattern) if isinstance(node, ast.MatchValue)]
    return any(full_name(named).split(".")[0] in _own_names(code) for named in (*classes, *values))


@cache
def _own_names(code: Code) -> frozenset[str]:
    """Classes this file defines, and what it imports from ours."""
    own = {node.name for node in ast.walk(code.tree) if isinstance(node, ast.ClassDef)}
    for node in ast.walk(code.tree):
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("croupier")):
            own.update(alias.asname or alias.name for alias in node.names)
    return frozenset(own)


def _is_wildcard(case: ast.match_case) -> bool:
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None


def _asserts_never(case: ast.match_case) -> bool:
    calls = (node for node in ast.walk(case) if isinstance(node, ast.Call))
    return any(last_name(call.func) == "assert_never" for call in calls)


def _may_pass(code: Code, node: ast.Match, last: ast.match_case) -> bool:
    if not isinstance(last.body[0], ast.Pass) or not isinstance(node.subject, ast.Name):
        return False
    for holder in ancestors_of(code, node):
        if isinstance(holder, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [*holder.args.posonlyargs, *holder.args.args, *holder.args.kwonlyargs]
            annotations = {argument.arg: argument.annotation for argument in arguments}
            annotation = annotations.get(node.subject.id)
            return annotation is not None and last_name(annotation) == "Any"
    return False


def find_unfinished(code: Code) -> Iterator[Finding]:
    """Code that says it is not there yet."""
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Name) and node.id in ("NotImplementedError", "NotImplemented"):
            yield code.finding(
                node, f"{node.id}: what is not there is not offered (a contract is a Protocol)"
            )


def test_broad_except_stands_at_the_edges_only() -> None:
    refuse(finding for code in code_under(*SOURCES) for finding in find_broad_excepts(code))


def test_every_edge_that_may_catch_everything_still_does() -> None:
    caught: set[tuple[str, str]] = set()
    for code in code_under(*SOURCES):
        for node in filter(_is_broad, ast.walk(code.tree)):
            caught.update({(code.path, _function_of(code, node)), (code.path, "*")})
    written = {edge for edge in EDGES if edge[0] in repository_paths()}
    rule = "catches nothing broadly any more: strike it from EDGES"
    refuse(Finding(path, 1, f"{function} {rule}") for path, function in sorted(written - caught))


def test_every_match_over_a_union_is_closed() -> None:
    refuse(finding for code in code_under(*SOURCES) for finding in find_open_matches(code))


def test_nothing_is_offered_that_is_not_there() -> None:
    refuse(finding for code in code_under(*SOURCES) for finding in find_unfinished(code))


@pytest.mark.parametrize("caught", ["", " Exception", " BaseException as error", " (ValueError, Exception)"])
def test_a_broad_except_is_reported(caught: str) -> None:
    assert list(find_broad_excepts(code_of(f"try:\n    go()\nexcept{caught}:\n    pass")))
    assert not list(find_broad_excepts(code_of("try:\n    go()\nexcept (OSError, ValueError):\n    pass")))


def test_a_broad_suppress_is_reported() -> None:
    assert list(find_broad_excepts(code_of("with contextlib.suppress(Exception):\n    go()")))


def test_an_edge_is_a_function_not_a_file() -> None:
    broad = "def {}():\n    try:\n        go()\n    except Exception:\n        pass"
    lane = "src/croupier/moneypath/lane.py"
    assert not list(find_broad_excepts(code_of(broad.format("_settle"), lane)))
    assert list(find_broad_excepts(code_of(broad.format("_take"), lane)))


OURS: Final = "from croupier.play import Bet, State\n"


@pytest.mark.parametrize(
    "text",
    [
        "match action:\n    case Bet():\n        pay()",
        "match action:\n    case Bet():\n        pay()\n    case _:\n        pass",
        "match state:\n    case State.OPEN | State.DONE:\n        pay()\n    case _:\n        raise Odd",
    ],
)
def test_an_open_match_is_reported(text: str) -> None:
    assert list(find_open_matches(code_of(OURS + text)))


ANYTHING: Final = """
def go(action: Any):
    match action:
        case Bet():
            pay()
        case _:
            pass
"""


@pytest.mark.parametrize(
    "text",
    [
        "match action:\n    case Bet():\n        pay()\n    case _:\n        assert_never(action)",
        "match value:\n    case str() | inspect.IntType():\n        go()\n    case 'a' | 'b':\n        go()",
        ANYTHING,
    ],
)
def test_a_closed_match_is_let_through(text: str) -> None:
    assert not list(find_open_matches(code_of(OURS + text)))


def test_unfinished_code_is_reported() -> None:
    assert list(find_unfinished(code_of("def go():\n    raise NotImplementedError")))
