"""`croupier audit`: who did what and why, and the proof that nobody changed it afterwards."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from croupier.cli.output import EXIT_INVARIANT, output_of
from croupier.cli.present import shown_time
from croupier.cli.reading import read_database
from croupier.governance.audit import Head, Record, load_records, verify_chain

commands = typer.Typer(
    no_args_is_help=True,
    help="The audit log, read from the configured database with the application's rights.",
)


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="audit")


@commands.command("list")
def list_(
    ctx: typer.Context,
    subject: Annotated[str | None, typer.Option(help="Only about this, for example key:studio-1.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, for example key.revoked.")] = None,
    before: Annotated[int | None, typer.Option(min=1, help="Continue below this number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most records to show.")] = 50,
) -> None:
    """Records of the audit log, newest first.

    Examples:

      croupier audit list

      croupier audit list --subject key:studio-1 --json
    """
    records = read_database(
        ctx,
        lambda connection: load_records(
            connection, subject=subject, action=action, before=before, limit=limit
        ),
    )
    output = output_of(ctx)
    if output.is_json:
        output.document("audit.list", {"records": [render_record(record) for record in records]})
        return
    rows = [
        (str(one.seq), shown_time(one.at), one.actor, one.action, one.subject, one.reason) for one in records
    ]
    output.table(("#", "at", "actor", "action", "subject", "reason"), rows)


def render_record(record: Record) -> dict[str, Any]:
    """A record ready for JSON, its details as an object."""
    return {
        "seq": record.seq,
        "at": shown_time(record.at),
        "actor": record.actor,
        "action": record.action,
        "subject": record.subject,
        "reason": record.reason,
        "details": json.loads(record.details),
        "hash": record.hash,
    }


@commands.command()
def verify(
    ctx: typer.Context,
    head: Annotated[
        str | None, typer.Option(metavar="SEQ:HASH", help="A head noted earlier: it must still be there.")
    ] = None,
) -> None:
    """Read the whole chain and find every edit, gap and insertion. Exit code 3 when there is one.

    The chain alone cannot show that its end was cut off. Note the head that this command prints somewhere else, and
    give it the next time.

    Examples:

      croupier audit verify

      croupier audit verify --head "$(cat last-head.txt)"
    """
    expected = None if head is None else parse_head(head)
    report = read_database(ctx, lambda connection: verify_chain(connection, expected))
    output = output_of(ctx)
    if output.is_json:
        body = {"whole": report.is_whole, "records": report.records, "head": str(report.head)}
        output.document("audit.verify", body | {"faults": list(report.faults)})
    for fault in report.faults:
        output.say(f"BROKEN  {fault}", "bold red")
    if report.is_whole:
        output.say(f"{report.records} records, unbroken; head {report.head}")
    if not report.is_whole:
        raise typer.Exit(EXIT_INVARIANT)


def parse_head(text: str) -> Head:
    """A head as this command prints it; typer.BadParameter says what it looks like."""
    seq, _, value = text.strip().partition(":")
    is_hash = len(value) == 64 and set(value) <= set("0123456789abcdef")
    if not (seq.isascii() and seq.isdigit() and is_hash):
        raise typer.BadParameter("a head is a number, a colon and 64 hex digits")
    return Head(int(seq), value)
