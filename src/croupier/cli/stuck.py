"""`croupier stuck`: where money is stuck, where sessions are stuck, which provider calls fail. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from croupier.cli.output import Output, output_of
from croupier.cli.present import shown_money, shown_time
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.cli.stuck_reads import StuckQuery, load_stuck
from croupier.money import AssetRegistry


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("stuck")(stuck)


def stuck(
    ctx: typer.Context,
    older_than: Annotated[
        int, typer.Option(min=0, max=31_536_000, help="Rounds open for so many seconds are stuck.")
    ] = 3600,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, help="Most overdue sessions and unknown outcomes to show.")
    ] = 20,
) -> None:
    """Where is money stuck, where are sessions stuck, which provider calls fail: whose it is, and what happens next.

    Exit code 0 whatever is found.

    Examples:

      croupier stuck

      croupier stuck --older-than 300

      croupier stuck --json | jq .sessions.overdue
    """
    query = StuckQuery(datetime.now(UTC), older_than, limit)
    found = read_database(ctx, lambda connection: load_stuck(connection, query))
    output = output_of(ctx)
    if output.is_json:
        output.document("stuck", found)
        return
    registry = settings_of(ctx).read_config().asset_registry()
    _tell_money(output, found["money"], registry, older_than)
    _tell_sessions(output, found["sessions"])
    _tell_calls(output, found["provider_calls"])


def _tell_money(output: Output, money: dict[str, Any], registry: AssetRegistry, older_than: int) -> None:
    output.say("Where is money stuck?", "bold")
    _tell(
        output,
        f"rounds open for more than {older_than} s",
        ("provider", "rounds", "staked", "oldest"),
        [
            (one["provider"], str(one["rounds"]), _money(registry, one, "staked"), one["oldest_at"])
            for one in money["open_rounds"]
        ],
    )
    _tell(
        output,
        "sessions that wait for their settlement",
        ("provider", "sessions", "overdue", "in clearing", "oldest"),
        [
            (
                one["provider"],
                str(one["sessions"]),
                str(one["overdue"]),
                _money(registry, one, "clearing"),
                one["oldest_at"],
            )
            for one in money["pending_settlement"]
        ],
    )
    _tell(
        output,
        "breaks that nobody has resolved",
        ("kind", "owner", "breaks", "amount", "oldest"),
        [
            (
                one["kind"],
                one["owner"],
                str(one["breaks"]),
                _money(registry, one, "amount"),
                one["oldest_at"],
            )
            for one in money["breaks"]
        ],
    )
    _tell(
        output,
        "webhooks (croupier inbox status)",
        ("provider", "queued", "dead", "oldest"),
        [
            (one["provider"], str(one["queued"]), str(one["dead"]), shown_time(one["oldest_at"]))
            for one in money["webhooks"]
        ],
    )


def _tell_sessions(output: Output, sessions: dict[str, Any]) -> None:
    output.say("")
    output.say("Where are sessions stuck?", "bold")
    _tell(
        output,
        "sessions that are not final",
        ("state", "sessions", "overdue", "owner", "then", "oldest"),
        [
            (
                one["state"],
                str(one["sessions"]),
                str(one["overdue"]),
                one["owner"],
                one["action"],
                one["oldest_at"],
            )
            for one in sessions["states"]
        ],
    )
    columns = ("session_id", "state", "owner", "action", "since", "due_at")
    _tell(
        output,
        "overdue ones",
        ("session", "state", "owner", "then", "since", "looked at next"),
        [tuple(str(one[name]) for name in columns) for one in sessions["overdue"]],
    )
    if sessions["without_timer"]:
        text = f"  {sessions['without_timer']} session(s) have no due time: is a background process running?"
        output.say(text, "bold red")


def _tell_calls(output: Output, calls: dict[str, Any]) -> None:
    output.say("")
    output.say("Which provider calls fail?", "bold")
    columns = ("kind", "provider", "session_id", "reason", "attempts", "owner", "since", "deadline")
    _tell(
        output,
        f"outcomes that nobody knows ({calls['unknown_count']})",
        ("kind", "provider", "session", "why", "attempts", "owner", "since", "deadline"),
        [tuple(str(one[name] or "") for name in columns) for one in calls["unknown"]],
    )
    _tell(
        output,
        "calls held back (croupier breakers list)",
        ("provider", "operation", "state", "since", "tried again"),
        [
            (
                one["provider"],
                one["operation"],
                "held open" if one["is_held"] else one["state"],
                shown_time(one["since"]),
                shown_time(one["retry_at"]),
            )
            for one in calls["breakers"]
        ],
    )


def _tell(output: Output, what: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table under its name, or that there is nothing."""
    if not rows:
        output.say(f"  {what}: none")
        return
    output.say(f"  {what}")
    output.table(headers, rows)


def _money(registry: AssetRegistry, row: dict[str, Any], name: str) -> str:
    return shown_money(registry, row[name], row["asset"])
