"""`croupier sandbox`: the provider for tests, as a process of its own."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
import uvloop

from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier.sandbox.service import Settings, serve
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


@app.command("serve")
def serve_sandbox(
    key_id: Annotated[str, typer.Option(help="Id of the key that signs calls to the gateway.")],
    secret: Annotated[str, typer.Option(help="Its secret: env:NAME or file:PATH.")],
    launch_key_id: Annotated[
        str | None, typer.Option(help="Id of the key the gateway signs launches with; default: --key-id.")
    ] = None,
    launch_secret: Annotated[str | None, typer.Option(help="Its secret; default: --secret.")] = None,
    listen: Annotated[str, typer.Option(help="Loopback address and port; port 0 takes a free one.")] = (
        "127.0.0.1:8702"
    ),
    gateway: Annotated[str, typer.Option(help="Base URL of the gateway.")] = "http://127.0.0.1:8700",
    provider: Annotated[str, typer.Option(help="Our provider id at the gateway.")] = "sandbox",
    seed: Annotated[str | None, typer.Option(help="Repeat the crash games of an earlier run.")] = None,
) -> None:
    """Serve dice, mines and crash until SIGTERM.

    Example: croupier sandbox serve --key-id sandbox-in-1 --secret file:.croupier/keys/sandbox-in-1.key
    --launch-key-id sandbox-out-1 --launch-secret file:.croupier/keys/sandbox-out-1.key
    """
    try:
        callback_key = SigningKey(key_id, resolve_secret(secret))
        launch_key = SigningKey(launch_key_id or key_id, resolve_secret(launch_secret or secret))
        host, port = _split_address(listen)
        settings = Settings(
            gateway=gateway,
            provider=provider,
            callback_key=callback_key,
            launch_keys=(launch_key,),
            host=host,
            port=port,
            seed=seed,
        )
    except (SecretUnavailable, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    _run(settings)


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
