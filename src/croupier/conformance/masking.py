"""Exchanges as a report shows them: whole, but without what would let a reader speak for the provider."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from croupier.conformance.reading import Request, Response
from croupier.conformance.stage import Stage
from croupier_signing import SigningKey

MASK: Final = "***"
MOST_CHARACTERS: Final = 4_000


def render_request(request: Request, stage: Stage) -> str:
    """The request as text, its signature hidden wherever it stands and however often."""
    hidden = stage.speaker.signature.name
    query = b"" if hidden == "query" and request.query else request.query
    head = f"{request.method} {replace(request, query=query).target.decode('latin-1')}"
    name = hidden.removeprefix("header:").encode()
    hidden_names = {name, b"webhook-signature"}
    headers = tuple((key, MASK.encode() if key in hidden_names else value) for key, value in request.headers)
    return _masked("\n".join([head, *_lines(headers), "", _text(request.body)]), stage)


def render_answer(response: Response, stage: Stage) -> str:
    """The answer as text."""
    if response.status == 0:
        return "no answer"
    return _masked(
        "\n".join([str(response.status), *_lines(response.headers), "", _text(response.body)]), stage
    )


def _lines(headers: tuple[tuple[bytes, bytes], ...]) -> list[str]:
    return [f"{name.decode('latin-1')}: {value.decode('latin-1')}" for name, value in headers]


def _text(body: bytes) -> str:
    text = body.decode("utf-8", "backslashreplace")
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}… ({len(body)} bytes)"


def _masked(text: str, stage: Stage) -> str:
    for secret in stage.secrets:
        text = text.replace(secret, MASK)
    for key in (
        stage.speaker.account.key,
        stage.target.old_key,
        stage.target.revoked_key,
        stage.target.foreign_key,
    ):
        if isinstance(key, SigningKey):
            text = text.replace(key.secret.decode("latin-1"), MASK)
    return text
