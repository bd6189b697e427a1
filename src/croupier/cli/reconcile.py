"""`croupier reconcile`: do the operator's wallet, the ledger and the providers agree, and which breaks are open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import asyncpg
import typer
import uvloop
from msgspec import Struct, structs

from croupier.cli import reconcile_resolve
from croupier.cli.arguments import parse_instant
from croupier.cli.output import EXIT_INVARIANT, CommandFailed, Output, output_of
from croupier.cli.present import shown_age, shown_id, shown_money, shown_time
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.errors import CroupierError
from croupier.ids import BREAK, SESSION
from croupier.money import AssetRegistry
from croupier.operator.wallet.sender import StatementUnreadable
from croupier.runtime.agreement_site import NoRemoteWallet, open_agreement_site
from croupier.runtime.agreement_work import MARGIN, compare_period, hours_of, open_breaks, render_sums
from croupier.runtime.config import Config
from croupier.runtime.statements import load_statements
from croupier.settlement.agreement import Agreement, Difference, Sums, Window
from croupier.telemetry.logs import set_up_logs

_SQL: Final = load_statements("croupier/cli/reconcile.sql")

commands = typer.Typer(no_args_is_help=True, help="Do the wallet, the ledger and the providers agree.")


class Order(Struct, frozen=True):
    """What is compared, how many differences are shown at most, and whether they are opened as breaks."""

    window: Window
    limit: int
    is_dry: bool


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    commands.command("resolve")(reconcile_resolve.resolve)
    app.add_typer(commands, name="reconcile")


@commands.command()
def wallet(
    ctx: typer.Context,
    starts: Annotated[str, typer.Option("--from", metavar="TIME", help="Compare from this moment on.")],
    ends: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="Until before this one; two minutes ago by default."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare, and open no breaks.")] = False,
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="Most differences to show.")] = 100,
) -> None:
    """Compare a period with the operator's wallet: their statement, our wallet calls, our ledger, what providers asked.

    Every difference is opened as a break, once, unless --dry-run. One whose break was resolved is opened again. Exit
    code 3 when there is a difference.

    Examples:

      croupier reconcile wallet --from 2026-03-01T00:00:00Z --to 2026-03-02T00:00:00Z

      croupier reconcile wallet --from 2026-03-01T12:00:00Z --dry-run --json | jq .differences
    """
    output = output_of(ctx)
    order = Order(_read_window(starts, ends), limit, dry_run)
    config = settings_of(ctx).read_config()
    set_up_logs(log_format=config.telemetry.log_format, level="warning")
    found, reopened = _compare(config, order, output)
    if output.is_json:
        output.document("reconcile.wallet", _render(found, order, config) | {"breaks_reopened": reopened})
    else:
        _tell(output, found, order, config)
        if reopened:
            output.say(f"{reopened} of them had been resolved, and are open again", "bold red")
    if found.found:
        raise typer.Exit(EXIT_INVARIANT)


def _read_window(starts: str, ends: str | None) -> Window:
    latest = datetime.now(UTC) - MARGIN
    window = Window(parse_instant(starts), latest if ends is None else parse_instant(ends))
    if window.ends_at > latest:
        raise typer.BadParameter(
            f"--to is later than {shown_time(latest)}: a period is compared when it has been over for "
            f"{MARGIN.total_seconds():.0f} s"
        )
    if window.starts_at >= window.ends_at:
        raise typer.BadParameter("--from is not before --to")
    return window


def _compare(config: Config, order: Order, output: Output) -> tuple[Agreement, int]:
    """Compare hour by hour; the differences that are kept are those to be shown. Also how many breaks were reopened."""

    async def run() -> tuple[Agreement, int]:
        total, hours, reopened = Agreement(), hours_of(order.window), 0
        async with open_agreement_site(config) as site:
            with output.progress("comparing", len(hours)) as advance:
                for done, hour in enumerate(hours):
                    advance(done, shown_time(hour.starts_at))
                    async for found in compare_period(site, hour):
                        if not order.is_dry:
                            reopened += await open_breaks(site, found.differences)
                        total.take_in(found)
                        total.differences += found.differences[: order.limit - len(total.differences)]
        return total, reopened

    try:
        return uvloop.run(run())
    except NoRemoteWallet as error:
        raise CommandFailed(str(error)) from None
    except StatementUnreadable as error:
        raise CommandFailed(f"the operator's wallet cannot be asked: {error}") from None
    except CroupierError as error:
        raise CommandFailed(f"a break was not opened: {error.detail}; repeat the command") from None
    except asyncpg.QueryCanceledError as error:
        raise CommandFailed(f"the database took too long ({error}); compare a shorter period") from None


def _render(found: Agreement, order: Order, config: Config) -> dict[str, Any]:
    return {
        "from": shown_time(order.window.starts_at),
        "to": shown_time(order.window.ends_at),
        "agrees": not found.found,
        "breaks_opened": not order.is_dry,
        "calls": found.calls,
        "movements": found.movements,
        "agreed": found.agreed,
        "under_way": found.under_way,
        "assets": render_sums(found),
        "kinds": found.kinds,
        "differences": [_render_one(one, config.wallet.owner) for one in found.differences],
    }


def _render_one(one: Difference, owner: str) -> dict[str, Any]:
    document = structs.asdict(one)
    document["since"] = shown_time(one.since)
    document["session_id"] = shown_id(SESSION, one.session_id) or None
    document["amount"] = str(one.amount)
    document["gaps"] = {asset: str(change) for asset, change in one.gaps}
    document["owner"] = owner
    return document


def _tell(output: Output, found: Agreement, order: Order, config: Config) -> None:
    registry, now = config.asset_registry(), datetime.now(UTC)
    period = f"{shown_time(order.window.starts_at)} to {shown_time(order.window.ends_at)}"
    output.say(f"{period}: {found.calls} calls, {found.movements} movements, {found.agreed} agreed", "bold")
    headers = ("asset", "their wallet", "our calls", "our ledger", "under way", "difference")
    output.table(headers, [_sums_row(registry, asset, sums) for asset, sums in sorted(found.sums.items())])
    if found.under_way:
        output.say(f"{found.under_way} not settled yet, and younger than their deadline")
    if not found.found:
        output.say("their wallet, our ledger and the providers agree")
        return
    output.say("")
    output.say(f"{found.found} differences:", "bold red")
    output.table(
        ("kind", "about", "money", "age", "owner", "explanation"),
        [
            (
                one.kind,
                one.subject,
                shown_money(registry, str(one.amount), one.asset),
                shown_age(now - one.since),
                config.wallet.owner,
                one.explanation,
            )
            for one in found.differences
        ],
    )
    if found.found > len(found.differences):
        output.say(f"… and {found.found - len(found.differences)} more")
    output.say(
        "no breaks were opened" if order.is_dry else "each is open as a break (`croupier reconcile breaks`)"
    )


def _sums_row(registry: AssetRegistry, asset: str, sums: Sums) -> Sequence[str]:
    values = (sums.theirs, sums.ours, sums.ledger, sums.under_way, sums.difference)
    return (asset, *(shown_money(registry, str(value), asset) for value in values))


@commands.command()
def breaks(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most breaks to show.")] = 100,
) -> None:
    """The breaks that nobody has resolved, oldest first: what about, how much, since when, and whose they are.

    The first column is what `croupier reconcile resolve` takes.

    Examples:

      croupier reconcile breaks

      croupier reconcile breaks --kind wallet_moved_twice --json
    """

    async def load(connection: asyncpg.Connection) -> tuple[int, list[Any]]:
        count = await connection.fetchval(_SQL["count_open_breaks"].sql, kind)
        return count, list(await connection.fetch(_SQL["open_breaks"].sql, kind, limit))

    count, rows = read_database(ctx, load)
    output, now = output_of(ctx), datetime.now(UTC)
    if output.is_json:
        output.document("reconcile.breaks", {"count": count, "breaks": [_render_break(row) for row in rows]})
        return
    registry = settings_of(ctx).read_config().asset_registry()
    output.table(
        ("break", "kind", "about", "money", "age", "owner", "explanation"),
        [
            (
                shown_id(BREAK, row["id"]),
                row["kind"],
                row["subject"],
                _money(registry, row["amount"], row["asset"]),
                shown_age(now - row["opened_at"]),
                row["owner"],
                row["explanation"],
            )
            for row in rows
        ],
    )
    output.say(f"{count} open")


def _render_break(row: Any) -> dict[str, Any]:
    document = dict(row)
    document["id"] = shown_id(BREAK, row["id"])
    document["session_id"] = shown_id(SESSION, row["session_id"]) or None
    document["opened_at"] = shown_time(row["opened_at"])
    return document


def _money(registry: AssetRegistry, amount: str | None, asset: str | None) -> str:
    """An amount that was refused is kept as it was written, whatever that was."""
    if amount is None or not amount.removeprefix("-").isdecimal():
        return amount or ""
    return shown_money(registry, amount, asset)
