"""What a manifest says must be what the protocol's text says: every other expectation is computed from it."""

from __future__ import annotations

from croupier.conformance.scenario import scenario
from croupier.conformance.stage import Stage


@scenario(claim="The manifest says of the protocol what the protocol's text says.")
async def manifest_agrees_with_the_text(stage: Stage) -> None:
    """The speaker's reading of the text against the manifest, one by one."""
    manifest = stage.target.manifest
    for name, said in stage.speaker.says.items():
        promised = getattr(manifest, name)
        stage.require(promised == said, f"the manifest says {name} {promised!r}, the text {said!r}")
