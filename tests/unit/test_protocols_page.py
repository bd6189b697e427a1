"""docs/explanation/protocols.md and money-path.md against the manifests: no adapter, setting or rule is left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from croupier.moneypath.commands import Rules
from croupier.providers.manifest import Capability, Manifest
from croupier.providers.registry import find_adapters

PAGES = Path(__file__).parents[2] / "docs" / "explanation"
TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (PAGES / "protocols.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("|")
]
HEAD = TABLE[0]
MANIFESTS = [adapter.manifest for adapter in find_adapters().values()]
BY_ID = pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.id)


def cell(row: str, manifest: Manifest) -> str:
    """What the table says about an adapter in a row."""
    return next(cells for cells in TABLE if cells[0] == row)[HEAD.index(f"`{manifest.id}`")]


def test_the_table_has_a_column_for_every_adapter_and_no_other() -> None:
    assert sorted(HEAD[1:]) == sorted(f"`{manifest.id}`" for manifest in MANIFESTS)


@BY_ID
def test_every_setting_stands_there_with_its_default(manifest: Manifest) -> None:
    told = cell("settings (default)", manifest)
    assert [f"`{setting.name}`" in told for setting in manifest.settings] == [True] * len(manifest.settings)
    assert all(f"`{setting.default}`" in told for setting in manifest.settings if setting.default)
    assert manifest.settings or told == "none"


@BY_ID
def test_what_a_rule_allows_is_said_of_the_adapters_that_have_it(manifest: Manifest) -> None:
    assert cell("a rollback can be rolled back", manifest) == ("yes" if manifest.undoes_rollbacks else "no")
    assert cell("the game may change in a session", manifest) == ("yes" if manifest.game_may_change else "no")
    assert ("later bets are taken" in cell("a round ends by", manifest)) == manifest.bets_after_close


@BY_ID
def test_who_has_webhooks_is_said_and_is_so(manifest: Manifest) -> None:
    has_webhooks = Capability.WEBHOOKS in manifest.capabilities
    assert (cell("tells by webhook", manifest) == "no") != has_webhooks
    assert (find_adapters()[manifest.id].notices is not None) == has_webhooks


@BY_ID
def test_what_a_signature_leaves_open_has_a_line_of_its_own(manifest: Manifest) -> None:
    assert any(len(cells) == 4 and cells[0] == f"`{manifest.id}`" for cells in TABLE)


def test_every_rule_is_on_the_page_of_the_money_path() -> None:
    page = (PAGES / "money-path.md").read_text(encoding="utf-8")
    assert [field.name for field in structs.fields(Rules) if f"| `{field.name}` |" not in page] == []
