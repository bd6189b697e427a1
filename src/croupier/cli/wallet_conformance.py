"""`croupier wallet conformance`: every promise of the wallet contract tried against an operator's wallet."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from croupier.cli.api import anchored
from croupier.cli.output import EXIT_FAILURE, CommandFailed, Output, output_of
from croupier.cli.settings import settings_of
from croupier.conformance.wallet.books import HOLDING, Means
from croupier.conformance.wallet.report import (
    HEADERS,
    Report,
    render_counts,
    render_document,
    render_failure,
    render_markdown,
    render_rows,
)
from croupier.conformance.wallet.rules import PAGE
from croupier.conformance.wallet.run import Advance, Run, Target, run_scenarios
from croupier.conformance.wallet.scenario import FAILED, Result, Scenario, choose
from croupier.conformance.wallet.scenarios import SCENARIOS
from croupier.conformance.wallet.scenarios.deadlines import percentile_s
from croupier.conformance.wallet.schema import Schemas
from croupier.conformance.wallet.verdicts import NotReady
from croupier.operator.wallet.contract import read_schemas
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import SigningKey

DEFAULT_KEY_ID: Final = "wallet"
LISTED: Final = ("scenario", "what it tries")

UrlOption = Annotated[str | None, typer.Option("--url", help="Base URL of the wallet service.")]
SecretOption = Annotated[
    str | None,
    typer.Option("--secret", metavar="REF", help="Where the shared secret is: env:NAME or file:PATH."),
]
KeyIdOption = Annotated[str, typer.Option("--key-id", metavar="ID", help="Key id that the wallet knows.")]
AssetOption = Annotated[str, typer.Option(help="An asset that the wallet keeps.")]
PlayerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--player",
        metavar="ID",
        help=f"A player with {HOLDING} minor units or more, funded by hand; repeatable, 8 for every scenario.",
    ),
]
PrefixOption = Annotated[
    str, typer.Option("--player-prefix", metavar="TEXT", help="What names of new players begin with.")
]
FundOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="Where a deposit can be posted: {player_id, asset, amount, reference} as JSON."
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="GROUP[/NAME]", help="Play these scenarios only; repeatable."),
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="Also write a report there, as Markdown.")
]


def conformance(
    ctx: typer.Context,
    url: UrlOption = None,
    secret: SecretOption = None,
    key_id: KeyIdOption = DEFAULT_KEY_ID,
    asset: AssetOption = "EUR",
    player: PlayerOption = None,
    player_prefix: PrefixOption = "conformance-",
    fund_url: FundOption = None,
    batch: Annotated[bool, typer.Option("--batch/--no-batch", help="Try /batch too.")] = False,
    statement: Annotated[bool, typer.Option("--statement/--no-statement", help="Try /statement.")] = True,
    only: OnlyOption = None,
    is_list: Annotated[bool, typer.Option("--list", help="List the scenarios and play none.")] = False,
    report: ReportOption = None,
) -> None:
    """Try every promise of the wallet contract against a wallet service, and report what held.

    Players get their money from --fund-url, or by a credit where the wallet opens accounts by itself; or they are named
    with --player. The kit assumes that nobody else moves their money meanwhile, and gives back what it moved. Never
    point it at a wallet that keeps real books. Exit code 1 when a scenario fails; a remark is no failure.

    Examples:

      croupier wallet conformance --url https://wallet.example --secret file:wallet.key --player kit-1 --player kit-2

      croupier wallet conformance --url http://127.0.0.1:8703 --secret env:WALLET_SECRET --batch --report wallet.md

      croupier wallet conformance --list
    """
    output = output_of(ctx)
    try:
        scenarios = choose(SCENARIOS, only or ())
    except KeyError as error:
        raise typer.BadParameter(f"{error.args[0]!r} is no group and no scenario; see --list") from None
    if is_list:
        _list(output, scenarios)
        return
    means = Means(
        asset=asset, players=tuple(dict.fromkeys(player or ())), prefix=player_prefix, fund_url=fund_url
    )
    target = Target(
        url=_read_url(url),
        key=_read_secret(ctx, key_id, secret),
        means=means,
        has_batch=batch,
        has_statement=statement,
    )
    done = _play(output, target, scenarios)
    if report is not None:
        _write(report, done)
    _show(output, done)
    if not done.has_passed:
        raise typer.Exit(EXIT_FAILURE)


def _read_url(url: str | None) -> str:
    if url is None:
        raise typer.BadParameter("name the wallet with --url")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise typer.BadParameter("a base URL is http(s)://HOST[:PORT][/PATH]", param_hint="--url")
    return url.rstrip("/")


def _read_secret(ctx: typer.Context, key_id: str, reference: str | None) -> SigningKey:
    if reference is None:
        raise typer.BadParameter("name the secret with --secret env:NAME or file:PATH")
    try:
        material = resolve_secret(anchored(reference, settings_of(ctx).effective_config_path), env=os.environ)
        return SigningKey(key_id, material)
    except SecretUnavailable as error:
        raise typer.BadParameter(f"{error.what}; {error.fix}", param_hint="--secret") from None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _play(output: Output, target: Target, scenarios: list[Scenario]) -> Report:
    schemas = Schemas(read_schemas())
    try:
        with output.progress("wallet:", len(scenarios)) as bar:
            run = asyncio.run(run_scenarios(target, schemas, scenarios, advance=_counting(bar)))
    except NotReady as error:
        raise CommandFailed(f"{target.url}: {error}") from None
    return _report(target, run)


def _report(target: Target, run: Run) -> Report:
    return Report(
        url=target.url,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        asset=target.means.asset,
        results=run.results,
        left_behind=run.left_behind,
        calls=len(run.times_s),
        p99_ms=int(percentile_s(run.times_s, 99) * 1000),
    )


def _counting(bar: Callable[[int, str], None]) -> Advance:
    played = 0

    def advance(result: Result) -> None:
        nonlocal played
        played += 1
        bar(played, result.scenario.id)

    return advance


def _write(file: Path, report: Report) -> None:
    try:
        file.write_text(render_markdown(report), encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"{file} cannot be written: {error.strerror}") from error


def _list(output: Output, scenarios: list[Scenario]) -> None:
    if output.is_json:
        listed = [
            {
                "scenario": one.id,
                "title": one.title,
                "why": one.why,
                "fix": one.fix,
                "contract": {"anchor": f"{PAGE}#{one.rule.anchor}", "text": one.rule.text},
            }
            for one in scenarios
        ]
        output.document("wallet.scenarios", {"scenarios": listed})
        return
    output.table(LISTED, [(one.id, one.title) for one in scenarios])


def _show(output: Output, report: Report) -> None:
    if output.is_json:
        output.document("wallet.conformance", render_document(report))
        return
    output.table(HEADERS, render_rows(report))
    for result in report.results:
        if result.status == FAILED:
            output.say("")
            output.say(render_failure(result))
    for line in report.left_behind:
        output.say(f"not put back: {line}")
    output.say("\n" + render_counts(report))
