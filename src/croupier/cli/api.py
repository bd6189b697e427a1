"""`croupier api`: one request to the operator API from the shell, with the token and headers it needs."""

from __future__ import annotations

import asyncio
import json as json_module
import os
import uuid
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
import typer
from msgspec import Struct

from croupier.cli.output import EXIT_FAILURE, CommandFailed, output_of
from croupier.cli.settings import settings_of
from croupier.runtime.config.starter import KEYS_FOLDER
from croupier.runtime.secrets import SecretUnavailable, resolve_secret

TIMEOUT_S: Final = 30
DEFAULT_TOKEN: Final = f"file:{KEYS_FOLDER}/operator.key"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("api")(call_api)


TokenOption = Annotated[str, typer.Option(help="Bearer token: env:NAME or file:PATH.")]
KeyOption = Annotated[str | None, typer.Option(help="Default: a new one.")]
UrlOption = Annotated[str | None, typer.Option(help="Base URL; default: the configured public address.")]


def call_api(
    context: typer.Context,
    method: Annotated[str, typer.Argument(help="GET or POST.")],
    path: Annotated[str, typer.Argument(help="Path and query, such as /v1/sessions.")],
    body: Annotated[str | None, typer.Argument(help="JSON body of a POST.")] = None,
    token: TokenOption = DEFAULT_TOKEN,
    idempotency_key: KeyOption = None,
    url: UrlOption = None,
) -> None:
    """Send one request to the operator API and print the answer. Exit code 1 for every answer but 2xx.

    Examples:

      croupier api GET /v1/wallets/alice/EUR

      croupier api POST /v1/wallets/alice/EUR/deposits '{"amount": "1250", "reference": "deposit-1"}'
    """
    wanted = ApiRequest(method.upper(), path, body, token=token, idempotency_key=idempotency_key, url=url)
    status, answer = ask_api(context, wanted)
    print_answer = json_module.dumps(answer, indent=2, ensure_ascii=False)
    typer.echo(print_answer)
    if status >= 300:
        output_of(context).complain(f"croupier: the answer was {status}")
        raise typer.Exit(EXIT_FAILURE)


class ApiRequest(Struct, frozen=True):
    """One request to the operator API: who asks, for what, and where; what is None is as configured, or new."""

    method: str
    path: str
    body: str | None = None
    token: str = DEFAULT_TOKEN
    idempotency_key: str | None = None
    url: str | None = None


def ask_api(context: typer.Context, wanted: ApiRequest) -> tuple[int, Any]:
    """Status and JSON of the answer. Raises CommandFailed when there is no token, nobody answers, or not with JSON."""
    base = wanted.url or f"http://{settings_of(context).read_config().http.public}"
    try:
        secret = resolve_secret(
            anchored(wanted.token, settings_of(context).effective_config_path), env=os.environ
        ).decode()
    except SecretUnavailable as error:
        raise CommandFailed(f"the token cannot be read: {error.what}; {error.fix}") from None
    headers = {"Authorization": f"Bearer {secret}"}
    if wanted.method == "POST":
        headers |= {
            "Idempotency-Key": wanted.idempotency_key or uuid.uuid4().hex,
            "Content-Type": "application/json",
        }
    return asyncio.run(_send(wanted.method, base + wanted.path, wanted.body, headers))


def anchored(token: str, config_path: Path | None) -> str:
    """A relative file counts from the configuration's folder, as in the configuration."""
    scheme, _, name = token.partition(":")
    if scheme != "file" or config_path is None or Path(name).is_absolute():
        return token
    return f"file:{config_path.absolute().parent / name}"


async def _send(method: str, url: str, body: str | None, headers: dict[str, str]) -> tuple[int, Any]:
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.request(method, url, data=body, headers=headers) as reply,
        ):
            return reply.status, await reply.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise CommandFailed(f"{url} does not answer ({error}); is `croupier serve` running?") from None
    except json_module.JSONDecodeError:
        raise CommandFailed(f"{url} did not answer with JSON; is it Croupier's public address?") from None
