"""`croupier provider new`: what it writes works at once, in a copy of the package that it is written into."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import typer
from msgspec import Struct

from croupier.cli.provider_new import parse_name
from e2e.processes import BIN

ROOT: Final = Path(__file__).parents[2]
LONGEST_S: Final = 120
NAMES: Final = ("ab", "a_studio_of_the_longest1")
"""The shortest and the longest: lines that fit with both fit with every name."""

# As a provider calls: one bet, signed, through the raw ASGI application.
ASK_FOR_A_BET: Final = """
import asyncio, json, sys
from croupier.money import AssetRegistry
from croupier.providers.contract import ProviderAccount
from croupier.providers.registry import find_adapters
from croupier_signing import SigningKey, sign_raw_hmac
from unit.adapters.edge_driver import Approving, Gateway

key = SigningKey("provider-1", bytes(range(32)))
adapter = find_adapters()[sys.argv[1]]
account = ProviderAccount(
    id="acme", adapter=sys.argv[1], base_url="http://127.0.0.1:1/", inbound_keys={key.id: key}, outbound_key=key,
    assets=AssetRegistry(), contract_for=lambda **_: None,
)
money = Approving()
gateway = Gateway(account, adapter, money.submit)
body = json.dumps({
    "transaction_id": "bet-1", "player_id": "player-1", "session_id": "ses_0195500000007000800000000000002a",
    "round_id": "round-1", "game_id": "dice", "currency": "EUR", "amount": "12.50",
}).encode()
signed = asyncio.run(gateway.send("/bet", body, {"x-signature": sign_raw_hmac(key, body)}))
forged = asyncio.run(gateway.send("/bet", body, {"x-signature": "0" * 64}))
amounts = [action.amount for call in money.calls for action in call.actions]
print(json.dumps([signed.status, signed.json["code"], forged.status, amounts]))
"""


class Site(Struct, frozen=True):
    """A copy of the package with its own tests folder; processes run against the copy."""

    root: Path

    @property
    def adapters(self) -> Path:
        return self.root / "src/croupier/providers/adapters"

    def files_of(self, name: str) -> list[str]:
        """The Python files that belong to one generated adapter."""
        return [
            str(path) for path in self.root.rglob("*.py") if f"{name}_v1" in f"{path.parent.name}/{path.name}"
        ]

    def run(self, *command: str, tests: bool = False) -> subprocess.CompletedProcess[str]:
        """One process that imports `croupier` from the copy."""
        paths = [str(self.root / "src"), *([str(ROOT / "tests")] if tests else [])]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return subprocess.run(
            [str(BIN / command[0]), *command[1:]],
            cwd=self.root,
            env=environment | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )

    def must_run(self, *command: str, tests: bool = False) -> str:
        done = self.run(*command, tests=tests)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A copy with one adapter of each name in it."""
    root = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    # The linter tells our packages from others by their folders.
    shutil.copytree(ROOT / "signing/src", root / "signing/src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    (root / "tests/unit/adapters").mkdir(parents=True)
    for file in ("test_adapter_contract.py", "provider_edge.py"):
        shutil.copy(ROOT / "tests/unit" / file, root / "tests/unit")
    made = Site(root)
    for name in NAMES:
        made.must_run("croupier", "provider", "new", name)
    yield made
    shutil.rmtree(root)


@pytest.mark.parametrize("name", NAMES)
def test_a_new_adapter_is_linted_formatted_and_typed(site: Site, name: str) -> None:
    files = site.files_of(name)
    assert len(files) >= 10
    site.must_run("ruff", "check", "--no-cache", *files)
    site.must_run("ruff", "format", "--no-cache", "--check", *files)
    site.must_run("mypy", "--strict", "--cache-dir", str(site.root / ".mypy_cache"), *files)


@pytest.mark.parametrize("name", NAMES)
def test_a_new_adapter_passes_its_own_test_and_the_contracts(site: Site, name: str) -> None:
    own = f"tests/unit/adapters/test_{name}_v1.py"
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:randomly")
    assert " passed" in site.must_run("pytest", *options, own)
    contract = site.must_run("pytest", *options, "tests/unit/test_adapter_contract.py", "-k", f"{name}_v1")
    assert " passed" in contract


@pytest.mark.parametrize("name", NAMES)
def test_a_new_adapter_answers_a_signed_bet_and_no_forged_one(site: Site, name: str) -> None:
    told = json.loads(site.must_run(Path(sys.executable).name, "-c", ASK_FOR_A_BET, f"{name}_v1", tests=True))
    assert told == [200, "ok", 401, [1250]]


def test_a_new_adapter_has_a_speaker_and_a_baseline(site: Site) -> None:
    script = "from croupier.conformance.speakers import find_speakers; print(*find_speakers())"
    speakers = site.must_run(Path(sys.executable).name, "-c", script).split()
    assert {f"{name}_v1" for name in NAMES} <= set(speakers)
    for name in NAMES:
        folder = site.adapters / f"{name}_v1"
        kept = json.loads((folder / "released_schemas.json").read_text())["schemas"]
        assert set(kept) == {path.name for path in folder.glob("schemas/*.json")}
        notes = (folder / "NOTES.md").read_text()
        assert notes.count("\n## ") >= 8


def test_nothing_that_exists_is_overwritten(site: Site) -> None:
    kept = site.adapters / "ab_v1/wire.py"
    before = kept.read_bytes()
    for name in ("ab", "croupier"):
        refused = site.run("croupier", "provider", "new", name)
        assert refused.returncode == 1
        assert "exists; nothing was written" in refused.stderr
    assert kept.read_bytes() == before
    (site.root / "tests/unit/adapters/test_half_v1.py").write_text("")
    assert site.run("croupier", "provider", "new", "half").returncode == 1
    assert not (site.adapters / "half_v1").exists()


@pytest.mark.parametrize(
    "name", ["Acme", "1x", "a-b", "a__b", "_a", "a_", "a/b", "../a", "acme_v2", "x" * 25, ""]
)
def test_a_name_that_no_folder_should_have_is_refused(name: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_name(name)


def test_a_refused_name_is_wrong_usage(site: Site) -> None:
    before = sorted(site.adapters.iterdir())
    refused = site.run("croupier", "provider", "new", "../elsewhere")
    assert (refused.returncode, sorted(site.adapters.iterdir())) == (2, before)


def test_a_folder_elsewhere_gets_the_adapter_alone(site: Site, tmp_path: Path) -> None:
    told = site.must_run("croupier", "--json", "provider", "new", "acme", "--into", str(tmp_path))
    document = json.loads(told)
    assert (document["schema"]["name"], document["adapter"]) == ("croupier.provider.new", "acme_v1")
    assert {Path(path).relative_to(tmp_path).parts[0] for path in document["files"]} == {"acme_v1"}
    assert all(Path(path).is_file() for path in document["files"])
    assert (tmp_path / "acme_v1/schemas/bet.json").is_file()
