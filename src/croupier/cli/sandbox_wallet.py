"""`croupier sandbox wallet`: the reference wallet of the operator's side, as a process of its own."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Final

import asyncpg
import typer
import uvloop

from croupier.runtime.database import DatabaseUrlError, redact_url, require_database_url
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier.sandbox.wallet.books import PostTaken
from croupier.sandbox.wallet.faults import LONGEST_WAIT_MS
from croupier.sandbox.wallet.service import serve
from croupier.sandbox.wallet.settings import WalletSettings
from croupier_signing import SigningKey

DATABASE_VARIABLE: Final = "CROUPIER_SANDBOX_WALLET_DATABASE_URL"

app = typer.Typer(
    name="wallet", no_args_is_help=True, help="An operator's wallet that keeps the contract, or breaks it."
)


def register(sandbox: typer.Typer) -> None:
    """Add the group to the sandbox's."""
    sandbox.add_typer(app, name="wallet")


@app.callback()
def _wallet() -> None:
    """An operator's wallet that keeps the contract, and breaks it on request."""


@app.command("serve")
def serve_wallet(
    database: Annotated[
        str, typer.Option(envvar=DATABASE_VARIABLE, metavar="URL", help="PostgreSQL URL of its own books.")
    ],
    secret: Annotated[
        str, typer.Option(metavar="REF", help="Secret that Croupier signs with: env:NAME or file:PATH.")
    ],
    key_id: Annotated[str, typer.Option(help="Id of that key.")] = "wallet",
    listen: Annotated[str, typer.Option(help="Loopback address and port; port 0 takes a free one.")] = (
        "127.0.0.1:8703"
    ),
    latency_ms: Annotated[
        int, typer.Option(min=0, max=LONGEST_WAIT_MS, metavar="N", help="Its own time for every call.")
    ] = 0,
    seed: Annotated[str | None, typer.Option(help="Repeat the chances of an earlier run.")] = None,
    until_eof: Annotated[bool, typer.Option("--until-eof", help="End when stdin ends.")] = False,
) -> None:
    """Serve the wallet contract until SIGTERM, with a cashier and switches for misbehaviour on the same port.

    Example: croupier sandbox wallet serve --secret file:.croupier/keys/wallet.key
    --database postgresql://wallet@127.0.0.1:5432/wallet
    """
    try:
        host, port = _split_address(listen)
        settings = WalletSettings(
            database_url=require_database_url(database),
            key=SigningKey(key_id, resolve_secret(secret)),
            host=host,
            port=port,
            latency_ms=latency_ms,
            seed=seed,
        )
    except (SecretUnavailable, DatabaseUrlError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    _run(settings, until_eof=until_eof)


def _run(settings: WalletSettings, *, until_eof: bool) -> None:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, until_eof=until_eof))
    except PostTaken as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        typer.echo(f"the database {redact_url(settings.database_url)} cannot be used: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(
            f"cannot listen on {settings.host}:{settings.port}, or reach the database: {error}", err=True
        )
        raise typer.Exit(1) from None


async def _serve(settings: WalletSettings, *, until_eof: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(sys.stdin.fileno())
        stop.set()

    if until_eof:
        # Nobody writes there: whatever can be read is its end.
        loop.add_reader(sys.stdin.fileno(), end)
    await serve(settings, announce=_announce, until=stop)


def _announce(address: str) -> None:
    typer.echo(f"reference wallet listening on {address}")
    sys.stdout.flush()


def _split_address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"--listen must be host:port, not {listen!r}")
    return host.strip("[]"), int(port)


if __name__ == "__main__":
    app(prog_name="croupier sandbox wallet")
