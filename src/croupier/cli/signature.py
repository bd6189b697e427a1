"""`croupier sign` and `croupier verify-signature`: one request signed or checked from the shell."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from croupier.cli.arguments import read_input
from croupier.cli.output import EXIT_FAILURE, CommandFailed, output_of
from croupier.cli.settings import settings_of
from croupier.runtime.config import Config
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import (
    WINDOW_S,
    SignatureRefused,
    SigningKey,
    canonical_request,
    explain_native,
    parse_authorization,
    random_nonce,
    sign_native,
)

HEADER = "Authorization"

Method = Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, …")]
Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="Path with its query, or the whole URL, as it is sent.")
]
KeyId = Annotated[str | None, typer.Option("--key", metavar="ID", help="Key id.")]
SecretReference = Annotated[
    str | None,
    typer.Option(
        "--secret",
        metavar="REF",
        help="Where the secret is: env:NAME or file:PATH; without it, the configured key of this id.",
    ),
]
BodyFile = Annotated[
    str | None,
    typer.Option("--body-file", metavar="FILE", help="File with the body bytes as sent; `-` is stdin."),
]
BodyText = Annotated[str | None, typer.Option("--body", metavar="TEXT", help="The body itself.")]


def register(app: typer.Typer) -> None:
    """Add both commands to the command line."""
    app.command("sign")(sign)
    app.command("verify-signature")(verify_signature)


def sign(
    ctx: typer.Context,
    method: Method,
    target: Target,
    key: KeyId = None,
    secret: SecretReference = None,
    body_file: BodyFile = None,
    body: BodyText = None,
    timestamp: Annotated[
        int | None, typer.Option("--ts", min=0, help="Unix seconds; without it, now.")
    ] = None,
    nonce: Annotated[str | None, typer.Option(help="16 to 64 of A-Za-z0-9_-; without it, a new one.")] = None,
) -> None:
    """Sign one request and print its Authorization header, ready for `curl -H`.

    Examples:

      croupier sign GET '/v1/games?asset=EUR' --key lobby-1 --secret env:LOBBY_SECRET

      curl -H "$(croupier sign POST $URL --key studio-1 --body-file bet.json)" --data-binary @bet.json $URL
    """
    if key is None:
        raise typer.BadParameter("name the key with --key")
    signing_key = _find_key(ctx, key, secret)
    if signing_key is None:
        raise CommandFailed(
            f"no key {key!r} is configured; name its secret with --secret env:NAME or file:PATH"
        )
    path, query = parse_target(target)
    content = _read_body(body_file, body)
    at_s = int(time.time()) if timestamp is None else timestamp
    unique = nonce or random_nonce()
    try:
        header = sign_native(
            signing_key, method=method, path=path, query=query, timestamp_s=at_s, nonce=unique, body=content
        )
        canonical = canonical_request(
            method=method, path=path, query=query, timestamp_s=at_s, nonce=unique, body=content
        )
    except (SignatureRefused, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    output = output_of(ctx)
    if output.is_json:
        output.document("sign", {"authorization": header, "canonical": canonical.decode()})
    output.say(f"{HEADER}: {header}")


def verify_signature(
    ctx: typer.Context,
    method: Method,
    target: Target,
    authorization: Annotated[
        str | None, typer.Option("--authorization", metavar="HEADER", help="The Authorization header.")
    ] = None,
    header_file: Annotated[
        Path | None,
        typer.Option("--header-file", metavar="FILE", help="File with the Authorization header."),
    ] = None,
    key: KeyId = None,
    secret: SecretReference = None,
    body_file: BodyFile = None,
    body: BodyText = None,
    at: Annotated[
        int | None, typer.Option("--at", min=0, help="Unix seconds to judge by; without it, now.")
    ] = None,
    window: Annotated[
        int, typer.Option("--window", min=1, max=3600, help="Seconds that the clock may be off.")
    ] = WINDOW_S,
) -> None:
    """Check one signed request and say which part differs from what was signed.

    Without --key the key that the header names is used. Exit code 1 when anything is wrong.

    Examples:

      croupier verify-signature POST /providers/studio/v1/bet --header-file header.txt --body-file bet.json

      croupier verify-signature GET /v1/games --authorization "$HEADER" --secret env:LOBBY_SECRET --json
    """
    header = _read_header(authorization, header_file)
    path, query = parse_target(target)
    findings = explain_native(
        header,
        key=_find_key(ctx, key or _named_key(header), secret),
        method=method,
        path=path,
        query=query,
        body=_read_body(body_file, body),
        now_s=int(time.time()) if at is None else at,
        window_s=window,
    )
    output = output_of(ctx)
    if output.is_json:
        shown = [{"part": finding.part, "message": finding.message} for finding in findings]
        output.document("verify-signature", {"valid": not findings, "findings": shown})
    elif not findings:
        output.say("the signature is good")
    for finding in findings:
        output.say(f"{finding.part}: {finding.message}")
    if findings:
        raise typer.Exit(EXIT_FAILURE)


def parse_target(target: str) -> tuple[bytes, bytes]:
    """Path and query as bytes on the wire, from a path or a whole URL; typer.BadParameter for a fragment."""
    if "#" in target:
        raise typer.BadParameter("a fragment (#…) is never sent; leave it out")
    if not target.startswith("/"):
        parts = urlsplit(target)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise typer.BadParameter(f"{target!r} is neither a path that begins with / nor an http(s) URL")
        target = target[len(parts.scheme) + 3 + len(parts.netloc) :]
    path, _, query = target.partition("?")
    return os.fsencode(path), os.fsencode(query)


def _read_body(file: str | None, text: str | None) -> bytes:
    if file is not None and text is not None:
        raise typer.BadParameter("give --body-file or --body, not both")
    if file is not None:
        return read_input(file)
    return os.fsencode(text or "")


def _read_header(text: str | None, file: Path | None) -> str:
    if (text is None) == (file is None):
        raise typer.BadParameter("give the header with --authorization or --header-file")
    if text is None:
        text = read_input(str(file)).decode("latin-1")
    name, colon, value = text.strip().partition(":")
    return value.strip() if colon and name.strip().lower() == HEADER.lower() else text.strip()


def _named_key(header: str) -> str | None:
    try:
        return parse_authorization(header).key_id
    except SignatureRefused:
        return None


def _find_key(ctx: typer.Context, key_id: str | None, secret: str | None) -> SigningKey | None:
    """The key of an id with the secret named, or the configured one; None when nobody knows it."""
    if key_id is None:
        return None
    reference = secret if secret is not None else _configured_secret(settings_of(ctx).read_config(), key_id)
    if reference is None:
        return None
    try:
        return SigningKey(key_id, resolve_secret(reference))
    except SecretUnavailable as error:
        raise CommandFailed(str(error)) from error
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _configured_secret(config: Config, key_id: str) -> str | None:
    known = {key.id: key.secret for provider in config.providers for key in provider.keys}
    known |= {key.id: key.secret for key in config.api_keys if key.secret is not None}
    return known.get(key_id)
