"""No adapter's schemas change unnoticed: each is held against the baseline that lies beside them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from croupier.providers.schema_baseline import (
    ADAPTERS_FOLDER,
    BASELINE,
    COMMAND,
    SCHEMAS,
    adapters_with_schemas,
    find_baseline_problem,
    main,
)

ADAPTERS = adapters_with_schemas()
Adapter = tuple[Path, Path]


@pytest.mark.parametrize("folder", ADAPTERS, ids=lambda folder: folder.name)
def test_the_schemas_of_every_adapter_are_those_of_its_baseline(folder: Path) -> None:
    problem = find_baseline_problem(folder)
    assert problem is None, problem


def test_every_folder_with_schemas_is_looked_at() -> None:
    assert {path.parent for path in ADAPTERS_FOLDER.glob(f"*/{SCHEMAS}")} <= set(ADAPTERS)
    assert ADAPTERS_FOLDER / "croupier_v1" in ADAPTERS


@pytest.fixture
def adapter(tmp_path: Path) -> Adapter:
    """An adapter's folder with schemas and a baseline of them, and one of the schemas."""
    folder = tmp_path / "studio_v1"
    shutil.copytree(ADAPTERS_FOLDER / "croupier_v1" / SCHEMAS, folder / SCHEMAS)
    assert main(["studio_v1"], tmp_path) == 0
    return folder, folder / SCHEMAS / "win.json"


def edit(path: Path, **changed: Any) -> None:
    """Write a schema's first definition anew with other keywords."""
    document = json.loads(path.read_text())
    definition = next(iter(document["$defs"].values()))
    definition.update(changed)
    path.write_text(json.dumps(document))


def properties_of(path: Path) -> dict[str, Any]:
    properties: dict[str, Any] = next(iter(json.loads(path.read_text())["$defs"].values()))["properties"]
    return properties


def test_an_adapter_without_a_baseline_is_told_the_command(adapter: Adapter) -> None:
    folder, _ = adapter
    assert find_baseline_problem(folder) is None
    (folder / BASELINE).unlink()
    assert f"`{COMMAND} studio_v1`" in (find_baseline_problem(folder) or "")


@pytest.mark.parametrize(
    ("name", "schema", "severity"),
    [
        ("amount", None, "breaking"),
        ("amount", {"type": "integer"}, "breaking"),
        ("kind", {"default": "win", "type": "string", "enum": ["win", "jackpot", "promo", "gift"]}, "risky"),
    ],
)
def test_a_change_that_can_hurt_needs_a_new_version_or_a_decision(
    name: str,
    schema: dict[str, Any] | None,
    severity: str,
    adapter: Adapter,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, path = adapter
    edit(path, properties={key: value for key, value in properties_of(path).items() if key != name})
    if schema is not None:
        edit(path, properties=properties_of(path) | {name: schema})
    kept = (folder / BASELINE).read_bytes()
    problem = find_baseline_problem(folder) or ""
    assert f"{severity}: win.json {name}" in problem
    assert f"{COMMAND} studio_v1 --decision" in problem
    assert main(["studio_v1"], folder.parent) == 1
    assert main(["studio_v1", "--decision", " "], folder.parent) == 1
    assert f"win.json {name}" in capsys.readouterr().err
    assert (folder / BASELINE).read_bytes() == kept, "nothing is kept without a decision"


def test_a_decision_stays_in_the_baseline(adapter: Adapter) -> None:
    folder, path = adapter
    for number in (1, 2):
        edit(path, required=[f"member-{number}"])
        assert main(["studio_v1", "--decision", f"agreed, call {number}"], folder.parent) == 0
        assert find_baseline_problem(folder) is None
    accepted = json.loads((folder / BASELINE).read_text())["accepted"]
    assert [item["decision"] for item in accepted] == ["agreed, call 1", "agreed, call 2"]
    assert "breaking: win.json member-2: required now" in accepted[1]["changes"]


def test_a_safe_change_is_kept_without_a_decision(adapter: Adapter) -> None:
    folder, path = adapter
    edit(path, properties=properties_of(path) | {"table": {"type": "string"}})
    assert "behind by safe changes" in (find_baseline_problem(folder) or "")
    assert main(["studio_v1"], folder.parent) == 0
    assert find_baseline_problem(folder) is None
    assert json.loads((folder / BASELINE).read_text())["accepted"] == []
    edit(path, properties={key: value for key, value in properties_of(path).items() if key != "table"})
    assert "breaking: win.json table" in (find_baseline_problem(folder) or ""), "what was added counts"


def test_a_schema_or_a_whole_folder_that_is_gone_is_told(adapter: Adapter) -> None:
    folder, path = adapter
    path.unlink()
    assert "breaking: win.json $: the schema is gone" in (find_baseline_problem(folder) or "")
    shutil.rmtree(folder / SCHEMAS)
    assert folder in adapters_with_schemas(folder.parent)
    assert "breaking: bet.json $: the schema is gone" in (find_baseline_problem(folder) or "")


def test_the_baseline_is_the_same_file_whenever_it_is_written(adapter: Adapter) -> None:
    folder, _ = adapter
    kept = (folder / BASELINE).read_bytes()
    assert main(["studio_v1"], folder.parent) == 0
    assert (folder / BASELINE).read_bytes() == kept


def test_an_adapter_that_nobody_knows_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["nobody_v1"], tmp_path)
    assert ended.value.code == 2
