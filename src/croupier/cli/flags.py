"""`croupier flags`: whom features and rollouts are on for, why, and what a person does about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from typing import Annotated, Any

import asyncpg
import typer

from croupier.cli.acting import ReasonOption, read_actor, require_reason
from croupier.cli.output import CommandFailed, Output, output_of
from croupier.cli.present import shown_time
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.governance.flags.history import Cause, Change
from croupier.governance.flags.known import FLAGS, ROLLOUT
from croupier.governance.flags.rules import Rule, Target
from croupier.governance.flags.shares import parse_share, render_share
from croupier.governance.flags.store import (
    Act,
    Changed,
    FlagConflict,
    RollbackRefused,
    change_rule,
    load_changes,
    load_rules,
    roll_back,
)
from croupier.ids import IdSource
from croupier.runtime.config import Config
from croupier.runtime.config.problems import render_nearest
from croupier.runtime.going_live import find_missing

commands = typer.Typer(no_args_is_help=True, help="See and change whom features and rollouts are on for.")

FlagArgument = Annotated[str, typer.Argument(metavar="FLAG", help=f"One of: {', '.join(FLAGS)}.")]
ProviderOption = Annotated[
    str, typer.Option(help="Only this provider account; for a rollout, the account that takes over.")
]
GroupOption = Annotated[str, typer.Option(help="Only this game group.")]
GameOption = Annotated[str, typer.Option(help="Only this game.")]
JurisdictionOption = Annotated[
    str, typer.Option(help="Only this jurisdiction; where none is sent, the player's country.")
]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="flags")


@commands.command("list")
def list_(ctx: typer.Context) -> None:
    """Every flag with its default, and what rules say. The most specific rule decides; a share is of players.

    Examples:

      croupier flags list
    """
    rules = [rule for rule in read_database(ctx, load_rules) if rule.share_bps is not None]
    output = output_of(ctx)
    if output.is_json:
        flags = [{"flag": one.name, "meaning": one.meaning, "default": one.default} for one in FLAGS.values()]
        output.document("flags.list", {"flags": flags, "rules": [_document(rule) for rule in rules]})
        return
    output.table(
        ("flag", "provider", "game group", "game", "jurisdiction", "on for", "version", "since"),
        [_line(rule) for rule in rules] + [_default_line(name) for name in FLAGS],
    )


@commands.command("set")
def set_(
    ctx: typer.Context,
    flag: FlagArgument,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE", help="on, off, a share of players such as 5 or 12.5%, or default for no rule."
        ),
    ],
    reason: ReasonOption,
    provider: ProviderOption = "",
    group: GroupOption = "",
    game: GameOption = "",
    jurisdiction: JurisdictionOption = "",
    version: Annotated[
        int | None, typer.Option(min=0, help="Only if the rule is still at this version (`flags list`).")
    ] = None,
) -> None:
    """Say for whom a flag is on; in force on every process within two seconds.

    A rollout above 0 % is refused while its account lacks something, and says what.

    Examples:

      croupier flags set launch off --provider acme --reason "they asked for it, ticket 4711"

      croupier flags set rollout 5% --provider acme_v2 --reason "first step, ticket 4712"
    """
    try:
        share = None if value == "default" else parse_share(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    config = settings_of(ctx).read_config()
    target = _target(
        config, flag=flag, provider=provider, game_group=group, game=game, jurisdiction=jurisdiction
    )
    act = _act(reason, Cause.MANUAL)

    async def change(connection: asyncpg.Connection) -> Changed:
        if flag == ROLLOUT.name and share:
            missing = await find_missing(config, connection, provider, act.now)
            if missing:
                raise CommandFailed(f"{provider} may not take players yet: " + "; ".join(missing))
        return await change_rule(connection, target, share, act, expected=version)

    _tell(ctx, _change(ctx, change))


@commands.command()
def rollback(
    ctx: typer.Context,
    flag: FlagArgument,
    reason: ReasonOption,
    provider: ProviderOption = "",
    group: GroupOption = "",
    game: GameOption = "",
    jurisdiction: JurisdictionOption = "",
) -> None:
    """Take the last change back; once more, and the one before it. A rollback never sends more players to a rollout.

    Examples:

      croupier flags rollback rollout --provider acme_v2 --reason "complaints, ticket 4713"
    """
    config = settings_of(ctx).read_config()
    target = _target(
        config, flag=flag, provider=provider, game_group=group, game=game, jurisdiction=jurisdiction
    )
    act = _act(reason, Cause.ROLLBACK)
    _tell(ctx, _change(ctx, lambda connection: roll_back(connection, target, act)))


@commands.command()
def history(
    ctx: typer.Context,
    flag: Annotated[str | None, typer.Argument(metavar="[FLAG]", help="Only this flag.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only what names this account.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most changes to show.")] = 20,
) -> None:
    """What became of the flags, newest first: by whom, why, and whether a guard did it.

    Examples:

      croupier flags history rollout --provider acme_v2
    """
    if flag is not None:
        _require(flag, FLAGS, "flag")
    found = read_database(ctx, lambda connection: load_changes(connection, flag, provider, limit))
    output = output_of(ctx)
    if output.is_json:
        output.document("flags.history", {"changes": [_change_document(one) for one in found]})
        return
    output.table(
        ("at", "what", "change", "version", "cause", "by", "why"),
        [
            [
                shown_time(one.at),
                str(one.target),
                f"{render_share(one.from_bps)} → {render_share(one.to_bps)}",
                str(one.version),
                one.cause.value,
                one.actor,
                one.reason,
            ]
            for one in found
        ],
    )


def _target(config: Config, **named: str) -> Target:
    """What is meant, every name of it known; raises CommandFailed with the nearest known name."""
    _require(named["flag"], FLAGS, "flag")
    flag = FLAGS[named["flag"]]
    successors = {new: old for old, new in config.successors().items()}
    provider = named["provider"]
    if provider:
        _require(provider, [one.id for one in config.providers], "provider account")
    elif flag.needs_provider:
        known = ", ".join(successors) or "none; an account says replaces in its [[providers]] entry"
        raise CommandFailed(f"a {flag.name} is of one account: --provider, known: {known}")
    if flag is ROLLOUT and provider not in successors:
        raise CommandFailed(
            f'{provider} takes over from nobody: add replaces = "…" to its [[providers]] entry'
        )
    owner = successors.get(provider, provider)
    games = [one for one in config.games if owner in ("", one.provider)]
    if named["game_group"]:
        _require(named["game_group"], sorted({one.group for one in games}), "game group")
    if named["game"]:
        _require(named["game"], [one.id for one in games], "game")
    return Target(**named)


def _require(name: str, known: Collection[str], noun: str) -> None:
    if name not in known:
        advice = render_nearest(name, known, otherwise=f"known: {', '.join(sorted(known)[:8]) or 'none'}")
        raise CommandFailed(f"no {noun} is called {name!r}; {advice}")


def _act(reason: str, cause: Cause) -> Act:
    return Act(
        ids=IdSource(), now=datetime.now(UTC), actor=read_actor(), reason=require_reason(reason), cause=cause
    )


def _change(ctx: typer.Context, work: Callable[[asyncpg.Connection], Awaitable[Changed]]) -> Changed:
    try:
        return read_database(ctx, work)
    except (FlagConflict, RollbackRefused) as error:
        raise CommandFailed(str(error)) from error


def _tell(ctx: typer.Context, changed: Changed) -> None:
    output: Output = output_of(ctx)
    before, after = changed.before, changed.after
    if output.is_json:
        body = {"rule": _document(after), "was_bps": before.share_bps, "changed": changed.is_new}
        output.document("flags.change", body)
        return
    shown = f"{render_share(before.share_bps)} → {render_share(after.share_bps)} (version {after.version})"
    now = f"{render_share(after.share_bps)} (it was so already)"
    output.say(f"{after.target}: {shown if changed.is_new else now}", "bold")


def _document(rule: Rule) -> dict[str, Any]:
    return _target_document(rule.target) | {
        "share_bps": rule.share_bps,
        "version": rule.version,
        "since": rule.since,
    }


def _target_document(target: Target) -> dict[str, Any]:
    """Null stands for all."""
    names = ("provider", "game_group", "game", "jurisdiction")
    return {"flag": target.flag} | {name: getattr(target, name) or None for name in names}


def _change_document(change: Change) -> dict[str, Any]:
    names = ("version", "at", "from_bps", "to_bps", "undoes", "actor", "reason")
    return (
        _target_document(change.target)
        | {name: getattr(change, name) for name in names}
        | {"cause": change.cause.value}
    )


def _line(rule: Rule) -> list[str]:
    target = rule.target
    named = [one or "*" for one in (target.provider, target.game_group, target.game, target.jurisdiction)]
    return [target.flag, *named, render_share(rule.share_bps), str(rule.version), shown_time(rule.since)]


def _default_line(name: str) -> list[str]:
    return [name, "*", "*", "*", "*", "on" if FLAGS[name].default else "off", "", "by default"]
