"""The sections of shadows: what is refused, with what would be right (J2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from croupier.runtime.config import Config, ConfigProblems, load_config

ACCOUNTS = """
[[providers]]
id = "beexar"
adapter = "softswiss_v2"

[[providers]]
id = "studio"
"""


def load(folder: Path, text: str) -> Config:
    path = folder / "croupier.toml"
    path.write_text(ACCOUNTS + text, encoding="utf-8")
    return load_config(path, {})


def shadow(provider: str = "beexar", adapter: str = "softswiss_v3", more: str = "") -> str:
    return f'[[shadows]]\nprovider = "{provider}"\nadapter = "{adapter}"\n{more}\n'


def test_a_shadow_needs_no_more_than_an_account_and_a_candidate(tmp_path: Path) -> None:
    (one,) = load(tmp_path, shadow()).shadows
    assert (one.sample_percent, one.deadline_s, one.memory_bytes, one.queue) == (100, 2, 256 << 20, 256)
    assert (one.max_bytes, one.at_least) == (65_536, 1000)
    assert len(load(tmp_path, shadow() + shadow("studio", "hub88_v1")).shadows) == 2


@pytest.mark.parametrize(
    ("text", "place", "what", "fix"),
    [
        (shadow("beexra"), "shadows #1.provider", "no provider is called", "beexar"),
        (shadow(adapter="softswiss_v4"), "shadows #1.adapter", "no candidate is called", "softswiss_v3"),
        (shadow(adapter="softswiss_v2"), "shadows #1.adapter", "speaks softswiss_v2 already", "take over"),
        (shadow() + shadow(), "shadows #2.provider", "is there already", "keep one"),
        (shadow(more="sample_percent = 0"), "shadows #1.sample_percent", "", ""),
        (shadow(more="sample_percent = 101"), "shadows #1.sample_percent", "", ""),
        (shadow(more='deadline = "soon"'), "shadows #1.deadline", "", ""),
        (shadow(more="memory_mb = 63"), "shadows #1.memory_mb", "", ""),
        (shadow(more="max_bytes = 131073"), "shadows #1.max_bytes", "", ""),
        (shadow(more="queue = 0"), "shadows #1.queue", "", ""),
        (shadow(more="sample = 1"), "shadows #1.sample", "", "sample_percent"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be_right(
    tmp_path: Path, text: str, place: str, what: str, fix: str
) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.where == place
    assert what in problem.what
    assert fix in problem.fix


def test_a_candidate_cannot_be_configured_for_an_account(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(tmp_path, '[[providers]]\nid = "new"\nadapter = "softswiss_v3"\n')
    (problem,) = caught.value.problems
    assert (problem.where, problem.what) == ("providers #3.adapter", 'no adapter is called "softswiss_v3"')
