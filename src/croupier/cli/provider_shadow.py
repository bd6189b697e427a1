"""`croupier provider shadow`: what a candidate that reads along with an account makes of its calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from msgspec import structs

from croupier.cli.output import CommandFailed, Output, output_of
from croupier.cli.present import shown_time
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.providers.shadow.candidates import candidate_names, render_digest
from croupier.providers.shadow.store import Comparison
from croupier.providers.shadow.tally import Group, Kind
from croupier.providers.shadow.verdict import ShadowReport, shadow_report
from croupier.runtime.config import Config, Shadow
from croupier.runtime.config.problems import render_nearest


def shadow(
    ctx: typer.Context,
    account: Annotated[str, typer.Argument(metavar="NAME", help="The provider account's id.")],
    adapter: Annotated[
        str | None, typer.Option(help="Another candidate than the configured one: what was found earlier.")
    ] = None,
) -> None:
    """What a candidate would have done with an account's calls, compared with what was done.

    Differences are grouped: one line for each kind, with its count and the first examples. A change of the candidate's
    or the live adapter's code begins anew. Green means: enough calls were compared, and every one came out the same.

    Examples:

      croupier provider shadow softswiss

      croupier provider shadow softswiss --json
    """
    config = settings_of(ctx).read_config()
    chosen = choose_shadow(config, account, adapter)
    live = next(one.adapter for one in config.providers if one.id == account)
    comparison = Comparison(account, chosen.adapter, render_digest(chosen.adapter, live))
    report = read_database(
        ctx, lambda connection: shadow_report(connection, comparison, at_least=chosen.at_least)
    )
    output = output_of(ctx)
    if output.is_json:
        output.document("provider.shadow", _document(report, chosen, live))
        return
    _present(output, report, chosen, live)


def choose_shadow(config: Config, account: str, adapter: str | None) -> Shadow:
    """The account's shadow as configured, or with another candidate. Raises CommandFailed with what to do."""
    known = [one.id for one in config.providers]
    if account not in known:
        advice = render_nearest(account, known, otherwise=f"configured: {', '.join(known) or 'none'}")
        raise CommandFailed(f"no provider account is called {account!r}; {advice}")
    if adapter is not None and adapter not in candidate_names():
        names = candidate_names()
        advice = render_nearest(adapter, names, otherwise=f"known: {', '.join(names)}")
        raise CommandFailed(f"no candidate is called {adapter!r}; {advice}")
    configured = next((one for one in config.shadows if one.provider == account), None)
    if configured is None and adapter is None:
        raise CommandFailed(
            f"nothing reads along with {account}; add [[shadows]] with provider and adapter to the configuration"
        )
    if configured is None:
        return Shadow(provider=account, adapter=str(adapter))
    return configured if adapter is None else structs.replace(configured, adapter=adapter)


def _present(output: Output, report: ShadowReport, chosen: Shadow, live: str) -> None:
    totals, verdict = report.totals, report.verdict
    output.say(f"{chosen.provider}: {chosen.adapter} reads along with {live}", "bold")
    since, until = _span(report)
    output.facts(
        (
            ("  code", report.comparison.digest),
            (
                "  compared",
                f"{totals.compared} calls, {shown_time(since)} to {shown_time(until)}" if since else "0",
            ),
            ("  same", str(totals.same)),
            ("  different", str(totals.different)),
            ("  refused", str(totals.refused)),
            ("  failed", str(totals.failed)),
            ("  hung", str(totals.hung)),
            ("  skipped", str(totals.skipped or "")),
            ("  dropped", str(totals.dropped)),
        )
    )
    if report.differences:
        output.say("")
        output.table(
            ("operation", "where", "live", "candidate", "calls", "first", "last"),
            [_line(kind, group) for kind, group in report.differences.items()],
        )
        output.say("")
        output.table(
            ("operation", "where", "live", "candidate", "correlation id", "request"),
            list(_examples(report)),
        )
        output.say("")
    if verdict.is_green:
        output.say("verdict: green", "bold")
    for reason in verdict.reasons:
        output.say(f"verdict: not green: {reason}", "bold")


def _span(report: ShadowReport) -> tuple[Any, Any]:
    """When the first and the last results were written; two None before there are any."""
    if not report.days:
        return None, None
    return min(day.first_at for day in report.days), max(day.last_at for day in report.days)


def _line(kind: Kind, group: Group) -> list[str]:
    return [
        kind.operation,
        kind.path,
        kind.live,
        kind.candidate,
        str(group.count),
        shown_time(group.first_at),
        shown_time(group.last_at),
    ]


def _examples(report: ShadowReport) -> Iterator[list[str]]:
    for kind, group in report.differences.items():
        for one in group.examples[:1]:
            yield [kind.operation, kind.path, one.live, one.candidate, one.correlation_id, one.request]


def _document(report: ShadowReport, chosen: Shadow, live: str) -> dict[str, Any]:
    since, until = _span(report)
    return {
        "account": chosen.provider,
        "adapter": live,
        "candidate": chosen.adapter,
        "digest": report.comparison.digest,
        "since": since,
        "until": until,
        "compared": report.totals.compared,
        "counts": structs.asdict(report.totals),
        "days": list(report.days),
        "differences": [
            {
                "operation": kind.operation,
                "path": kind.path,
                "live": kind.live,
                "candidate": kind.candidate,
                "count": group.count,
                "first_at": group.first_at,
                "last_at": group.last_at,
                "examples": list(group.examples),
            }
            for kind, group in report.differences.items()
        ],
        "verdict": {
            "is_green": report.verdict.is_green,
            "reasons": list(report.verdict.reasons),
            "at_least": chosen.at_least,
        },
    }
