"""`croupier sign` and `croupier verify-signature`: one request signed or checked from the shell, in any scheme."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from croupier.cli.arguments import read_input
from croupier.cli.output import EXIT_FAILURE, CommandFailed, output_of
from croupier.cli.settings import settings_of
from croupier.cli.signature_schemes import (
    AUTHORIZATION,
    Choices,
    Lines,
    Scheme,
    Signed,
    WrongKeyKind,
    explain_request,
    named_key,
    sign_request,
)
from croupier.runtime.config import Config
from croupier.runtime.secrets import SecretUnavailable, resolve_secret
from croupier_signing import Finding, Key, MessageRequest, SignatureRefused, read_key, read_webhook_secret

COMPONENTS: Final = ("@method", "@path", "@query")

Method = Annotated[str, typer.Argument(metavar="METHOD", help="GET, POST, …")]
Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="Path with its query, or the whole URL, as it is sent.")
]
SchemeOption = Annotated[
    Scheme, typer.Option("--scheme", help="How requests are signed; a webhook's method and target are not.")
]
KeyId = Annotated[str | None, typer.Option("--key", metavar="ID", help="Key id.")]
SecretReference = Annotated[
    str | None,
    typer.Option(
        "--secret",
        metavar="REF",
        help="Where the secret or PEM key is: env:NAME or file:PATH; without it, the configured key of this id.",
    ),
]
BodyFile = Annotated[
    str | None,
    typer.Option("--body-file", metavar="FILE", help="File with the body bytes as sent; `-` is stdin."),
]
BodyText = Annotated[str | None, typer.Option("--body", metavar="TEXT", help="The body itself.")]
HeaderLines = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="LINE", help="A header line of the request, `Name: value`; repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add both commands to the command line."""
    app.command("sign")(sign)
    app.command("verify-signature")(verify_signature)


def sign(
    ctx: typer.Context,
    method: Method,
    target: Target,
    scheme: SchemeOption = Scheme.NATIVE,
    key: KeyId = None,
    secret: SecretReference = None,
    body_file: BodyFile = None,
    body: BodyText = None,
    header: HeaderLines = None,
    component: Annotated[
        list[str] | None,
        typer.Option(
            help="rfc9421: a component to cover, repeatable; without it, @method, @path and @query. A body always is."
        ),
    ] = None,
    timestamp: Annotated[
        int | None, typer.Option("--ts", min=0, help="Unix seconds; without it, now.")
    ] = None,
    nonce: Annotated[
        str | None,
        typer.Option(help="16 to 64 of A-Za-z0-9_-, or a webhook's id; without it, a new one."),
    ] = None,
) -> None:
    """Sign one request and print the headers to add, ready for `curl -H`.

    Examples:

      croupier sign GET '/v1/games?asset=EUR' --key lobby-1 --secret env:LOBBY_SECRET

      curl -H "$(croupier sign POST $URL --key studio-1 --body-file bet.json)" --data-binary @bet.json $URL

      croupier sign POST $URL --scheme rfc9421 --key lobby-1 --body-file cash.json > h

      curl -H @h --data-binary @cash.json $URL
    """
    if key is None:
        raise typer.BadParameter("name the key with --key")
    signing_key = _find_key(ctx, key, secret)
    if signing_key is None:
        raise CommandFailed(
            f"no key {key!r} is configured; name its secret with --secret env:NAME or file:PATH"
        )
    request = _request(method, target, _header_lines(header or [], None), _read_body(body_file, body))
    at_s = int(time.time()) if timestamp is None else timestamp
    choices = Choices(at_s, nonce, tuple(component or COMPONENTS))
    try:
        signed = sign_request(scheme, signing_key, request, choices)
    except (SignatureRefused, ValueError, WrongKeyKind) as error:
        raise typer.BadParameter(str(error)) from error
    _show_signed(ctx, scheme, signed)


def _show_signed(ctx: typer.Context, scheme: Scheme, signed: Signed) -> None:
    output = output_of(ctx)
    lines = [(name.decode().title(), value.decode()) for name, value in signed.lines]
    if output.is_json:
        shown: dict[str, object] = {"scheme": scheme.value, "headers": dict(lines)}
        if scheme is Scheme.NATIVE:
            shown["authorization"] = lines[0][1]
        canonical = signed.canonical.decode("utf-8", "backslashreplace")
        output.document("sign", shown | {"canonical": canonical})
    for name, value in lines:
        output.say(f"{name}: {value}")


def verify_signature(
    ctx: typer.Context,
    method: Method,
    target: Target,
    scheme: SchemeOption = Scheme.NATIVE,
    authorization: Annotated[
        str | None, typer.Option("--authorization", metavar="HEADER", help="The Authorization header.")
    ] = None,
    header: HeaderLines = None,
    header_file: Annotated[
        Path | None,
        typer.Option(
            "--header-file",
            metavar="FILE",
            help="File with the header lines, or with the Authorization alone.",
        ),
    ] = None,
    key: KeyId = None,
    secret: SecretReference = None,
    body_file: BodyFile = None,
    body: BodyText = None,
    at: Annotated[
        int | None, typer.Option("--at", min=0, help="Unix seconds to judge by; without it, now.")
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            min=1,
            max=3600,
            help="Seconds that the clock may be off; without it, the scheme's own.",
        ),
    ] = None,
) -> None:
    """Check one signed request and say which part differs from what was signed.

    Without --key the key that the header names is used. Exit code 1 when anything is wrong.

    Examples:

      croupier verify-signature POST /providers/studio/v1/bet --header-file header.txt --body-file bet.json

      croupier verify-signature GET /v1/games --authorization "$HEADER" --secret env:LOBBY_SECRET --json

      croupier verify-signature POST $URL --scheme rfc9421 --header-file headers.txt --body-file bet.json
    """
    lines = _given_lines(scheme, authorization, header or [], header_file)
    request = _request(method, target, lines, _read_body(body_file, body))
    named = key or named_key(scheme, request)
    if named is None and scheme is Scheme.STANDARD_WEBHOOKS:
        raise typer.BadParameter("a webhook names no key; name it with --key")
    try:
        findings = explain_request(
            scheme,
            _find_key(ctx, named, secret),
            request,
            now_s=int(time.time()) if at is None else at,
            window_s=window or scheme.window_s,
        )
    except WrongKeyKind as error:
        raise typer.BadParameter(str(error)) from error
    _show_findings(ctx, findings)
    if findings:
        raise typer.Exit(EXIT_FAILURE)


def _show_findings(ctx: typer.Context, findings: list[Finding]) -> None:
    output = output_of(ctx)
    if output.is_json:
        shown = [{"part": finding.part, "message": finding.message} for finding in findings]
        output.document("verify-signature", {"valid": not findings, "findings": shown})
    elif not findings:
        output.say("the signature is good")
    for finding in findings:
        output.say(f"{finding.part}: {finding.message}")


def _request(method: str, target: str, lines: Lines, body: bytes) -> MessageRequest:
    path, query = parse_target(target)
    parts = urlsplit("" if target.startswith("/") else target)
    host = next((value.decode("latin-1") for name, value in lines if name == b"host"), "")
    return MessageRequest(method, parts.scheme or "https", parts.netloc or host, path, query, lines, body)


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


def _given_lines(scheme: Scheme, authorization: str | None, header: list[str], file: Path | None) -> Lines:
    if scheme is not Scheme.NATIVE:
        if authorization is not None or not (header or file):
            raise typer.BadParameter("give the request's headers with --header or --header-file")
        return _header_lines(header, file)
    if (authorization is None) == (file is None):
        raise typer.BadParameter("give the header with --authorization or --header-file")
    text = read_input(str(file)).decode("latin-1") if authorization is None else authorization
    return ((AUTHORIZATION, _authorization_of(text).encode("utf-8", "surrogateescape")),)


def _authorization_of(text: str) -> str:
    """The value among header lines, or the value alone."""
    for line in text.strip().splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip().lower().encode() == AUTHORIZATION:
            return value.strip()
    return text.strip()


def _header_lines(header: list[str], file: Path | None) -> Lines:
    texts = [os.fsencode(line) for line in header]
    if file is not None:
        texts += [line for line in read_input(str(file)).splitlines() if b":" in line]
    found = []
    for text in texts:
        name, colon, value = text.partition(b":")
        if not colon:
            raise typer.BadParameter("a header line is `Name: value`")
        found.append((name.strip().lower(), value.strip()))
    return tuple(found)


def _find_key(ctx: typer.Context, key_id: str | None, secret: str | None) -> Key | None:
    """The key of an id with the secret named, or the configured one; None when nobody knows it."""
    if key_id is None:
        return None
    reference = secret if secret is not None else _configured_secret(settings_of(ctx).read_config(), key_id)
    if reference is None:
        return None
    try:
        material = resolve_secret(reference)
        if material.startswith(b"whsec_"):
            material = read_webhook_secret(material.decode("ascii", "replace"))
        return read_key(key_id, material)
    except SecretUnavailable as error:
        raise CommandFailed(str(error)) from error
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _configured_secret(config: Config, key_id: str) -> str | None:
    known = {key.id: key.secret for provider in config.providers for key in provider.keys}
    known |= {key.id: key.secret for key in config.api_keys if key.secret is not None}
    return known.get(key_id)
