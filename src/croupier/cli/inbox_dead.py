"""`croupier inbox dead` and `redrive`: what the pipeline could not process, and another try."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from croupier.cli.acting import ReasonOption, read_actor, require_reason
from croupier.cli.inbox_show import find_delivery_id
from croupier.cli.output import CommandFailed, Output, output_of
from croupier.cli.present import shown_id, shown_money, shown_time
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.ids import DELIVERY, render_id
from croupier.inbox.dead import Group, Selection, load_groups, redrive
from croupier.money import AssetRegistry


def register(commands: typer.Typer) -> None:
    """Add the commands to the group of the inbox."""
    commands.command("dead")(dead)
    commands.command("redrive")(redrive_)


def dead(
    ctx: typer.Context,
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
) -> None:
    """Dead letters grouped by cause: how many, how old, how much money they are about, what to do.

    A webhook that was refused for a reason of business is no dead letter: `croupier inbox list --state refused`.

    Examples:

      croupier inbox dead

      croupier inbox dead --provider studio --json
    """
    groups = read_database(ctx, lambda connection: load_groups(connection, provider))
    output, now = output_of(ctx), datetime.now(UTC)
    if output.is_json:
        output.document("inbox.dead", {"groups": [render_group(group, now) for group in groups]})
        return
    if not groups:
        output.say("no dead letters")
        return
    registry = settings_of(ctx).read_config().asset_registry()
    for group in groups:
        _tell_group(output, group, registry, now)


def render_group(group: Group, now: datetime) -> dict[str, Any]:
    """A group ready for JSON; ages in seconds, money in minor units."""
    return {
        "provider": group.provider,
        "cause": group.cause,
        "type": group.type,
        "count": group.letters,
        "oldest_at": shown_time(group.oldest_at),
        "newest_at": shown_time(group.newest_at),
        "oldest_age_s": int((now - group.oldest_at).total_seconds()),
        "newest_age_s": int((now - group.newest_at).total_seconds()),
        "last_died_at": shown_time(group.last_died_at),
        "stakes": [
            {"asset": stake.asset, "amount": str(stake.amount), "without_amount": stake.unknown}
            for stake in group.stakes
        ],
        "example": shown_id(DELIVERY, group.example),
        "detail": group.detail,
        "advice": group.advice,
    }


def _tell_group(output: Output, group: Group, registry: AssetRegistry, now: datetime) -> None:
    output.say(f"{group.provider}  {group.cause}  {group.type}  {group.letters}", "bold")
    stakes = [shown_money(registry, str(stake.amount), stake.asset) for stake in group.stakes if stake.amount]
    unknown = sum(stake.unknown for stake in group.stakes)
    if unknown:
        stakes.append(f"{unknown} that do not say how much")
    output.facts(
        [
            ("came", f"{_shown_age(now - group.oldest_at)} to {_shown_age(now - group.newest_at)} ago"),
            ("last died", shown_time(group.last_died_at)),
            ("money at stake", ", ".join(stakes)),
            ("what was said", group.detail),
            ("to do", group.advice),
            ("for example", f"croupier inbox show {shown_id(DELIVERY, group.example)}"),
        ]
    )


def _shown_age(age: Any) -> str:
    seconds = max(0, int(age.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def redrive_(
    ctx: typer.Context,
    reason: ReasonOption,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]…", help="Ids of dead letters.")] = None,
    cause: Annotated[str | None, typer.Option(help="All of this cause.")] = None,
    provider: Annotated[str | None, typer.Option(help="All of this provider.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="All of this type.")] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Every dead letter there is.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many, as they came.")] = None,
) -> None:
    """Put dead letters back in the queue, as if nobody had tried them. Options narrow each other down.

    Try one first, see what becomes of it (`croupier inbox show`), then the rest.

    Examples:

      croupier inbox redrive dlv_0197f2c4a5b67c8d9e0f1a2b3c4d5e07 --reason "the adapter is mended"

      croupier inbox redrive --cause unavailable --provider studio --reason "the database is back"
    """
    wanted = Selection(
        ids=_parse_ids(ids) if ids else None, provider=provider, cause=cause, type=type_, limit=limit
    )
    if not is_all and not any((ids, cause, provider, type_)):
        raise typer.BadParameter("say which: ids, --cause, --provider, --type, or --all")
    said, actor = require_reason(reason), read_actor()
    moved = read_database(
        ctx,
        lambda connection: redrive(connection, wanted, actor=actor, reason=said, now=datetime.now(UTC)),
    )
    if not moved:
        raise CommandFailed("no dead letter is like that; see `croupier inbox dead`")
    missing = [render_id(DELIVERY, one) for one in wanted.ids or () if one not in set(moved)]
    output = output_of(ctx)
    if output.is_json:
        shown = [render_id(DELIVERY, one) for one in moved]
        output.document("inbox.redrive", {"redriven": len(moved), "ids": shown, "not_dead": missing})
        return
    output.say(f"{len(moved)} put back in the queue", "bold")
    if missing:
        output.say(f"no dead letters: {', '.join(missing)}")


def _parse_ids(texts: list[str]) -> tuple[UUID, ...]:
    found = []
    for text in texts:
        one = find_delivery_id(text)
        if one is None:
            raise typer.BadParameter(f"{text!r} is no delivery's id: dlv_ and 32 hex digits")
        found.append(one)
    return tuple(found)
