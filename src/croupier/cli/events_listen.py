"""`croupier events listen`: a receiver on this machine that checks and prints what it is sent."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
import typer
from aiohttp import web
from msgspec import Struct

from croupier.cli.events_keys import read_verifying_key
from croupier.cli.output import CommandFailed, Output, output_of
from croupier.cli.present import shown_time
from croupier_signing import PublicKey, SignatureRefused, SigningKey, verify_webhook

DEFAULT_PORT: Final = 8703
LARGEST_BODY: Final = 1024 * 1024
UNCHECKED: Final = "unchecked"
LONGEST_SHOWN: Final = 160


class Arrival(Struct, frozen=True):
    """What arrived: `signature` is `ok`, `unchecked`, or why it was refused."""

    event_id: str
    signature: str
    received_at: datetime
    body: bytes

    @property
    def is_accepted(self) -> bool:
        return self.signature in ("ok", UNCHECKED)


def register(commands: typer.Typer) -> None:
    """Add the command to the group."""
    commands.command()(listen)


def listen(
    ctx: typer.Context,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes any.")
    ] = DEFAULT_PORT,
    secret: Annotated[
        str | None,
        typer.Option(metavar="REFERENCE", help="What signatures are checked with: env:NAME, file:PATH, …"),
    ] = None,
    once: Annotated[
        int | None, typer.Option("--once", metavar="N", min=1, help="End after N accepted events.")
    ] = None,
) -> None:
    """Receive events on this machine and print one line for each; with --json a JSON document a line.

    An event that is not signed with the secret is answered 401; without a secret nothing is checked. To have real
    events sent here, name http://127.0.0.1:8703/ as the `url` of an endpoint with `allow_private = true`. Ends with
    Ctrl-C.

    Examples:

      croupier events listen --secret file:events.key

      croupier events listen --port 9000 --once 10 --json
    """
    key = None if secret is None else read_verifying_key(ctx, secret)
    asyncio.run(_Receiver(output_of(ctx), key, once).run(port))


class _Receiver:
    def __init__(self, output: Output, key: SigningKey | PublicKey | None, once: int | None) -> None:
        self._output = output
        self._key = key
        self._left = once
        self._done = asyncio.Event()

    async def run(self, port: int) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._done.set)
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_post("/{path:.*}", self._receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            self._greet(runner.addresses[0][1])
            await self._done.wait()
        except OSError as error:
            raise CommandFailed(f"port {port} cannot be used: {error.strerror}") from None
        finally:
            await runner.cleanup()

    def _greet(self, port: int) -> None:
        checked = "signatures are checked" if self._key is not None else "signatures are NOT checked"
        self._output.note(f"listening on http://127.0.0.1:{port}/, {checked}; Ctrl-C ends")

    async def _receive(self, request: web.Request) -> web.Response:
        now = datetime.now(UTC)
        body = await request.read()
        arrival = Arrival(request.headers.get("webhook-id", ""), self._judge(request, body, now), now, body)
        self._tell(arrival)
        if not arrival.is_accepted:
            return web.Response(status=401, text=arrival.signature)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                # The answer is sent first: what is under way is finished before the server ends.
                self._done.set()
        return web.Response(status=204)

    def _judge(self, request: web.Request, body: bytes, now: datetime) -> str:
        if self._key is None:
            return UNCHECKED
        given = {
            name: request.headers.get(f"webhook-{name}", "").encode("utf-8", "replace")
            for name in ("id", "timestamp", "signature")
        }
        try:
            verify_webhook(
                [self._key],
                webhook_id=given["id"],
                timestamp=given["timestamp"],
                signature=given["signature"],
                body=body,
                now_s=int(now.timestamp()),
            )
        except SignatureRefused as refused:
            return str(refused)
        return "ok"

    def _tell(self, arrival: Arrival) -> None:
        try:
            payload = msgspec.json.decode(arrival.body)
        except msgspec.DecodeError:
            payload = None
        if self._output.is_json:
            told = {
                "event_id": arrival.event_id,
                "signature": arrival.signature,
                "received_at": shown_time(arrival.received_at),
                "payload": payload,
            }
            self._output.line("events.listen", told)
            return
        self._output.say(f"{shown_time(arrival.received_at)}  {_shown(arrival, payload)}")


def _shown(arrival: Arrival, payload: Any) -> str:
    mark = {"ok": "", UNCHECKED: "  (unchecked)"}.get(arrival.signature, f"  REFUSED {arrival.signature}")
    if not isinstance(payload, dict):
        return f"{arrival.event_id}  no event{mark}"
    data = msgspec.json.encode(payload.get("data")).decode()
    short = data if len(data) <= LONGEST_SHOWN else data[:LONGEST_SHOWN] + "…"
    return f"{arrival.event_id}  {payload.get('type', 'no type')}{mark}  {short}"
