"""`croupier keys`: the keys shared with providers, and their rotation step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import asyncpg
import typer

from croupier.cli.acting import ReasonOption, read_actor, require_reason
from croupier.cli.arguments import parse_duration
from croupier.cli.output import CommandFailed, Output, output_of
from croupier.cli.present import shown_time
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.governance.keyring import load_keys, lock_keys, write_step
from croupier.governance.keys import (
    UNUSED_FOR,
    Direction,
    KeyFacts,
    KeyState,
    Step,
    StepRefused,
    decide_promote,
    decide_publish,
    decide_revoke,
)
from croupier.runtime.accounts import ADAPTERS
from croupier.runtime.config import Config, Provider
from croupier.runtime.provider_keys import adopt_keys, find_misfit
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import Key, PrivateKey, PublicKey, read_key

HELP: Final = """Keys shared with providers, and their rotation: publish, promote, revoke.

These commands open the configured database themselves, with the application's rights. What they change is in force
on every running process within two seconds, and stands in the audit log with its reason.
"""

commands = typer.Typer(no_args_is_help=True, help=HELP)

KeyIdArgument = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id.")]
Decide = Callable[[tuple[KeyFacts, ...], datetime], Step]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="keys")


@commands.command("list")
def list_(
    ctx: typer.Context,
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
    is_all: Annotated[bool, typer.Option("--all", help="Revoked keys too.")] = False,
) -> None:
    """Every key with its state, age, due date, last use and error rate.

    The error rate is the share of calls naming the key that could not be verified, since it was published.

    Examples:

      croupier keys list

      croupier keys list --provider studio --all --json
    """
    found = read_database(ctx, load_keys)
    keys = [key for key in found if provider in (None, key.provider) and (is_all or not key.is_revoked)]
    output, now = output_of(ctx), datetime.now(UTC)
    if output.is_json:
        output.document("keys.list", {"keys": [render_key(key, now) for key in keys]})
        return
    headers = ("provider", "key", "direction", "state", "age", "due", "last seen ok", "error rate")
    output.table(headers, [_line(key, now) for key in sorted(keys, key=lambda key: key.provider)])
    _tell_unknown(output, settings_of(ctx).read_config(), found)


def render_key(key: KeyFacts, now: datetime) -> dict[str, Any]:
    """A key ready for JSON; `secret` is a reference, `error_rate` a decimal text or null."""
    return {
        "provider": key.provider,
        "key_id": key.key_id,
        "direction": key.direction,
        "state": key.state,
        "secret": key.secret,
        "age_s": int((now - key.published_at).total_seconds()),
        "published_at": shown_time(key.published_at),
        "promoted_at": _time_or_null(key.promoted_at),
        "revoked_at": _time_or_null(key.revoked_at),
        "due_at": shown_time(key.due_at),
        "overdue": key.is_overdue(now),
        "last_seen_ok": _time_or_null(key.last_seen_ok),
        "last_seen_refused": _time_or_null(key.last_seen_refused),
        "ok": key.ok,
        "refused": key.refused,
        "error_rate": _error_rate(key) or None,
    }


def _time_or_null(value: datetime | None) -> str | None:
    return shown_time(value) or None


def _error_rate(key: KeyFacts) -> str:
    calls = key.ok + key.refused
    return f"{key.refused / calls:.4f}" if calls else ""


def _line(key: KeyFacts, now: datetime) -> tuple[str, ...]:
    due = f"{key.due_at:%Y-%m-%d}" + (" OVERDUE" if key.is_overdue(now) else "")
    return (
        key.provider,
        key.key_id,
        key.direction.value,
        key.state.value,
        f"{(now - key.published_at).days} d",
        "" if key.is_revoked else due,
        shown_time(key.last_seen_ok),
        _error_rate(key),
    )


def _tell_unknown(output: Output, config: Config, found: Sequence[KeyFacts]) -> None:
    """Keys of the file that no process has adopted yet."""
    known = {key.key_id for key in found}
    names = [key.id for one in config.providers for key in one.keys if key.id not in known]
    if names:
        output.say(f"of the configuration file, adopted when `croupier serve` starts: {', '.join(names)}")


@commands.command()
def publish(
    ctx: typer.Context,
    provider: Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider's id.")],
    key_id: KeyIdArgument,
    secret: Annotated[
        str,
        typer.Option(metavar="REFERENCE", help="env:NAME, file:PATH, aws-sm:NAME[#FIELD], vault:PATH#FIELD."),
    ],
    direction: Annotated[
        Direction, typer.Option(help="inbound verifies the provider's calls, outbound signs ours.")
    ],
    reason: ReasonOption,
) -> None:
    """Add a key beside those in use. An inbound one verifies at once; none signs before it is promoted.

    Every host must be able to read the secret: a variable set after a process has started is not seen by it.

    Examples:

      croupier keys publish studio studio-2026 --secret file:keys/studio-2026.key --direction inbound
      --reason "yearly rotation"
    """
    config = settings_of(ctx).read_config()
    account = _provider_of(config, provider)
    reference = _anchored(ctx, secret)
    key = _read(key_id, reference)
    if (why_not := find_misfit(ADAPTERS[account.adapter].manifest, direction, key)) is not None:
        raise CommandFailed(f"{key_id} cannot be used: {why_not}")

    def decide(keys: tuple[KeyFacts, ...], now: datetime) -> Step:
        new = KeyFacts(
            key_id=key_id,
            provider=provider,
            direction=direction,
            secret=reference,
            state=KeyState.PUBLISHED,
            published_at=now,
            promoted_at=None,
            revoked_at=None,
            due_at=now + timedelta(seconds=account.rotate_after_s),
        )
        return decide_publish(
            keys,
            new,
            reserved=frozenset(one.id for one in config.api_keys),
            can_sign=not isinstance(key, PublicKey),
            can_verify=not isinstance(key, PrivateKey),
        )

    _take_step(ctx, config, "publish", key_id, reason, decide)


def _provider_of(config: Config, name: str) -> Provider:
    for provider in config.providers:
        if provider.id == name:
            return provider
    known = ", ".join(provider.id for provider in config.providers) or "none"
    raise CommandFailed(f"no provider is called {name!r}; configured: {known}")


def _anchored(ctx: typer.Context, reference: str) -> str:
    """A relative file counts from the configuration's folder, as in the configuration itself."""
    path = reference.removeprefix("file:")
    if path == reference:
        return reference
    config_path = settings_of(ctx).effective_config_path
    folder = Path.cwd() if config_path is None else config_path.absolute().parent
    return f"file:{folder / path}"


def _read(key_id: str, reference: str) -> Key:
    try:
        return read_key(key_id, resolve_secret(reference))
    except (SecretUnavailable, ValueError) as error:
        raise CommandFailed(str(error)) from None


@commands.command()
def promote(ctx: typer.Context, key_id: KeyIdArgument, reason: ReasonOption) -> None:
    """Make a published key the current one; the key before it retires, and still verifies.

    Refused before a call signed with an inbound key was verified, before a process has read an outbound one, and
    while a running process cannot read its secret. A retiring key may be promoted again: that undoes a rotation.

    Examples:

      croupier keys promote studio-2026 --reason "the studio signs with it since Monday"
    """
    config = settings_of(ctx).read_config()
    _take_step(ctx, config, "promote", key_id, reason, lambda keys, now: decide_promote(keys, key_id, now))


@commands.command()
def revoke(
    ctx: typer.Context,
    key_id: KeyIdArgument,
    reason: ReasonOption,
    unused_for: Annotated[
        str, typer.Option(metavar="TIME", help="How long it must not have been used: 30m, 24h, 7d.")
    ] = f"{int(UNUSED_FOR.total_seconds()) // 3600}h",
    is_forced: Annotated[
        bool, typer.Option("--force", help="In an emergency: revoke whatever the key is used for.")
    ] = False,
) -> None:
    """End a key for ever: nothing signed with it passes any more, and its id can never come back.

    Refused for the current key and for one that was used lately, unless it is forced.

    Examples:

      croupier keys revoke studio-2025 --reason "replaced by studio-2026"

      croupier keys revoke studio-2026 --force --reason "it stood in a public log"
    """
    span = timedelta(seconds=parse_duration(unused_for))
    _take_step(
        ctx,
        settings_of(ctx).read_config(),
        "revoke",
        key_id,
        reason,
        lambda keys, now: decide_revoke(keys, key_id, now, unused_for=span, is_forced=is_forced),
        is_forced=is_forced,
    )


def _take_step(
    ctx: typer.Context,
    config: Config,
    name: str,
    key_id: str,
    reason: str,
    decide: Decide,
    *,
    is_forced: bool = False,
) -> None:
    reason = require_reason(reason)
    actor, now = read_actor(), datetime.now(UTC)
    action = f"key.{name}ed" if name == "publish" else f"key.{name}d"

    async def take(connection: asyncpg.Connection) -> Step:
        await adopt_keys(connection, config, now, actor=actor)
        async with connection.transaction():
            step = decide(await lock_keys(connection), now)
            said = f"{reason} (forced)" if is_forced else reason
            await write_step(connection, step, action=action, actor=actor, reason=said, now=now)
            return step

    try:
        step = read_database(ctx, take)
    except StepRefused as refused:
        raise CommandFailed(str(refused)) from None
    _tell_step(output_of(ctx), f"keys.{name}", key_id, step, now)


def _tell_step(output: Output, name: str, key_id: str, step: Step, now: datetime) -> None:
    if output.is_json:
        key = next(key for key in step.keys if key.key_id == key_id)
        output.document(
            name, {"key": render_key(key, now), "changes": step.changes, "next": list(step.follows)}
        )
        return
    for change in step.changes:
        before = "new" if change.before is None else change.before.value
        output.say(f"{change.key_id}: {before} → {change.after.value}", "bold")
    for line in step.follows:
        output.say(line)
