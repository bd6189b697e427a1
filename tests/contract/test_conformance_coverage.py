"""No declared capability without a scenario, no opt-out without a reason, no adapter without a speaker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs

from croupier.conformance.expectations import find_gaps
from croupier.conformance.matrix import PAGE, render_matrix, render_page
from croupier.conformance.scenario import Scenario
from croupier.conformance.scenarios import SCENARIOS
from croupier.conformance.speakers import find_speakers
from croupier.providers.manifest import Capability, Manifest, OptOut
from croupier.providers.registry import find_adapters
from croupier_signing import COVERAGES

ROOT = Path(__file__).parents[2]
MANIFESTS = [adapter.manifest for adapter in find_adapters().values()]
BY_ID = pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.id)


def unproven(manifest: Manifest, scenarios: Sequence[Scenario] = SCENARIOS) -> set[Capability]:
    """Declared capabilities that no scenario tries."""
    return set(manifest.capabilities) - {one for scenario in scenarios for one in scenario.proves}


def pointless(manifest: Manifest) -> set[str]:
    """Opt-outs from scenarios that do not exist, or without a reason."""
    names = {scenario.name for scenario in SCENARIOS}
    return {one.scenario for one in manifest.opt_outs if one.scenario not in names or not one.reason.strip()}


@BY_ID
def test_every_declared_capability_has_a_scenario(manifest: Manifest) -> None:
    assert not unproven(manifest)


@BY_ID
def test_every_opt_out_names_a_scenario_and_a_reason(manifest: Manifest) -> None:
    assert not pointless(manifest)


@BY_ID
def test_every_adapter_has_a_speaker(manifest: Manifest) -> None:
    assert manifest.id in find_speakers()


@pytest.mark.parametrize("name", sorted(find_speakers()))
def test_every_speaker_has_a_word_for_every_cause(name: str) -> None:
    assert find_speakers()[name].adapter == name
    assert not find_gaps(find_speakers()[name])


@BY_ID
def test_the_parts_whose_bits_are_flipped_are_those_that_the_profile_covers(manifest: Manifest) -> None:
    flipped = {part.name for part in find_speakers()[manifest.id].covered}
    covered = COVERAGES[manifest.signing].covered
    assert find_speakers()[manifest.id].signature.name in flipped
    for part in ("method", "path", "body"):
        assert (part in flipped) == (part in covered)


@BY_ID
def test_the_manifest_says_what_the_text_says(manifest: Manifest) -> None:
    says = find_speakers()[manifest.id].says
    assert {name: getattr(manifest, name) for name in says} == dict(says)


def test_scenarios_have_names_of_their_own_and_claims() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
    assert all(scenario.claim.endswith(".") for scenario in SCENARIOS)


def test_a_capability_without_scenario_is_found() -> None:
    manifest = structs.replace(MANIFESTS[0], capabilities=frozenset({Capability.BET}))
    assert unproven(manifest, ()) == {Capability.BET}


def test_an_opt_out_from_nothing_is_found() -> None:
    opt_outs = (OptOut("no_such_scenario", "why not"), OptOut("bet_is_taken_once", " "))
    manifest = structs.replace(MANIFESTS[0], opt_outs=opt_outs)
    assert pointless(manifest) == {"no_such_scenario", "bet_is_taken_once"}


def test_the_coverage_matrix_is_current() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == render_page(), (
        "run python -m croupier.conformance.matrix"
    )


def test_the_matrix_tells_why_something_is_left_out() -> None:
    manifest = structs.replace(MANIFESTS[0], opt_outs=(OptOut("bet_is_taken_once", "a reason of its own"),))
    page = render_matrix([manifest], find_speakers())
    assert "| a reason of its own | `bet_is_taken_once` |" in page
