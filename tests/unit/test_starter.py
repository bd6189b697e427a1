"""`croupier init`: what it writes can be loaded, and it never overwrites."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from croupier.runtime.config import ConfigProblems, ContractBook, load_config, resolve_keys
from croupier.runtime.config.starter import write_starter
from croupier_signing import api_key_matches


def test_the_starter_configuration_loads_and_its_keys_resolve(tmp_path: Path) -> None:
    report = write_starter(tmp_path / "new" / "deployment")
    config = load_config(report.config_path, {})
    keys = resolve_keys(config, {}).providers["sandbox"]
    assert [game.id for game in config.games] == ["dice", "mines", "crash"]
    assert config.asset_registry().get("ETH").exponent == 18
    assert config.providers[0].base_url == "http://127.0.0.1:8702"
    assert keys.inbound
    assert keys.outbound
    assert keys.inbound[0].secret != keys.outbound[0].secret


def test_contracts_cover_every_starter_game(tmp_path: Path) -> None:
    config = load_config(write_starter(tmp_path).config_path, {})
    book, now = ContractBook(config.contracts), datetime.now(UTC)
    for game in config.games:
        assert book.select(game.provider, game.group, "ETH", now) is not None


def test_the_token_files_open_the_keys_of_the_configuration(tmp_path: Path) -> None:
    report = write_starter(tmp_path)
    hashes = {key.role: key.token_hash for key in load_config(report.config_path, {}).api_keys}
    for role, path in {"operator": report.operator_token_path, "admin": report.admin_token_path}.items():
        assert api_key_matches(path.read_text().strip(), hashes[role] or "")


def test_no_secret_stands_in_the_configuration(tmp_path: Path) -> None:
    report = write_starter(tmp_path)
    text = report.config_path.read_text()
    assert not [path.name for path in report.key_paths if path.read_text().strip() in text]
    references = tomllib.loads(text)["providers"][0]["keys"]
    assert {key["secret"].partition(":")[0] for key in references} == {"file"}


def test_keys_are_private_and_ignored_by_version_control(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("out")
    report = write_starter(tmp_path)
    assert {path.stat().st_mode & 0o777 for path in report.key_paths} == {0o600}
    assert report.key_paths[0].parent.stat().st_mode & 0o777 == 0o700
    assert report.gitignore_path.read_text() == "out\n.croupier/\n"


def test_an_existing_configuration_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "croupier.toml").write_text("mine")
    with pytest.raises(ConfigProblems, match="exists already"):
        write_starter(tmp_path)
    assert (tmp_path / "croupier.toml").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["croupier.toml"]


def test_an_interrupted_run_is_repeated_with_the_keys_it_made(tmp_path: Path) -> None:
    first = write_starter(tmp_path)
    before = [path.read_text() for path in first.key_paths]
    first.config_path.unlink()
    second = write_starter(tmp_path)
    assert [path.read_text() for path in second.key_paths] == before
    assert second.gitignore_path.read_text() == ".croupier/\n"


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigProblems, match="cannot be written"):
        write_starter(tmp_path / "file" / "below")
