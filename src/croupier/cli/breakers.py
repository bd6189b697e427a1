"""`croupier breakers`: which calls to providers are held back, why, and what a person does about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import asyncpg
import typer

from croupier.cli.acting import ReasonOption, read_actor, require_reason
from croupier.cli.output import CommandFailed, output_of
from croupier.cli.present import shown_time
from croupier.cli.reading import read_database
from croupier.cli.settings import settings_of
from croupier.ids import IdSource
from croupier.operator.wallet.endpoints import WALLET, WALLET_OPERATIONS
from croupier.providers.breakers.machine import Breaker, Step, close_by_hand, open_by_hand
from croupier.providers.breakers.store import (
    LAUNCH,
    Act,
    Endpoint,
    change_breaker,
    load_breakers,
    load_changes,
)
from croupier.runtime.config.problems import render_nearest

commands = typer.Typer(no_args_is_help=True, help="See and change which calls to providers are held back.")

ProviderArgument = Annotated[str, typer.Argument(metavar="PROVIDER", help="The provider account's id.")]
OperationOption = Annotated[str, typer.Option(help="Which calls.")]


def register(app: typer.Typer) -> None:
    """Add the group to the command line."""
    app.add_typer(commands, name="breakers")


@commands.command("list")
def list_(ctx: typer.Context) -> None:
    """Every breaker: how it stands, since when, and the calls of its window. One that was never used is not there.

    Examples:

      croupier breakers list
    """
    found = read_database(ctx, load_breakers)
    output = output_of(ctx)
    if output.is_json:
        documents = [_document(endpoint, breaker) for endpoint, breaker in found.items()]
        output.document("breakers.list", {"breakers": documents})
        return
    output.table(
        ("provider", "operation", "state", "since", "tried again", "ok", "failed", "slow"),
        [_line(endpoint, breaker) for endpoint, breaker in found.items()],
    )


@commands.command()
def history(
    ctx: typer.Context,
    provider: Annotated[str | None, typer.Option(help="Only this account's.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most changes to show.")] = 20,
) -> None:
    """What became of the breakers, newest first.

    Examples:

      croupier breakers history --provider sandbox
    """
    found = read_database(ctx, lambda connection: load_changes(connection, provider, limit))
    output = output_of(ctx)
    if output.is_json:
        output.document("breakers.history", {"changes": found})
        return
    output.table(
        ("at", "provider", "operation", "change", "cause", "by", "why"),
        [
            [
                shown_time(one.at),
                one.provider,
                one.operation,
                f"{one.from_state} → {one.to_state}",
                one.cause,
                one.actor,
                one.reason,
            ]
            for one in found
        ],
    )


@commands.command("open")
def open_(
    ctx: typer.Context, provider: ProviderArgument, reason: ReasonOption, operation: OperationOption = LAUNCH
) -> None:
    """Hold back calls to a provider until `croupier breakers close`: no game of it opens, running ones pay out.

    Examples:

      croupier breakers open sandbox --reason "they asked for it, ticket 4711"
    """
    _change(ctx, provider, operation, reason, open_by_hand)


@commands.command()
def close(
    ctx: typer.Context, provider: ProviderArgument, reason: ReasonOption, operation: OperationOption = LAUNCH
) -> None:
    """Let calls to a provider through again. The breaker goes on to count, and may open by itself.

    Examples:

      croupier breakers close sandbox --reason "they are back, ticket 4711"
    """
    _change(ctx, provider, operation, reason, close_by_hand)


def _change(
    ctx: typer.Context,
    provider: str,
    operation: str,
    reason: str,
    step: Callable[[Breaker, datetime], Step],
) -> None:
    said, actor, now = require_reason(reason), read_actor(), datetime.now(UTC)
    config = settings_of(ctx).read_config()
    known = [*(one.id for one in config.providers), *([WALLET] if config.wallet.is_remote else [])]
    if provider not in known:
        advice = render_nearest(provider, known, otherwise=f"configured: {', '.join(known) or 'none'}")
        raise CommandFailed(f"no provider account is called {provider!r}; {advice}")
    operations = WALLET_OPERATIONS if provider == WALLET else (LAUNCH,)
    if operation not in operations:
        known_here = ", ".join(operations)
        raise CommandFailed(
            f"nothing is held back at {provider} by the name {operation!r}; known: {known_here}"
        )
    act = Act(ids=IdSource(), now=now, actor=actor, reason=said)
    endpoint = Endpoint(provider, operation)
    changed: list[bool] = []

    def take(breaker: Breaker) -> Step:
        taken = step(breaker, now)
        changed.append(taken.breaker != breaker)
        return taken

    async def change(connection: asyncpg.Connection) -> Breaker:
        return await change_breaker(connection, endpoint, take, act)

    breaker = read_database(ctx, change)
    output = output_of(ctx)
    if output.is_json:
        output.document("breakers.change", {"breaker": _document(endpoint, breaker), "changed": changed[-1]})
        return
    state = "held open" if breaker.is_held else breaker.state.value
    output.say(f"{endpoint}: {state}" + ("" if changed[-1] else " (it was so already)"), "bold")


def _document(endpoint: Endpoint, breaker: Breaker) -> dict[str, Any]:
    counts = breaker.counts
    return {
        "provider": endpoint.provider,
        "operation": endpoint.operation,
        "state": breaker.state.value,
        "is_held": breaker.is_held,
        "since": breaker.since,
        "retry_at": breaker.retry_at,
        "openings": breaker.openings,
        "window": {"ok": counts.ok, "failed": counts.failed, "slow": counts.slow},
    }


def _line(endpoint: Endpoint, breaker: Breaker) -> list[str]:
    counts = breaker.counts
    return [
        endpoint.provider,
        endpoint.operation,
        "held open" if breaker.is_held else breaker.state.value,
        shown_time(breaker.since),
        "" if breaker.retry_at is None else shown_time(breaker.retry_at),
        *(str(number) for number in (counts.ok, counts.failed, counts.slow)),
    ]
