"""The coverage matrix: which scenarios prove which capability of which adapter, and what is left out and why.

`python -m croupier.conformance.matrix` writes `docs/reference/coverage-matrix.md` below the working directory.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from croupier.conformance.scenario import Scenario
from croupier.conformance.scenarios import SCENARIOS
from croupier.conformance.speaker import Speaker
from croupier.conformance.speakers import find_speakers
from croupier.providers.manifest import Capability, Manifest
from croupier.providers.registry import find_adapters

PAGE: Final = "docs/reference/coverage-matrix.md"

_HEAD: Final = """\
# Coverage matrix: what is proven for which adapter

Generated from the manifests and the scenarios by `python -m croupier.conformance.matrix`; do not edit.

Every scenario is written once, in canonical steps, and played against a real gateway over HTTP in the words of each
protocol: `croupier provider conformance NAME`. An adapter leaves a scenario out only through its manifest, or because
its protocol has no words for it; each reason stands below.
"""


def render_matrix(
    manifests: Sequence[Manifest],
    speakers: Mapping[str, type[Speaker]],
    scenarios: Sequence[Scenario] = SCENARIOS,
) -> str:
    """The whole page; adapters are columns, in the order given."""
    blocks = [
        [_HEAD],
        _capabilities(manifests, scenarios),
        _scenarios(manifests, speakers, scenarios),
        _left_out(manifests, speakers, scenarios),
    ]
    return "\n".join(line.rstrip("\n") for block in blocks for line in block) + "\n"


def _capabilities(manifests: Sequence[Manifest], scenarios: Sequence[Scenario]) -> Iterator[str]:
    yield from ("", "## Capabilities", "", "A number says how many scenarios try a declared capability.", "")
    yield from _header(["capability", *(f"`{manifest.id}`" for manifest in manifests)])
    for capability in Capability:
        count = sum(capability in scenario.proves for scenario in scenarios)
        cells = [str(count) if capability in manifest.capabilities else "" for manifest in manifests]
        if any(cells):
            yield _row([f"`{capability.value}`", *cells])


def _scenarios(
    manifests: Sequence[Manifest], speakers: Mapping[str, type[Speaker]], scenarios: Sequence[Scenario]
) -> Iterator[str]:
    yield from ("", "## Scenarios", "", "● played, – left out.", "")
    yield from _header(["scenario", "claim", *(f"`{manifest.id}`" for manifest in manifests)])
    for scenario in scenarios:
        cells = ["–" if _reason(scenario, one, speakers) else "●" for one in manifests]
        yield _row([f"`{scenario.name}`", scenario.claim, *cells])


def _left_out(
    manifests: Sequence[Manifest], speakers: Mapping[str, type[Speaker]], scenarios: Sequence[Scenario]
) -> Iterator[str]:
    yield from ("", "## What is left out, and why")
    for manifest in manifests:
        yield from ("", f"### `{manifest.id}`", "")
        yield from _header(["why", "scenarios"])
        reasons: dict[str, list[str]] = {}
        for scenario in scenarios:
            reason = _reason(scenario, manifest, speakers)
            if reason:
                reasons.setdefault(reason, []).append(f"`{scenario.name}`")
        for reason, names in reasons.items():
            yield _row([reason, ", ".join(names)])


def _reason(scenario: Scenario, manifest: Manifest, speakers: Mapping[str, type[Speaker]]) -> str:
    return scenario.reason_to_leave_out(manifest, speakers[manifest.id].traits)


def _header(cells: Iterable[str]) -> Iterator[str]:
    names = list(cells)
    yield _row(names)
    yield "|" + "---|" * len(names)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def render_page() -> str:
    """The page for every adapter there is that the kit speaks."""
    speakers = find_speakers()
    manifests = [adapter.manifest for name, adapter in sorted(find_adapters().items()) if name in speakers]
    return render_matrix(manifests, speakers)


def main() -> None:
    """Write the page below the working directory, which is the repository."""
    Path(PAGE).write_text(render_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
