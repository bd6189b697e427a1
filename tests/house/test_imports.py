"""Who may import what, where `.importlinter` cannot say it: hashing, allow-lists, modules imported alone."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from typing import Final

import pytest

import croupier
from house.reading import Code, Finding, code_of, code_under, refuse

HASHING: Final = frozenset({"hmac", "hashlib", "_hashlib", "cryptography"})
HASHERS: Final = ("signing/", "src/croupier/settlement/fairness/")

ADAPTERS: Final = "croupier.providers.adapters"
ADAPTER_MAY_IMPORT: Final = (
    "croupier.errors",
    "croupier.ids",
    "croupier.money",
    "croupier.moneypath.commands",
    "croupier.moneypath.outcomes",
    "croupier.providers.contract",
    "croupier.providers.manifest",
    "croupier.providers.notices",
    "croupier.providers.problem",
    "croupier.providers.strict_json",
    "croupier.providers.verification",
    "croupier.providers.vocabulary",
    "croupier.providers.wire_schemas",
    "croupier_signing",
    "msgspec",
)
TELEMETRY_MAY_IMPORT: Final = ("croupier.errors", "croupier.ids", "croupier.telemetry")
SIGNER_MAY_IMPORT: Final = ("croupier_signing", "cryptography", "rfc8785")

OUTSIDE_WORLD: Final = frozenset({
    "asyncio", "ctypes", "http", "io", "multiprocessing", "os", "random", "secrets", "select", "selectors",
    "shutil", "signal", "socket", "socketserver", "ssl", "subprocess", "tempfile", "threading", "time",
})  # fmt: skip
CLOCKS: Final = frozenset({"now", "utcnow", "today"})
PURE: Final = (
    "src/croupier/wallet/",
    "src/croupier/play/",
    "src/croupier/settlement/closing.py",
    "src/croupier/moneypath/decide/",
    "src/croupier/providers/adapters/",
    "src/croupier/providers/candidates/",
)


def imports_of(code: Code) -> Iterator[tuple[ast.AST, str]]:
    """Every import as a dotted name, `from a import b` as `a.b`, wherever in the file it stands."""
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                package = code.module if code.path.endswith("__init__.py") else code.module.rpartition(".")[0]
                parts = package.split(".")
                origin = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [origin])])
            yield from ((node, f"{origin}.{alias.name}") for alias in node.names)


def find_hashing(code: Code) -> Iterator[Finding]:
    """Hashes outside the signer and the fairness code; CRC outside the one place that computes buckets."""
    for node, name in imports_of(code):
        if name.split(".")[0] in HASHING and not code.path.startswith(HASHERS):
            yield code.finding(node, f"{name} is for signing/ and settlement/fairness only: call the signer")
        if name.split(".")[0] == "zlib" and code.path != "src/croupier/ids.py":
            yield code.finding(
                node, "zlib.crc32 computes buckets, in ids.py only: use another hash or bucket_of"
            )
        if name.endswith(".compare_digest") and not code.path.startswith(HASHERS):
            yield code.finding(node, "secrets are compared by the signer only")


def find_foreign_imports(code: Code, allowed: tuple[str, ...], rule: str) -> Iterator[Finding]:
    """Imports that the list does not name; the standard library is not judged."""
    for node, name in imports_of(code):
        if name.split(".")[0] in sys.stdlib_module_names:
            continue
        if not any(name == module or name.startswith(f"{module}.") for module in allowed):
            yield code.finding(node, f"{name}: {rule}")


def find_foreign_adapter_imports(code: Code) -> Iterator[Finding]:
    """An adapter knows its own folder and the adapter contract."""
    own = ".".join(code.module.split(".")[:4])
    rule = "an adapter imports its own folder, the adapter contract, money, ids, errors and the signer"
    return find_foreign_imports(code, (*ADAPTER_MAY_IMPORT, own), rule)


def find_foreign_telemetry_imports(code: Code) -> Iterator[Finding]:
    """Telemetry takes records and knows nobody."""
    for node, name in imports_of(code):
        if name.startswith("croupier") and not any(
            name == module or name.startswith(f"{module}.") for module in TELEMETRY_MAY_IMPORT
        ):
            yield code.finding(node, f"{name}: telemetry imports nothing of ours but errors and ids")


def find_outside_world(code: Code) -> Iterator[Finding]:
    """Clocks, chance, sockets and processes in code that decides or translates."""
    for node, name in imports_of(code):
        if name.split(".")[0] in OUTSIDE_WORLD:
            yield code.finding(
                node, f"{name}: pure code takes times, ids and chance as arguments and does no I/O"
            )
    for node in ast.walk(code.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCKS:
            yield code.finding(node, f".{node.func.attr}() reads the clock: take the time as an argument")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            yield code.finding(node, "open(): pure code does no I/O")


def import_alone(name: str) -> str | None:
    """Import a module as if it were the first of ours; says what went wrong, if anything did."""
    kept = {key: module for key, module in sys.modules.items() if key.split(".")[0] == "croupier"}
    for key in kept:
        del sys.modules[key]
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 (a module may fail with anything when it is imported)
        return f"{type(error).__name__}: {error}"
    finally:
        for key in [key for key in sys.modules if key.split(".")[0] == "croupier"]:
            del sys.modules[key]
        sys.modules.update(kept)
    return None


def test_hashing_stays_in_the_signer_and_the_fairness_code() -> None:
    refuse(finding for code in code_under("src/", "signing/src/") for finding in find_hashing(code))


def test_adapters_import_only_the_adapter_contract() -> None:
    files = code_under("src/croupier/providers/adapters/")
    refuse(finding for code in files for finding in find_foreign_adapter_imports(code))


def test_candidates_import_what_adapters_do_and_the_adapters_they_follow() -> None:
    files = code_under("src/croupier/providers/candidates/")
    allowed = (*ADAPTER_MAY_IMPORT, ADAPTERS, "croupier.providers.candidates")
    rule = "a candidate keeps to the rules of adapters, and may build on one"
    refuse(finding for code in files for finding in find_foreign_imports(code, allowed, rule))


def test_telemetry_knows_nothing_of_the_domains() -> None:
    files = code_under("src/croupier/telemetry/")
    refuse(finding for code in files for finding in find_foreign_telemetry_imports(code))


def test_the_signer_needs_the_standard_library_and_two_libraries_of_its_trade() -> None:
    rule = "the signer depends on the standard library, cryptography and rfc8785 only"
    files = code_under("signing/src/")
    refuse(finding for code in files for finding in find_foreign_imports(code, SIGNER_MAY_IMPORT, rule))


def test_deciding_code_reaches_no_clock_chance_or_network() -> None:
    refuse(finding for code in code_under(*PURE) for finding in find_outside_world(code))


def test_every_module_can_be_the_first_one_imported() -> None:
    names = [module.name for module in pkgutil.walk_packages(croupier.__path__, "croupier.")]
    assert len(names) > 50
    failures = {name: import_alone(name) for name in names if not name.endswith("__main__")}
    refuse(Finding(name, 1, failure) for name, failure in failures.items() if failure)


@pytest.mark.parametrize(
    "line",
    ["import hmac", "from hashlib import sha256", "import zlib", "from secrets import compare_digest"],
)
def test_hashing_elsewhere_is_reported(line: str) -> None:
    assert list(find_hashing(code_of(f"def late():\n    {line}", "src/croupier/operator/api.py")))
    assert not list(find_hashing(code_of("import hmac", "src/croupier/settlement/fairness/seeds.py")))


@pytest.mark.parametrize(
    "line",
    [
        "import aiohttp",
        "from croupier.moneypath import load",
        "from croupier.providers.adapters.other_v1 import wire",
        "from ..other_v1 import wire",
        "from croupier import runtime",
    ],
)
def test_an_adapter_that_reaches_further_is_reported(line: str) -> None:
    path = "src/croupier/providers/adapters/sample_v1/adapter.py"
    assert list(find_foreign_adapter_imports(code_of(line, path)))
    assert not list(
        find_foreign_adapter_imports(code_of("from . import wire\nfrom croupier import money", path))
    )


def test_telemetry_that_reaches_into_a_domain_is_reported() -> None:
    path = "src/croupier/telemetry/logs.py"
    assert list(find_foreign_telemetry_imports(code_of("from croupier.play.session import State", path)))
    assert not list(find_foreign_telemetry_imports(code_of("from croupier.ids import render_id", path)))


def test_a_third_party_in_the_signer_is_reported() -> None:
    assert list(find_foreign_imports(code_of("import msgspec", "signing/src/x.py"), SIGNER_MAY_IMPORT, "no"))


@pytest.mark.parametrize(
    "line", ["import time", "from random import Random", "datetime.now(UTC)", "open('x')"]
)
def test_a_clock_in_deciding_code_is_reported(line: str) -> None:
    assert list(find_outside_world(code_of(line)))


def test_a_module_that_cannot_be_imported_alone_is_reported() -> None:
    before = sys.modules["croupier"]
    assert "ModuleNotFoundError" in str(import_alone("croupier.no_such_module"))
    assert sys.modules["croupier"] is before
