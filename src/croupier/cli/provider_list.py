"""`croupier provider list`: every protocol the gateway speaks, and what its manifest promises."""

from __future__ import annotations

from typing import Any

import typer

from croupier.cli.output import output_of
from croupier.conformance.speakers import find_speakers
from croupier.providers.manifest import Manifest
from croupier.providers.registry import find_adapters


def list_adapters(ctx: typer.Context) -> None:
    """Every adapter: its protocol, capabilities, signature, what that leaves uncovered, and its settings.

    Examples:

      croupier provider list

      croupier provider list --json
    """
    output = output_of(ctx)
    manifests = [adapter.manifest for _, adapter in sorted(find_adapters().items())]
    if output.is_json:
        output.document("provider.list", {"adapters": [render_manifest(one) for one in manifests]})
        return
    for number, manifest in enumerate(manifests):
        output.say(("\n" if number else "") + manifest.id, "bold")
        output.facts(
            (
                ("  protocol", manifest.title),
                ("  capabilities", ", ".join(sorted(one.value for one in manifest.capabilities))),
                ("  signed by", f"{manifest.signing}, key: {manifest.inbound_key.value}"),
                ("  not signed", ", ".join(manifest.unsigned_parts)),
                ("  settings", ", ".join(one.name for one in manifest.settings)),
            )
        )


def render_manifest(manifest: Manifest) -> dict[str, Any]:
    """What a manifest says, ready for JSON."""
    return {
        "adapter": manifest.id,
        "title": manifest.title,
        "capabilities": sorted(one.value for one in manifest.capabilities),
        "signing": manifest.signing,
        "inbound_key": manifest.inbound_key.value,
        "outbound_key": manifest.outbound_key.value,
        "unsigned_parts": list(manifest.unsigned_parts),
        "freshness": manifest.freshness.value,
        "has_conformance": manifest.id in find_speakers(),
        "settings": [
            {"name": one.name, "description": one.description, "default": one.default}
            for one in manifest.settings
        ],
    }
