"""Reports of a run against a wallet: rows, Markdown for the engineer, `croupier.wallet.conformance/1` for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from croupier.conformance.wallet.rules import PAGE
from croupier.conformance.wallet.scenario import FAILED, LEFT_OUT, PASSED, REMARK, Result

HEADERS: Final = ("scenario", "result", "why")
ASSUMPTIONS: Final = (
    "Nobody else moves money of the players that the kit uses while it runs; what others do elsewhere does not matter.",
    "These players have no credit line, no limits below the amounts that are tried, and are not blocked.",
    "The clocks of both machines differ by less than a second.",
    "Players are left with what they had: what a scenario moved is moved back by a debit or a credit of its own.",
)
_MARKS: Final = {PASSED: "passed", FAILED: "FAILED", REMARK: "remark", LEFT_OUT: "left out"}


class Report(Struct, frozen=True, kw_only=True):
    """One run against one wallet."""

    url: str
    at: str
    asset: str
    results: Sequence[Result]
    left_behind: Sequence[str]
    calls: int
    p99_ms: int

    @property
    def has_passed(self) -> bool:
        """Whether no scenario failed."""
        return all(result.status != FAILED for result in self.results)


def count_results(results: Sequence[Result]) -> dict[str, int]:
    """How many ended in which way."""
    counted = Counter(result.status for result in results)
    return {status: counted[status] for status in (PASSED, FAILED, REMARK, LEFT_OUT)}


def render_counts(report: Report) -> str:
    """The sum of it in a line."""
    counts = count_results(report.results)
    told = ", ".join(f"{counts[status]} {mark.lower()}" for status, mark in _MARKS.items())
    return f"{told}; {report.calls} calls, 99 of 100 within {report.p99_ms} ms"


def render_rows(report: Report) -> list[tuple[str, str, str]]:
    """The table: a row for each scenario."""
    return [(one.scenario.id, _MARKS[one.status], _reason(one)) for one in report.results]


def _reason(result: Result) -> str:
    if result.status == FAILED:
        return f"expected {result.expected}; came {result.came}"
    return "; ".join(result.notes)


def anchor_of(result: Result) -> str:
    """Where the contract demands it."""
    return f"{PAGE}#{result.scenario.rule.anchor}"


def render_failure(result: Result) -> str:
    """A failed scenario for a terminal: all that is needed to work on it."""
    one = result.scenario
    lines = [
        f"{one.id}: {one.title}",
        f"  expected  {result.expected}",
        f"  came      {result.came}",
        f"  contract  {anchor_of(result)}: {one.rule.text}",
        f"  matters   {one.why}",
        f"  do        {one.fix}",
    ]
    if result.left_out:
        lines += ["", f"    ({result.left_out} earlier calls of this scenario are not shown)"]
    for request, answer in result.exchanges:
        lines += ["", *_indented(request), "", *_indented(answer, mark="< ")]
    return "\n".join(lines)


def _indented(text: str, *, mark: str = "> ") -> list[str]:
    return [f"    {mark}{line}".rstrip() for line in text.splitlines()]


def render_markdown(report: Report) -> str:
    """The whole report, what failed first."""
    lines = [
        "# Wallet conformance",
        "",
        f"`{report.url}`, {report.at}, asset `{report.asset}`: **{'passed' if report.has_passed else 'failed'}**.",
        f"{render_counts(report)}.",
        "",
        "What the kit assumes:",
        "",
        *(f"- {one}" for one in ASSUMPTIONS),
        "",
    ]
    if report.left_behind:
        lines += ["What it could not put back:", "", *(f"- {one}" for one in report.left_behind), ""]
    for result in report.results:
        if result.status == FAILED:
            lines += _render_section(result)
    lines += ["## All scenarios", "", "| scenario | result | what it tries |", "|---|---|---|"]
    for result in report.results:
        notes = f" ({'; '.join(result.notes)})" if result.notes and result.status != FAILED else ""
        lines.append(
            f"| `{result.scenario.id}` | {_MARKS[result.status]}{_cell(notes)} | {_cell(result.scenario.title)} |"
        )
    return "\n".join(lines) + "\n"


def _render_section(result: Result) -> list[str]:
    one = result.scenario
    lines = [
        f"## `{one.id}`",
        "",
        f"{one.title}.",
        "",
        f"- **Expected:** {result.expected}",
        f"- **Came:** {result.came}",
        f"- **The contract** ({anchor_of(result)}): {one.rule.text}",
        f"- **Why it matters:** {one.why}",
        f"- **What to do:** {one.fix}",
        f"- **To try this alone:** `croupier wallet conformance --only {one.id} …`",
        "",
    ]
    if result.left_out:
        lines += [f"{result.left_out} earlier calls of this scenario are not shown.", ""]
    for request, answer in result.exchanges:
        lines += ["Sent:", "", *_fenced(request), "", "Came:", "", *_fenced(answer), ""]
    return lines


def _fenced(text: str) -> list[str]:
    """A block that nothing in the text can end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}http", text, fence]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def render_document(report: Report) -> dict[str, Any]:
    """The body of `croupier.wallet.conformance/1`, without its schema."""
    return {
        "url": report.url,
        "at": report.at,
        "asset": report.asset,
        "passed": report.has_passed,
        "counts": count_results(report.results),
        "calls": report.calls,
        "p99_ms": report.p99_ms,
        "assumptions": list(ASSUMPTIONS),
        "left_behind": list(report.left_behind),
        "results": [_render_result(result) for result in report.results],
    }


def _render_result(result: Result) -> dict[str, Any]:
    one = result.scenario
    return {
        "scenario": one.id,
        "title": one.title,
        "status": result.status,
        "expected": result.expected,
        "came": result.came,
        "notes": list(result.notes),
        "why": one.why,
        "fix": one.fix,
        "contract": {"anchor": anchor_of(result), "text": one.rule.text},
        "exchanges": [{"request": request, "answer": answer} for request, answer in result.exchanges],
    }
