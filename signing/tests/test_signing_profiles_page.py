"""The pages about profiles say what the vectors and the declarations say."""

from __future__ import annotations

import base64
import re
from typing import Final

import pytest
from signing_plain import SIGNING
from signing_profiles import DOCUMENT, VECTORS

from croupier_signing import COVERAGES, MAX_KEYS, Coverage

PAGE: Final = (SIGNING.parent / "docs" / "explanation" / "signing-profiles.md").read_text()
README: Final = (SIGNING / "README.md").read_text()
SECTIONS: Final = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
ROW: Final = re.compile(r"^\| `(\w+)` \| (.+) \| (.+) \| (.+) \| (yes|no) \|$", re.MULTILINE)
HEADER: Final = "| scheme | signed bytes | signature | not covered | weak |\n|---|---|---|---|---|\n"
OURS: Final = [name for name in SECTIONS if name in COVERAGES]


def blocks_of(section: str) -> dict[str, str]:
    found = re.findall(r"^```(\w+)\n(.*?)\n```$", section, re.MULTILINE | re.DOTALL)
    assert len(found) == len(dict(found))
    return dict(found)


def describe_gaps(coverage: Coverage) -> str:
    return ", ".join(coverage.uncovered)


def test_every_profile_has_its_section() -> None:
    assert list(SECTIONS) == OURS
    assert set(OURS) == {vector["profile"] for vector in VECTORS.values()}


@pytest.mark.parametrize("name", OURS)
def test_worked_example_is_the_vector_it_names(name: str) -> None:
    blocks = blocks_of(SECTIONS[name])
    (cited,) = re.findall(r"^Vector `(.+)`\.", SECTIONS[name], re.MULTILINE)
    vector = VECTORS[cited]
    assert vector["profile"] == name
    assert blocks.pop("signature").replace("\n", "") == vector["signature"]
    if name != "static_token":
        assert base64.b64decode(vector["signed"]) == blocks.pop("signed").encode()
    for part, text in blocks.items():
        assert vector["request"][part] == text
    for header, value in vector["request"].get("headers", {}).items():
        assert f"`{header}: {value}`" in " ".join(SECTIONS[name].split())


def test_keys_of_the_examples_are_the_ones_the_page_names() -> None:
    cited = re.findall(r"^Vector `(.+)`\.", PAGE, re.MULTILINE)
    assert {VECTORS[name]["expect"] for name in cited} == {"provider-1", "pair-1"}
    secret = bytes.fromhex(DOCUMENT["keys"]["provider-1"]["secret_hex"]).decode()
    assert f"`{secret}`" in PAGE
    assert "pair `pair-1`" in PAGE
    assert MAX_KEYS == 8
    assert "eight at most" in PAGE


@pytest.mark.parametrize("name", OURS)
def test_gaps_on_the_page_are_the_declared_ones(name: str) -> None:
    (gaps,) = re.findall(r"^Not covered: (.+)\.$", SECTIONS[name], re.MULTILINE)
    assert gaps == describe_gaps(COVERAGES[name])
    assert ("**Weak**: " in SECTIONS[name]) == COVERAGES[name].is_weak


def test_table_of_the_readme_is_the_declared_one() -> None:
    rows = ROW.findall(README.partition(HEADER)[2])
    told = {name: (gaps, weak == "yes") for name, _, _, gaps, weak in rows}
    declared = {name: (describe_gaps(COVERAGES[name]), COVERAGES[name].is_weak) for name in ("native", *OURS)}
    assert {name: told[name] for name in declared} == declared
