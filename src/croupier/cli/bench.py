"""`croupier bench`: measure this machine, each design against another in the same run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
import uvloop
from rich.console import Console

from croupier.bench.adapters import AdaptersPlan, NotSpoken, bench_adapters
from croupier.bench.callbacks import CallbacksPlan, bench_callbacks
from croupier.bench.children import ChildFailed
from croupier.bench.growth import GrowthPlan, bench_growth
from croupier.bench.inbox import InboxPlan, bench_inbox
from croupier.bench.ledger import LedgerPlan, bench_ledger
from croupier.bench.memory import MemoryPlan, bench_memory
from croupier.bench.remote_wallet import RemoteWalletPlan, bench_remote_wallet
from croupier.bench.report import MIN_ROUNDS, SCHEMA, Document, render_markdown, show
from croupier.bench.speech import NATIVE, SPEECHES
from croupier.cli.output import CommandFailed, Output, output_of

app: Final = typer.Typer(
    no_args_is_help=True, help="Load tests that start everything themselves and print a report."
)

Seconds = Annotated[float, typer.Option(min=0.5, help="Length of one turn of one design, in seconds.")]
Rounds = Annotated[int, typer.Option(min=1, help="Turns of each design; fewer than 3 prove nothing.")]
Wallets = Annotated[int, typer.Option(min=2, help="Players with a wallet and a session each.")]
Connections = Annotated[int, typer.Option(min=1, max=4096, help="Keep-alive connections under load.")]
Progress = Callable[[str], None]


def _known_protocol(name: str) -> str:
    if name not in SPEECHES:
        raise typer.BadParameter(f"the load generator speaks {', '.join(SPEECHES)}")
    return name


def register(parent: typer.Typer) -> None:
    """Add the group to the command line."""
    parent.add_typer(app, name="bench")


@app.command()
def ledger(
    ctx: typer.Context,
    seconds: Seconds = 5.0,
    rounds: Rounds = MIN_ROUNDS,
    wallets: Wallets = 2000,
    callers: Annotated[int, typer.Option(min=1, max=1024, help="Concurrent callers.")] = 128,
) -> None:
    """Commands through the money path without HTTP, against pgbench writing the same rows.

    Example: croupier bench ledger --json > ledger.json
    """
    plan = LedgerPlan(seconds=seconds, rounds=rounds, wallets=wallets, callers=callers)
    _report(ctx, lambda tell: bench_ledger(plan, tell))


@app.command()
def callbacks(
    ctx: typer.Context,
    seconds: Seconds = 10.0,
    rounds: Rounds = MIN_ROUNDS,
    connections: Connections = 64,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes of each gateway.")] = 1,
    wallets: Wallets = 2000,
    protocol: Annotated[
        str,
        typer.Option(help=f"What croupier's design speaks: {', '.join(SPEECHES)}.", callback=_known_protocol),
    ] = NATIVE,
    memory: Annotated[
        int | None, typer.Option(min=100, metavar="CALLS", help="Watch one worker's memory instead.")
    ] = None,
) -> None:
    """Signed calls over HTTP through the whole product, against the gateway most teams write.

    Example: croupier bench callbacks --workers 2 --json > callbacks.json
    """
    if memory is not None:
        watch = MemoryPlan(calls=memory, wallets=wallets, connections=connections)
        _report(ctx, lambda tell: bench_memory(watch, tell))
        return
    plan = CallbacksPlan(
        seconds=seconds,
        rounds=rounds,
        connections=connections,
        workers=workers,
        wallets=wallets,
        protocol=protocol,
    )
    _report(ctx, lambda tell: bench_callbacks(plan, tell))


@app.command("remote-wallet")
def remote_wallet(
    ctx: typer.Context,
    seconds: Seconds = 4.0,
    rounds: Rounds = MIN_ROUNDS,
    connections: Connections = 64,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes of each gateway.")] = 1,
    wallets: Wallets = 2000,
    latency: Annotated[
        list[int] | None,
        typer.Option(
            min=0, max=1000, metavar="MS", help="The wallet's own time; repeat for several [1 10 50]."
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=256, help="Most movements that croupier sends together.")
    ] = 1,
) -> None:
    """Before the operator's own wallet: calls a second and what croupier adds to its latency, against a naive gateway.

    Example: croupier bench remote-wallet --json > remote-wallet.json
    """
    plan = RemoteWalletPlan(
        seconds=seconds,
        rounds=rounds,
        connections=connections,
        workers=workers,
        wallets=wallets,
        latencies_ms=tuple(dict.fromkeys(latency or (1, 10, 50))),
        batch=batch,
    )
    _report(ctx, lambda tell: bench_remote_wallet(plan, tell))


@app.command()
def inbox(
    ctx: typer.Context,
    seconds: Seconds = 5.0,
    rounds: Rounds = MIN_ROUNDS,
    backlog: Annotated[
        int, typer.Option(min=100, help="Webhooks that wait before the drain begins.")
    ] = 200_000,
    calls: Annotated[int, typer.Option(min=1, help="Money calls a second beside the flood.")] = 300,
    webhooks: Annotated[int, typer.Option(min=1, help="Webhooks a second of the flood.")] = 2000,
    wallets: Wallets = 2000,
) -> None:
    """Webhooks kept against single inserts, a backlog drained, and what a flood costs the callbacks.

    Example: croupier bench inbox --json > inbox.json
    """
    plan = InboxPlan(
        seconds=seconds,
        rounds=rounds,
        backlog=backlog,
        wallets=wallets,
        calls_per_second=calls,
        webhooks_per_second=webhooks,
    )
    _report(ctx, lambda tell: bench_inbox(plan, tell))


@app.command()
def memory(
    ctx: typer.Context,
    calls: Annotated[int, typer.Option(min=100, help="Calls to answer.")] = 1_000_000,
    connections: Connections = 64,
    wallets: Wallets = 2000,
) -> None:
    """Resident memory of one worker while it answers a million calls.

    Example: croupier bench memory --calls 1000000
    """
    plan = MemoryPlan(calls=calls, wallets=wallets, connections=connections)
    _report(ctx, lambda tell: bench_memory(plan, tell))


@app.command()
def growth(
    ctx: typer.Context,
    entries: Annotated[int, typer.Option(min=100, help="Journal entries of the past.")] = 1_000_000,
    seconds: Seconds = 5.0,
    rounds: Rounds = MIN_ROUNDS,
    wallets: Wallets = 2000,
) -> None:
    """The rate on a database with a long past, against an empty one.

    Example: croupier bench growth --entries 10000000
    """
    plan = GrowthPlan(entries=entries, seconds=seconds, rounds=rounds, wallets=wallets)
    _report(ctx, lambda tell: bench_growth(plan, tell))


@app.command()
def adapters(
    ctx: typer.Context,
    seconds: Annotated[float, typer.Option(min=0.1, help="One turn of an adapter and the native one.")] = 1.0,
    rounds: Annotated[
        int, typer.Option(min=1, help="Turns of each adapter; fewer than 3 prove nothing.")
    ] = 5,
) -> None:
    """What one call costs each adapter, verification to answer, against the native one; no network, no database.

    Example: croupier bench adapters --json > adapters.json
    """
    try:
        document = bench_adapters(AdaptersPlan(seconds=seconds, rounds=rounds), _progress())
    except NotSpoken as error:
        raise CommandFailed(str(error)) from error
    tell_document(output_of(ctx), document)


@app.command()
def table(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Documents of `--json`.")],
) -> None:
    """Render saved documents as the tables of docs/explanation/performance.md.

    Example: croupier bench table ledger.json callbacks.json
    """
    for file in files:
        try:
            document = msgspec.json.decode(file.read_bytes(), type=Document)
        except msgspec.DecodeError as error:
            raise CommandFailed(f"{file} is no document of `croupier bench`: {error}") from error
        sys.stdout.write(f"### bench {document.bench}\n\n{render_markdown(document)}\n\n")


def _report(ctx: typer.Context, bench: Callable[[Progress], Coroutine[Any, Any, Document]]) -> None:
    """Run a bench, its progress on stderr, and print what it found."""
    try:
        document = uvloop.run(bench(_progress()))
    except ChildFailed as error:
        raise CommandFailed(str(error)) from error
    tell_document(output_of(ctx), document)


def _progress() -> Progress:
    errors = Console(file=sys.stderr, highlight=False)
    return (lambda text: errors.print(text, style="dim")) if errors.is_terminal else _stay_silent


def tell_document(output: Output, document: Document) -> None:
    """Print one document, as JSON or for people."""
    if output.is_json:
        output.document(SCHEMA, msgspec.to_builtins(document))
    else:
        show(document, Console(file=sys.stdout, highlight=False))


def _stay_silent(_: str) -> None:
    """Progress is for terminals."""
