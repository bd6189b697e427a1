"""Accounts that take over: what the configuration may say of them, and the limits of their guards (J1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from croupier.runtime.config import Config, ConfigProblems, Problem, load_config

OLD = (
    '[[providers]]\nid = "acme"\n[[games]]\nid = "dice"\nprovider = "acme"\nname = "Dice"\ngroup = "slots"\n'
)
NEW = '[[providers]]\nid = "acme_v2"\nreplaces = "acme"\nbase_url = "https://acme.example"\n'


def contract(provider: str, *, group: str = "*", asset: str = "*") -> str:
    scope = f'game_group = "{group}"\nasset = "{asset}"\n'
    return f'[[contracts]]\nprovider = "{provider}"\nfrom = 2026-01-01\nshare_bps = 1000\n{scope}'


def load(folder: Path, text: str) -> Config:
    path = folder / "croupier.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path, {})


def problems_of(folder: Path, text: str) -> list[Problem]:
    with pytest.raises(ConfigProblems) as caught:
        load(folder, text)
    return list(caught.value.problems)


def test_an_account_may_take_over_from_another(tmp_path: Path) -> None:
    text = OLD + NEW + contract("acme") + contract("acme", group="slots") + contract("acme_v2")
    assert load(tmp_path, text).successors() == {"acme": "acme_v2"}
    assert load(tmp_path, OLD).successors() == {}


def test_its_contracts_name_the_groups_of_the_games_it_takes_over(tmp_path: Path) -> None:
    assert load(tmp_path, OLD + NEW + contract("acme_v2", group="slots"))
    (problem,) = problems_of(tmp_path, OLD + NEW + contract("acme_v2", group="slot"))
    assert 'did you mean "slots"?' in problem.fix


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (NEW.replace('"acme"', '"acmee"'), "providers #2.replaces", "no provider is called"),
        (NEW.replace('"acme"', '"acme_v2"'), "providers #2.replaces", '"acme_v2" replaces itself'),
        (
            NEW + NEW.replace('"acme"', '"acme_v2"').replace('id = "acme_v2"', 'id = "acme_v3"'),
            "providers #3.replaces",
            '"acme_v3" replaces "acme_v2", which replaces another account',
        ),
        (
            NEW + NEW.replace("acme_v2", "acme_v3"),
            "providers #3.replaces",
            '"acme_v2" replaces "acme" already',
        ),
        (
            NEW.replace('base_url = "https://acme.example"\n', ""),
            "providers #2.replaces",
            '"acme_v2" has no base_url',
        ),
        (
            NEW + '[[games]]\nid = "new"\nprovider = "acme_v2"\nname = "New"\n',
            "games #2.provider",
            '"acme_v2" takes over from "acme"',
        ),
        (
            NEW + contract("acme", asset="EUR") + contract("acme_v2", asset="SEK"),
            "providers #2.replaces",
            'no contract of "acme_v2" covers game group * in EUR, as one of "acme" does',
        ),
    ],
)
def test_what_cannot_take_over_is_refused_with_what_would(
    tmp_path: Path, text: str, where: str, what: str
) -> None:
    found = problems_of(tmp_path, OLD + text)
    assert [one.where for one in found] == [where]
    assert what in found[0].what
    assert found[0].fix


@pytest.mark.parametrize(
    "covering", [{}, {"group": "slots"}, {"asset": "EUR"}, {"group": "slots", "asset": "EUR"}]
)
def test_a_contract_is_covered_by_one_as_wide_or_wider(tmp_path: Path, covering: dict[str, str]) -> None:
    assert load(
        tmp_path, OLD + NEW + contract("acme", group="slots", asset="EUR") + contract("acme_v2", **covering)
    )


@pytest.mark.parametrize(
    ("key", "lowest", "highest"),
    [
        ("min_launches", 1, 10_000),
        ("error_percent", 0, 100),
        ("late_settlements", 0, 999),
        ("mismatches", 0, 100_000),
    ],
)
def test_the_limits_of_the_guards_have_limits(tmp_path: Path, key: str, lowest: int, highest: int) -> None:
    for value in (lowest, highest):
        assert getattr(load(tmp_path, f"[rollout]\n{key} = {value}\n").rollout, key) == value
    for value in (lowest - 1, highest + 1):
        (problem,) = problems_of(tmp_path, f"[rollout]\n{key} = {value}\n")
        assert problem.where == f"rollout.{key}"
