"""`croupier provider cutover` and `sign-off`: what is missing before an account may take over, and who says it may."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from croupier.cli.acting import ReasonOption, require_reason
from croupier.cli.api import anchored
from croupier.cli.output import EXIT_FAILURE, CommandFailed, output_of
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.governance.cutover import SIGNERS, CutoverRecord, Step, keep_record
from croupier.ids import IdSource
from croupier.runtime.config import ApiKey, Config, Provider
from croupier.runtime.config.problems import render_nearest
from croupier.runtime.going_live import adapter_digest, check_all
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import api_key_matches

NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="The account that takes over (it says `replaces`).")
]


def cutover(ctx: typer.Context, name: NameArgument) -> None:
    """What is missing before players may go to an account that takes over. Exit code 1 while anything is.

    Examples:

      croupier provider cutover acme_v3
    """
    config = settings_of(ctx).read_config()
    account = _find(config, name)
    now = datetime.now(UTC)
    checks = read_database(ctx, lambda connection: check_all(config, connection, account.id, now))
    is_ready = not any(one.missing for one in checks)
    output = output_of(ctx)
    if output.is_json:
        output.document(
            "provider.cutover",
            {
                "account": account.id,
                "replaces": account.replaces,
                "adapter": account.adapter,
                "digest": adapter_digest(account.adapter),
                "is_ready": is_ready,
                "checks": [{"name": one.name, "missing": list(one.missing)} for one in checks],
            },
        )
    else:
        output.say(
            f"{account.id} takes over from {account.replaces}, on {account.adapter} "
            f"(code {adapter_digest(account.adapter)})"
        )
        output.table(
            ("check", "state", "missing"),
            [(one.name, "ok", "") for one in checks if not one.missing]
            + [(one.name, "missing", what) for one in checks for what in one.missing],
        )
        output.say("it may take players" if is_ready else "it may not take players yet", "bold")
    if not is_ready:
        raise typer.Exit(EXIT_FAILURE)


def sign_off(
    ctx: typer.Context,
    name: NameArgument,
    token: Annotated[
        str,
        typer.Option(help="Your API key of the role finance or support: env:NAME or file:PATH."),
    ],
    reason: ReasonOption,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take your word back.")] = False,
) -> None:
    """Say, as finance or as support, that an account may take over, for its adapter's code as it is now.

    Examples:

      croupier provider sign-off acme_v3 --token env:MY_KEY --reason "a week of reports compared, ticket 4712"
    """
    config = settings_of(ctx).read_config()
    account, key = _find(config, name), _key_of(ctx, config, token)
    if key.role not in SIGNERS:
        roles = " or ".join(step.value for step in SIGNERS)
        raise CommandFailed(f"key {key.id} has the role {key.role}, and {roles} must sign")
    record = CutoverRecord(
        subject=account.id,
        step=Step(key.role),
        digest=adapter_digest(account.adapter),
        is_good=not withdraw,
        detail="",
        actor=f"key:{key.id}",
        reason=require_reason(reason),
        at=datetime.now(UTC),
    )
    read_database(ctx, lambda connection: keep_record(connection, record, IdSource()))
    output = output_of(ctx)
    if output.is_json:
        output.document("provider.sign-off", {"record": record})
        return
    said = "takes its word back" if withdraw else "has signed off"
    output.say(f"{key.role} {said}: {account.id} on {account.adapter} (code {record.digest})")


def _find(config: Config, name: str) -> Provider:
    successors = {one.id: one for one in config.providers if one.replaces is not None}
    if name not in successors:
        known = ", ".join(successors) or 'none; an account says replaces = "…" in its [[providers]] entry'
        advice = render_nearest(name, successors, otherwise=f"known: {known}")
        raise CommandFailed(f"no account called {name!r} takes over from another; {advice}")
    return successors[name]


def _key_of(ctx: typer.Context, config: Config, token: str) -> ApiKey:
    """The API key whose bearer token this is; raises CommandFailed."""
    try:
        secret = resolve_secret(
            anchored(token, settings_of(ctx).effective_config_path), env=os.environ
        ).decode("utf-8", "replace")
    except SecretUnavailable as error:
        raise CommandFailed(f"the token cannot be read: {error.what}; {error.fix}") from None
    for key in config.api_keys:
        if key.token_hash is not None and api_key_matches(secret, key.token_hash):
            return key
    raise CommandFailed("no API key of the configuration has this token")
