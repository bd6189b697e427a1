"""`croupier demo`: see all of it work, under attack, in one command."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop
from rich.console import Console

from croupier.cli.output import EXIT_INVARIANT, CommandFailed
from croupier.demo.folder import prepare_folder
from croupier.demo.own_wallet import own_wallet
from croupier.demo.platform import PlatformError
from croupier.demo.run import Demo, write_summary
from croupier.demo.settings import DemoSettings, WalletMode
from croupier.demo.studio import DemoFailed
from croupier.demo.summary import is_held, tell
from croupier.runtime.config.starter import CONFIG_NAME
from croupier.runtime.supervisor import NotReady
from croupier.telemetry.logs import set_up_logs

FOLDERS: Final = {
    WalletMode.BUILTIN: Path(".croupier/demo"),
    WalletMode.REMOTE: Path(".croupier/demo-remote-wallet"),
}
"""Books of one mode are never used for the other."""
_NOT_YET: Final = {WalletMode.BUILTIN: None, WalletMode.REMOTE: "http://127.0.0.1:8703"}
"""Where the wallet stands in the configuration until it has a port."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(demo)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End after the summary; exit 3 if an invariant fails.")
    ] = False,
    players: Annotated[int, typer.Option(min=1, max=5000, help="How many players.")] = 50,
    rounds: Annotated[int, typer.Option(min=1, max=10_000, help="Rounds of each player.")] = 40,
    seed: Annotated[int, typer.Option(help="Decides every random choice.")] = 1,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Gateway processes.")] = 2,
    wallet: Annotated[
        WalletMode,
        typer.Option(
            help="Who keeps the players' money; `remote`: a wallet of the operator's, which misbehaves."
        ),
    ] = WalletMode.BUILTIN,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the summary there too.")
    ] = None,
) -> None:
    """Play real signed rounds through a real database, with everything that goes wrong, and judge the books.

    Example: croupier demo --once --players 50 --rounds 40 --json out.json
    """
    settings = DemoSettings(players=players, rounds=rounds, seed=seed, workers=workers, wallet=wallet)
    try:
        held = uvloop.run(_demo(settings, json, is_once=once))
    except (NotReady, DemoFailed, PlatformError) as error:
        raise CommandFailed(str(error)) from None
    if not held:
        raise typer.Exit(EXIT_INVARIANT)


async def _demo(settings: DemoSettings, json_path: Path | None, *, is_once: bool) -> bool:
    console = Console()
    # Refusals are the point of the demo; its summary counts them, and a worker's log need not.
    os.environ["CROUPIER_TELEMETRY_LOG_LEVEL"] = "error"
    folder = FOLDERS[settings.wallet]
    config = prepare_folder(folder, os.environ, wallet_url=_NOT_YET[settings.wallet])
    set_up_logs(log_format="console", level="info", file=(folder / "demo.log").open("w"))
    console.print(f"starting PostgreSQL, {settings.workers} gateway processes and the sandbox provider")
    async with own_wallet(config, folder, settings) as wallet:
        if wallet is not None:
            console.print(f"the operator's own wallet keeps the players' money, at {wallet.url}")
            config = prepare_folder(folder, os.environ, wallet_url=wallet.url)
        return await _play(
            Demo(config, folder, settings, console, wallet), console, json_path, is_once=is_once
        )


async def _play(demonstration: Demo, console: Console, json_path: Path | None, *, is_once: bool) -> bool:
    supervisor = demonstration.deployment.supervisor
    await demonstration.forget_earlier_run()
    serving = asyncio.create_task(supervisor.run())
    try:
        await _until_ready(serving, supervisor.is_ready)
        summary = await demonstration.play()
        tell(summary, demonstration.assets, console)
        if json_path is not None:
            write_summary(json_path, summary)
            console.print(f"\nthe same as JSON: {json_path}")
        if not is_once:
            console.print(f"\nthe console is at {demonstration.console_url}; Ctrl-C ends everything")
            console.print(
                "look around in another shell: croupier --config "
                f"{demonstration.folder / CONFIG_NAME} session list"
            )
            await serving
        return is_held(summary)
    finally:
        supervisor.ask_to_stop()
        with contextlib.suppress(asyncio.CancelledError):
            await serving


async def _until_ready(serving: asyncio.Task[None], ready: asyncio.Event) -> None:
    waiting = asyncio.create_task(ready.wait())
    done, _ = await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if waiting not in done:
        waiting.cancel()
        await serving
        raise NotReady("it was stopped before it was ready")
