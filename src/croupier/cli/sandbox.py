"""`croupier sandbox`: the provider for tests, as a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from croupier.cli import sandbox_wallet, sandbox_webhook
from croupier.cli.sandbox_accounts import BadAccounts, read_accounts
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier.sandbox.service import Settings, serve
from croupier.sandbox.wire import Account
from croupier_signing import SigningKey

app = typer.Typer(
    name="sandbox", no_args_is_help=True, help="A provider that plays fair games and misbehaves on request."
)


def register(root: typer.Typer) -> None:
    """Add the group to the command line."""
    root.add_typer(app, name="sandbox")


@app.callback()
def _sandbox() -> None:
    """A provider that plays fair games and misbehaves on request."""


sandbox_webhook.register(app)
sandbox_wallet.register(app)


@app.command("serve")
def serve_sandbox(
    key_id: Annotated[
        str | None, typer.Option(help="Id of the key that signs calls to the gateway, natively.")
    ] = None,
    secret: Annotated[str | None, typer.Option(help="Its secret: env:NAME or file:PATH.")] = None,
    launch_key_id: Annotated[
        str | None, typer.Option(help="Id of the key the gateway signs launches with; default: --key-id.")
    ] = None,
    launch_secret: Annotated[str | None, typer.Option(help="Its secret; default: --secret.")] = None,
    listen: Annotated[str, typer.Option(help="Loopback address and port; port 0 takes a free one.")] = (
        "127.0.0.1:8702"
    ),
    gateway: Annotated[str, typer.Option(help="Base URL of the gateway.")] = "http://127.0.0.1:8700",
    provider: Annotated[str, typer.Option(help="Our provider id at the gateway.")] = "sandbox",
    accounts: Annotated[
        Path | None,
        typer.Option(help="More accounts, of any protocol: a TOML or JSON file.", metavar="FILE"),
    ] = None,
    seed: Annotated[str | None, typer.Option(help="Repeat the crash games of an earlier run.")] = None,
) -> None:
    """Serve dice, mines and crash until SIGTERM, as one native account and those of --accounts.

    Example: croupier sandbox serve --key-id sandbox-in-1 --secret file:.croupier/keys/sandbox-in-1.key
    --launch-key-id sandbox-out-1 --launch-secret file:.croupier/keys/sandbox-out-1.key
    """
    try:
        own = _native_account(gateway, provider, (key_id, secret), (launch_key_id, launch_secret))
        host, port = _split_address(listen)
        others = () if accounts is None else read_accounts(accounts)
        settings = Settings(accounts=(*own, *others), host=host, port=port, seed=seed)
    except (SecretUnavailable, BadAccounts, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    _run(settings)


def _native_account(
    gateway: str,
    provider: str,
    callback: tuple[str | None, str | None],
    launch: tuple[str | None, str | None],
) -> tuple[Account, ...]:
    """The account that the options describe, if they do; each pair is a key's id and secret reference."""
    key_id, secret = callback
    if key_id is None and secret is None:
        return ()
    if key_id is None or secret is None:
        raise ValueError("--key-id and --secret belong together")
    account = Account(
        id=provider,
        protocol="croupier_v1",
        callback_base=f"{gateway.rstrip('/')}/providers/{provider}",
        callback_key=SigningKey(key_id, resolve_secret(secret)),
        launch_keys=(SigningKey(launch[0] or key_id, resolve_secret(launch[1] or secret)),),
    )
    return (account,)


def _run(settings: Settings) -> None:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(
                serve(settings, announce=lambda address: typer.echo(f"sandbox listening on {address}"))
            )
    except OSError as error:
        typer.echo(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}", err=True)
        raise typer.Exit(1) from None


def _split_address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"--listen must be host:port, not {listen!r}")
    return host.strip("[]"), int(port)


if __name__ == "__main__":
    app(prog_name="croupier sandbox")
