"""docs/how-to/connect-a-provider.md against the code: its configuration is read, its keys are of the right kind."""

from __future__ import annotations

import re
from pathlib import Path

from croupier.providers.manifest import KeyKind
from croupier.providers.registry import find_adapters
from croupier.runtime.config import Config, load_config

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
BLOCK = re.compile(r"```toml\n(.*?)```", re.DOTALL)
NATIVE = "croupier_v1"


def load_blocks(folder: Path, page: str) -> Config:
    """Every block of a page, in one file."""
    path = folder / "croupier.toml"
    path.write_text("\n".join(BLOCK.findall((HOW_TO / page).read_text(encoding="utf-8"))), encoding="utf-8")
    return load_config(path, {})


def test_every_block_is_accepted_and_every_foreign_protocol_has_one(tmp_path: Path) -> None:
    config = load_blocks(tmp_path, "connect-a-provider.md")
    assert sorted(one.adapter for one in config.providers) == sorted(set(find_adapters()) - {NATIVE})


def test_every_account_verifies_and_signs_with_the_kind_of_key_its_protocol_has(tmp_path: Path) -> None:
    for account in load_blocks(tmp_path, "connect-a-provider.md").providers:
        manifest = find_adapters()[account.adapter].manifest
        assert any(key.is_inbound for key in account.keys)
        assert any(key.is_outbound for key in account.keys)
        for key in account.keys:
            kinds = {manifest.inbound_key} if key.is_inbound else set()
            kinds |= {manifest.outbound_key} if key.is_outbound else set()
            is_pem = key.secret.endswith(".pem")
            assert is_pem == (kinds <= {KeyKind.RSA_PUBLIC, KeyKind.RSA_PRIVATE})
            assert key.secret.endswith(".pub.pem") == (kinds == {KeyKind.RSA_PUBLIC})
