"""Reports: what a person reads, and the document `croupier.conformance/1`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from croupier.conformance.scenario import FAILED, OPTED_OUT, PASSED, Result
from croupier.providers.manifest import Manifest

SCHEMA: Final = {"name": "croupier.conformance", "version": 1}
HEADERS: Final = ("scenario", "result", "why")
_MARKS: Final = {PASSED: "passed", FAILED: "FAILED", OPTED_OUT: "opted out"}


class Report(Struct, frozen=True, kw_only=True):
    """One account's run against one deployment."""

    account: str
    manifest: Manifest
    url: str
    at: str
    results: Sequence[Result]

    @property
    def has_passed(self) -> bool:
        """Whether no scenario failed."""
        return all(result.status != FAILED for result in self.results)


def count_results(results: Iterable[Result]) -> dict[str, int]:
    """How many passed, failed and were left out."""
    counted = Counter(result.status for result in results)
    return {status: counted[status] for status in (PASSED, FAILED, OPTED_OUT)}


def render_rows(report: Report) -> list[tuple[str, str, str]]:
    """The table: a row for each scenario; a failure's exchange is shown apart."""
    return [
        (result.scenario, _MARKS[result.status], result.why or "; ".join(result.notes))
        for result in report.results
    ]


def render_document(report: Report) -> dict[str, Any]:
    """The body of `croupier.conformance/1`, without its schema."""
    manifest = report.manifest
    return {
        "account": report.account,
        "adapter": manifest.id,
        "url": report.url,
        "at": report.at,
        "passed": report.has_passed,
        "counts": count_results(report.results),
        "capabilities": sorted(capability.value for capability in manifest.capabilities),
        "signing": manifest.signing,
        "unsigned_parts": list(manifest.unsigned_parts),
        "results": [msgspec.to_builtins(result) for result in report.results],
    }


def encode_report(report: Report) -> bytes:
    """The whole document as JSON text."""
    document = {"schema": SCHEMA, **render_document(report)}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"
