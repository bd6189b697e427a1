"""`croupier events trigger`: one signed sample event, sent by the same code that sends real ones."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer

from croupier.cli.events_change import require_consumer
from croupier.cli.events_keys import read_signing_key
from croupier.cli.output import EXIT_FAILURE, CommandFailed, output_of
from croupier.cli.settings import settings_of
from croupier.events import EVENT_TYPES, render_event
from croupier.ids import EVENT, IdSource, render_id
from croupier.operator.outbox.answers import Answer
from croupier.operator.outbox.post import EndpointClient, Message, make_message
from croupier.operator.outbox.samples import render_sample
from croupier.operator.outbox.settings import NATS, Endpoint
from croupier.runtime.config import resolve_outbox
from croupier.runtime.config.problems import render_nearest
from croupier_signing import SigningKey, random_token


def register(commands: typer.Typer) -> None:
    """Add the command to the group."""
    commands.command()(trigger)


def trigger(
    ctx: typer.Context,
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="A type of `croupier events catalogue`.")],
    endpoint: Annotated[
        str | None, typer.Option(help="A configured endpoint; with its address, secrets and limits.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Any address instead, such as that of `listen`.")] = None,
    secret: Annotated[
        str | None,
        typer.Option(metavar="REFERENCE", help="With --url, what signs it: env:NAME, file:PATH, …"),
    ] = None,
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private", help="With --url, an address inside the network, beside loopback."),
    ] = False,
) -> None:
    """Send one signed sample event and say what came back. Exit code 1 when it was not taken.

    The sample is about things that do not exist (player `sample-player`), stands in no list of events and is not
    repeated. Receivers cannot tell it from a real event by its form: send it to production with care.

    Examples:

      croupier events trigger money.moved --endpoint platform

      croupier events trigger break.opened --url http://127.0.0.1:8703/ --secret file:events.key
    """
    if type_ not in EVENT_TYPES:
        advice = render_nearest(type_, EVENT_TYPES, otherwise="`croupier events catalogue` lists them")
        raise typer.BadParameter(f"no event type is called {type_!r}; {advice}")
    target = _target(ctx, endpoint=endpoint, url=url, secret=secret, allow_private=allow_private)
    now = datetime.now(UTC)
    message = make_message(
        render_id(EVENT, IdSource().new(0)), render_event(type_, now, render_sample(type_, now))
    )
    answer = asyncio.run(_send(target, message, now))
    _tell(ctx, type_, target, message, answer)
    if not answer.is_delivered:
        raise typer.Exit(EXIT_FAILURE)


def _target(
    ctx: typer.Context, *, endpoint: str | None, url: str | None, secret: str | None, allow_private: bool
) -> Endpoint:
    if (endpoint is None) == (url is None):
        raise typer.BadParameter("name either --endpoint or --url")
    if url is not None:
        key = (
            SigningKey("trigger", random_token().encode())
            if secret is None
            else read_signing_key(ctx, secret)
        )
        is_permitted = allow_private or _is_own(url)
        return Endpoint(id="trigger", url=url, keys=(key,), allow_private=is_permitted)
    if secret is not None or allow_private:
        raise typer.BadParameter("--secret and --allow-private go with --url; an endpoint has its own")
    config = settings_of(ctx).read_config()
    name = require_consumer(config, endpoint or "").consumer
    if name == NATS:
        raise CommandFailed(
            "samples are not published to NATS, where they could not be told from real events"
        )
    return next(one for one in resolve_outbox(config, os.environ).endpoints if one.id == name)


def _is_own(url: str) -> bool:
    """Whether an address is this machine's own, such as that of `croupier events listen`."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def _send(target: Endpoint, message: Message, now: datetime) -> Answer:
    client = EndpointClient(target, connections=1)
    try:
        return await client.send_event(message, now)
    finally:
        await client.close()


def _tell(ctx: typer.Context, type_: str, target: Endpoint, message: Message, answer: Answer) -> None:
    output = output_of(ctx)
    if output.is_json:
        body: dict[str, Any] = {
            "type": type_,
            "event_id": message.event_id,
            "url": target.url,
            "delivered": answer.is_delivered,
            "status": answer.status,
            "error": answer.error,
            "excerpt": answer.excerpt,
            "duration_ms": answer.duration_ms,
            "payload": msgspec.json.decode(message.body),
        }
        output.document("events.trigger", body)
        return
    told = f"answered {answer.status}: taken" if answer.is_delivered else answer.error or ""
    output.say(f"{message.event_id} to {target.url}: {told} ({answer.duration_ms} ms)")
    if answer.excerpt:
        output.say(answer.excerpt)
