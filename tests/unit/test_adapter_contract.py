"""What every adapter owes: errors are total, verification is never skipped, and only the contract is used."""

from __future__ import annotations

import ast
import copy
import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from provider_edge import ACCOUNT, BET, NOW, verified

import croupier.providers
from croupier.errors import CATALOGUE, CroupierError
from croupier.moneypath.outcomes import APPROVED, DECLINE_CODES, DECLINED, Outcome
from croupier.providers.adapters.croupier_v1 import ADAPTER as CROUPIER_V1
from croupier.providers.contract import Adapter, Decoded, Failure, Operation
from croupier.providers.manifest import Capability
from croupier.providers.registry import find_adapters
from croupier.providers.verification import RawRequest, Verified, verify_native_signature

ADAPTERS: list[Adapter] = list(find_adapters().values())
FOLDER = Path(croupier.providers.__file__).parent
ALLOWED_IMPORTS = {
    "__future__",
    "base64",
    "collections.abc",
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
    "croupier_signing",
    "datetime",
    "msgspec",
    "re",
    "typing",
    "urllib.parse",
    "uuid",
}
"""What pure functions need. `datetime` is checked for clocks below; wire_schemas.py also writes files."""
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter"}


EVERY_WAY: list[dict[str, Any]] = [
    {},
    {"field": "amount"},
    {"reason": "stale"},
    {"retry_after_s": -5},
    {"balance": (1250, "EUR")},
]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.manifest.id)
@pytest.mark.parametrize("code", CATALOGUE)
def test_every_error_of_the_catalogue_can_be_written(adapter: Adapter, code: str) -> None:
    """Whatever is known about the request: nothing, its bytes, its operation, the player's balance."""
    request, _ = verified(BET)
    account = structs.replace(ACCOUNT, adapter=adapter.manifest.id)
    secret = "what-was-wrong-inside"
    for raw, operation in itertools.product((None, request.raw), (None, Operation(name="bet"))):
        for options in EVERY_WAY:
            error = CroupierError(CATALOGUE[code], secret, **options)
            reply = adapter.encode_failure(
                Failure(error=error, correlation_id="req_1", account=account, operation=operation, raw=raw)
            )
            assert 200 <= reply.status < 600
            assert reply.body
            assert all(type(name) is type(value) is bytes for name, value in reply.headers)
            if CATALOGUE[code].status >= 500 and adapter is not CROUPIER_V1:
                assert secret.encode() not in reply.body


@pytest.mark.parametrize("code", CATALOGUE)
def test_native_problem_says_whether_money_moved_and_what_to_do(code: str) -> None:
    kind = CATALOGUE[code]
    failure = Failure(error=CroupierError(kind, "detail"), correlation_id="req_1", account=ACCOUNT)
    reply = CROUPIER_V1.encode_failure(failure)
    shown = {} if kind.player_message is None else {"player_message": kind.player_message}
    assert json.loads(reply.body) == shown | {
        "type": f"/docs/errors/{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": "detail",
        "code": code,
        "retryable": kind.retryable,
        "money_moved": kind.money_moved.value,
        "correlation_id": "req_1",
    }
    assert reply.status == kind.status


@pytest.mark.parametrize("status", [APPROVED, DECLINED])
@pytest.mark.parametrize(
    "code", sorted({"ok", "nothing_to_roll_back", "already_rolled_back"} | DECLINE_CODES)
)
def test_every_outcome_can_be_written(status: str, code: str) -> None:
    request, context = verified(BET)
    call = CROUPIER_V1.decode(request, context)
    assert isinstance(call, Decoded)
    for balance, asset in ((None, None), (None, "EUR"), (0, "EUR"), (5, None)):
        reply = CROUPIER_V1.encode(call, (Outcome(status, code, "r", None, balance, asset),), context)
        body = json.loads(reply.body)
        assert (body["status"], body["code"]) == (status, code)
        assert (body["balance"] is None) == (balance is None or asset is None)


def test_verified_request_comes_from_a_verifier_only() -> None:
    request, _ = verified(BET)
    raw = request.raw
    makers: list[Any] = [
        lambda: Verified(),
        lambda: Verified(raw),
        lambda: Verified(raw, "studio-1", "nonce", 1, 30),
        lambda: Verified(raw=raw, key_id="studio-1", nonce="n", timestamp_s=1, window_s=30),
        lambda: copy.copy(request),
        lambda: copy.deepcopy(request),
        lambda: pickle.dumps(request),
        lambda: type("Forged", (Verified,), {}),
    ]
    for make in makers:
        with pytest.raises(TypeError):
            make()


def test_verified_request_cannot_be_changed() -> None:
    request, _ = verified(BET)
    for name in ("raw", "key_id", "nonce", "timestamp_s", "window_s", "other"):
        with pytest.raises(AttributeError):
            setattr(request, name, None)
        with pytest.raises(AttributeError):
            delattr(request, name)


def test_empty_shell_of_a_verified_request_holds_nothing() -> None:
    _, context = verified(BET)
    shell = Verified.__new__(Verified)
    with pytest.raises(AttributeError):
        CROUPIER_V1.decode(shell, context)


def test_verifier_refuses_what_it_cannot_prove() -> None:
    raw = RawRequest(method="POST", path=b"/", query=b"", headers=(), body=b"", received_at=NOW)
    with pytest.raises(CroupierError) as caught:
        verify_native_signature(raw, ACCOUNT.inbound_keys, NOW, window_s=30)
    assert caught.value.reason == "missing"


def test_nothing_but_the_contract_makes_a_verified_request() -> None:
    """The seal and the ways around a constructor stay in the one module that holds the verifiers."""
    for path in FOLDER.rglob("*.py"):
        if path.name == "verification.py":
            continue
        text = path.read_text()
        for way in ("_seal", "object.__new__", "object.__setattr__", "Verified.__new__", "Verified("):
            assert way not in text, f"{path.name} uses {way}"


ADAPTER_FILES = sorted(path for path in (FOLDER / "adapters").rglob("*.py") if path.name != "wire_schemas.py")


@pytest.mark.parametrize("path", ADAPTER_FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_adapter_imports_only_the_contract_and_what_is_pure(path: Path) -> None:
    own = f"croupier.providers.adapters.{path.parent.name}"
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            assert name in ALLOWED_IMPORTS or name == own or name.startswith(f"{own}."), name
        if isinstance(node, ast.Attribute):
            assert node.attr not in CLOCKS, f"{path.name} reads a clock: {node.attr}"


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.manifest.id)
def test_manifest_gives_every_opt_out_a_reason_and_every_deadline_a_time(adapter: Adapter) -> None:
    manifest = adapter.manifest
    assert manifest.capabilities <= frozenset(Capability)
    assert all(item.reason for item in manifest.opt_outs)
    assert all(0 < item.seconds <= 60 for item in manifest.deadlines)
    assert manifest.deadline_s("no such operation") is None


@pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.manifest.id)
def test_adapter_folder_has_the_same_few_files(adapter: Adapter) -> None:
    folder = FOLDER / "adapters" / adapter.manifest.id
    assert {"manifest.py", "wire.py", "adapter.py", "NOTES.md"} <= {path.name for path in folder.iterdir()}
    assert list(folder.glob("schemas/*.json"))
    assert list(folder.glob("fixtures/*.json"))
