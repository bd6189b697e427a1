"""`croupier sandbox webhook`: one signed webhook of the native protocol, sent by hand."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
import typer

from croupier.cli.arguments import read_input
from croupier.cli.output import EXIT_FAILURE, output_of
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier.sandbox.calls import render_moment
from croupier.sandbox.client import GatewayClient, NoReply
from croupier.sandbox.protocols.native import NativeWire
from croupier.sandbox.protocols.native_webhooks import render_webhook
from croupier.sandbox.replies import Received
from croupier.sandbox.wire import Account
from croupier_signing import SigningKey, random_nonce

PATIENCE_S: Final = 30.0
MOST_COPIES: Final = 1_000


def register(sandbox: typer.Typer) -> None:
    """Add the command to the sandbox's group."""
    sandbox.command("webhook")(webhook)


def webhook(
    ctx: typer.Context,
    kind: Annotated[
        str, typer.Argument(metavar="TYPE", help="round.completed, jackpot.won, …; any text is sent.")
    ],
    key_id: Annotated[str, typer.Option(help="Id of the provider's inbound key.")],
    secret: Annotated[str, typer.Option(metavar="REF", help="Its secret: env:NAME or file:PATH.")],
    data: Annotated[
        str, typer.Option(metavar="JSON", help="The `data` object; @FILE reads a file, @- stdin.")
    ] = "{}",
    gateway: Annotated[str, typer.Option(help="Base URL of the gateway.")] = "http://127.0.0.1:8700",
    provider: Annotated[str, typer.Option(help="The provider id at the gateway.")] = "sandbox",
    webhook_id: Annotated[
        str | None, typer.Option("--id", help="Its webhook-id, to send one again; a new one without it.")
    ] = None,
    moment: Annotated[
        str | None,
        typer.Option(
            "--timestamp", metavar="TIME", help="`timestamp` in the body, RFC 3339; without it, now."
        ),
    ] = None,
    duplicate: Annotated[
        int, typer.Option(min=0, max=MOST_COPIES, metavar="N", help="Send it so many times more.")
    ] = 0,
) -> None:
    """Send one signed webhook as the provider would, and show the answer to each copy.

    To send a webhook again unchanged, give its --id, --data and --timestamp.

    Examples:

      croupier sandbox webhook session.closed --key-id sandbox-in-1 --secret file:.croupier/keys/sandbox-in-1.key
      --data '{"session_id": "ses_…", "player_id": "p-1", "occurred_at": "2026-01-31T12:00:00Z"}'

      croupier sandbox webhook round.exploded --key-id sandbox-in-1 --secret env:STUDIO_SECRET --duplicate 2
    """
    wire = _open(gateway, provider, key_id, secret)
    at = moment or render_moment(datetime.now(UTC))
    body = render_webhook(kind, at, _read_data(data))
    chosen = webhook_id or f"msg_{random_nonce()}"
    answers = asyncio.run(_send_all(wire, chosen, body, 1 + duplicate))
    _show(ctx, chosen, at, answers)
    if not all(isinstance(answer, Received) and answer.status == 202 for answer in answers):
        raise typer.Exit(EXIT_FAILURE)


def _open(gateway: str, provider: str, key_id: str, secret: str) -> NativeWire:
    try:
        key = SigningKey(key_id, resolve_secret(secret))
        base = f"{gateway.rstrip('/')}/providers/{provider}"
        return NativeWire(Account(provider, "croupier_v1", base, key, (key,)))
    except (SecretUnavailable, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


def _read_data(text: str) -> Any:
    """The object as it is written, member for member; typer.BadParameter when it is none."""
    content = read_input(text[1:]) if text.startswith("@") else text.encode()
    try:
        if isinstance(msgspec.json.decode(content), dict):
            return msgspec.Raw(content.strip())
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"--data is not JSON: {error}") from None
    raise typer.BadParameter("--data is a JSON object")


async def _send_all(wire: NativeWire, webhook_id: str, body: bytes, copies: int) -> list[Received | str]:
    """The answers, one after the other; a text says why there was none. typer.BadParameter for an impossible id."""
    answers: list[Received | str] = []
    async with GatewayClient(wire) as client:
        for _ in range(copies):
            try:
                signed = wire.webhooks.sign(webhook_id, body, int(time.time()))
                answers.append(await client.send(signed, patience_s=PATIENCE_S))
            except ValueError as error:
                raise typer.BadParameter(str(error)) from None
            except NoReply as fault:
                answers.append(fault.why)
    return answers


def _show(ctx: typer.Context, webhook_id: str, moment: str, answers: list[Received | str]) -> None:
    output = output_of(ctx)
    shown = [_shown(answer) for answer in answers]
    if output.is_json:
        document = {"webhook_id": webhook_id, "timestamp": moment, "answers": shown}
        output.document("sandbox.webhook", document)
        return
    output.say(f"webhook-id {webhook_id}, timestamp {moment}")
    for answer in shown:
        said = "no answer: " + answer["why"] if answer["status"] is None else f"{answer['status']}"
        output.say(f"{said} {answer['body'] or ''}".rstrip())


def _shown(answer: Received | str) -> dict[str, Any]:
    if isinstance(answer, str):
        return {"status": None, "why": answer, "body": None, "retry_after": None}
    text = answer.body.decode("utf-8", "replace")
    return {"status": answer.status, "why": None, "body": text, "retry_after": answer.retry_after}
