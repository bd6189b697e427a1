"""`croupier ledger`: is the ledger whole, what do accounts hold, what was posted."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from croupier.cli.arguments import parse_session_id
from croupier.cli.output import EXIT_INVARIANT, Output, output_of
from croupier.cli.present import shown_money, shown_time
from croupier.cli.reading import read_database
from croupier.cli.reads import JournalFilter, load_balances, load_journal
from croupier.cli.settings import settings_of
from croupier.money import AssetRegistry
from croupier.settlement.audit import LedgerReport, LedgerTotals, check_ledger, load_ledger_totals
from croupier.settlement.audit.ledger import CHECKS

commands = typer.Typer(no_args_is_help=True, help="Is the ledger whole, what do accounts hold.")


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="ledger")


@commands.command()
def check(ctx: typer.Context) -> None:
    """Prove the whole ledger in one snapshot: I1, I2, the shape of every history, a due time for every session.

    Exit code 3 when anything is broken.

    Examples:

      croupier ledger check

      croupier ledger check --json | jq '.checks[] | select(.status == "broken")'
    """
    output = output_of(ctx)
    with output.progress("checking", len(CHECKS)) as advance:
        done = iter(range(len(CHECKS)))
        report = read_database(
            ctx, lambda connection: check_ledger(connection, on_check=lambda name: advance(next(done), name))
        )
    if output.is_json:
        output.document("ledger.check", render_report(report))
    else:
        _tell_report(output, report, settings_of(ctx).read_config().asset_registry())
    if not report.is_held:
        raise typer.Exit(EXIT_INVARIANT)


def render_report(report: LedgerReport) -> dict[str, Any]:
    """A report as its JSON document, without the schema."""
    return {
        "checked_at": shown_time(report.checked_at),
        "held": report.is_held,
        "invariants": report.invariants(),
        "checks": report.checks,
        "totals": report.totals,
    }


def _tell_report(output: Output, report: LedgerReport, registry: AssetRegistry) -> None:
    for found in report.checks:
        is_held = found.status == "held"
        verdict = "held" if is_held else f"BROKEN {found.count} times"
        output.say(f"{found.invariant}  {verdict:<6}  {found.claim}", "" if is_held else "bold red")
        for offender in found.offenders:
            output.say(f"      {offender}")
        if found.count > len(found.offenders):
            output.say(f"      … and {found.count - len(found.offenders)} more")
    output.say("")
    _tell_totals(output, report.totals, registry)


def _tell_totals(output: Output, totals: LedgerTotals, registry: AssetRegistry) -> None:
    rows = [
        (asset, kind, shown_money(registry, total, asset))
        for asset, kinds in totals.assets.items()
        for kind, total in kinds.items()
    ]
    if rows:
        output.table(("asset", "account", "total"), rows)
    output.say(f"{totals.entries} entries, {totals.postings} postings, digest {totals.digest}")


@commands.command()
def balance(
    ctx: typer.Context,
    player: Annotated[str | None, typer.Argument(metavar="[PLAYER]", help="A player's id.")] = None,
    asset: Annotated[str | None, typer.Option(help="Only this asset.")] = None,
) -> None:
    """What a player's accounts hold; without a player, what every kind of account holds in total.

    Examples:

      croupier ledger balance

      croupier ledger balance player-1 --asset EUR
    """
    output = output_of(ctx)
    if player is None:
        _total(ctx, output, asset)
        return
    rows = read_database(ctx, lambda connection: load_balances(connection, player, asset))
    if output.is_json:
        output.document("ledger.balance", {"player_id": player, "accounts": rows})
        return
    registry = settings_of(ctx).read_config().asset_registry()
    shown = [(row["kind"], row["fund"], shown_money(registry, row["amount"], row["asset"])) for row in rows]
    output.table(("account", "fund", "balance"), shown)


def _total(ctx: typer.Context, output: Output, asset: str | None) -> None:
    totals = read_database(ctx, load_ledger_totals)
    kept = {code: kinds for code, kinds in totals.assets.items() if asset in (None, code)}
    if output.is_json:
        output.document("ledger.totals", {"assets": kept, "digest": totals.digest})
        return
    registry = settings_of(ctx).read_config().asset_registry()
    rows = [
        (code, kind, shown_money(registry, total, code))
        for code, kinds in kept.items()
        for kind, total in kinds.items()
    ]
    output.table(("asset", "account", "total"), rows)


@commands.command()
def journal(
    ctx: typer.Context,
    player: Annotated[str | None, typer.Option(help="Only this player's entries.")] = None,
    session: Annotated[str | None, typer.Option(help="Only this session's entries (ses_…).")] = None,
    reference: Annotated[str | None, typer.Option(help="Only entries under this reference.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most entries to show.")] = 20,
) -> None:
    """Entries of the journal with their postings, newest first.

    Examples:

      croupier ledger journal --player player-1

      croupier ledger journal --reference bet-4711 --json
    """
    wanted = JournalFilter(
        player_id=player,
        session_id=None if session is None else parse_session_id(session),
        reference=reference,
        limit=limit,
    )
    entries = read_database(ctx, lambda connection: load_journal(connection, wanted))
    output = output_of(ctx)
    if output.is_json:
        output.document("ledger.journal", {"entries": entries})
        return
    registry = settings_of(ctx).read_config().asset_registry()
    for entry in entries:
        _tell_entry(output, entry, registry)


def _tell_entry(output: Output, entry: dict[str, Any], registry: AssetRegistry) -> None:
    head = (entry["recorded_at"], entry["id"], entry["kind"], f"{entry['provider']} {entry['reference']}")
    output.say("  ".join(head), "bold")
    for posting in entry["postings"]:
        owner = f" {posting['owner']}" if posting["owner"] else ""
        amount = shown_money(registry, posting["amount"], posting["asset"])
        output.say(f"    {amount:>20}  {posting['kind']}{owner}")
