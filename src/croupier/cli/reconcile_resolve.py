"""`croupier reconcile resolve`: a person has dealt with what a break is about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import asyncpg
import typer

from croupier.cli.acting import ReasonOption, read_actor, require_reason
from croupier.cli.arguments import parse_break_id
from croupier.cli.output import CommandFailed, output_of
from croupier.cli.present import shown_age, shown_id, shown_time
from croupier.cli.reading import read_database
from croupier.ids import BREAK
from croupier.runtime.breaks import BreakStays, Resolved, resolve_break


def resolve(
    ctx: typer.Context,
    break_id: Annotated[
        str, typer.Argument(metavar="BRK_ID", help="As `croupier reconcile breaks` lists it.")
    ],
    reason: ReasonOption,
) -> None:
    """Close a break: what it is about has been put right, or needs nothing. It moves no money.

    A difference that a later comparison finds again opens its break again, with your reason in its explanation. What a
    provider or the wallet says a second time does not. A break about a wallet call that is open is closed once that is
    settled.

    Examples:

      croupier reconcile resolve brk_0197f2c4a5b67c8d9e0f1a2b3c4d5e07 --reason "paid by hand, ticket 4711"
    """
    said, actor, now = require_reason(reason), read_actor(), datetime.now(UTC)
    named = parse_break_id(break_id)

    async def work(connection: asyncpg.Connection) -> Resolved:
        return await resolve_break(connection, named, actor=actor, reason=said, now=now)

    try:
        done = read_database(ctx, work)
    except BreakStays as error:
        raise CommandFailed(str(error)) from None
    output = output_of(ctx)
    if output.is_json:
        output.document(
            "reconcile.resolve",
            {
                "id": shown_id(BREAK, done.id),
                "kind": done.kind,
                "subject": done.subject,
                "owner": done.owner,
                "opened_at": shown_time(done.opened_at),
                "resolved_at": shown_time(done.resolved_at),
                "resolution": said,
            },
        )
        return
    output.say(f"{break_id}: resolved", "bold")
    age = shown_age(done.resolved_at - done.opened_at)
    output.say(f"{done.kind} about {done.subject}, open for {age}: {said}")
