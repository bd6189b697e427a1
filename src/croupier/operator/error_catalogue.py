"""The catalogue of errors in words: what each one means, what it says about money, and what the caller does next."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from croupier.errors import CATALOGUE, ErrorKind, MoneyMoved, Retry

PAGE: Final = "docs/reference/errors.md"

WHAT_TO_DO: Final[Mapping[Retry, str]] = MappingProxyType(
    {
        Retry.SAME_KEY_NOW: "Repeat the same request now, signed anew, under the same key or reference.",
        Retry.AFTER_WAIT: "Repeat the same request under the same key or reference after `Retry-After`, "
        "or with growing pauses and jitter.",
        Retry.PROBE_FIRST: "Ask what became of it before anything else is sent.",
        Retry.NEVER: "Do not repeat it: the answer stays the same. Change what is wrong.",
        Retry.HUMAN: "Nothing a program repeats will help; a person has to change something first.",
    }
)
"""What a retry class means. Only the class decides about retries; a message never does."""

WHAT_MONEY_DID: Final[Mapping[MoneyMoved, str]] = MappingProxyType(
    {
        MoneyMoved.NO: "nothing moved",
        MoneyMoved.YES: "money moved",
        MoneyMoved.UNKNOWN: "this answer does not say; the repeat does",
    }
)

_HEAD: Final = """\
# Errors

Generated from the code by `python -m croupier.cli.reference`; do not edit.

An error means that Croupier could not decide or deliver. (A decline is a decision, not an error: it is answered with
200 and stays the same for ever under its reference.) Errors are `application/problem+json`; `code` is stable, `detail`
says what was wrong this time and what would be right, `player_message`, where there is one, may be shown to a player as
it is. Every code has exactly one class, and only the class decides about repeating.

| class | what to do |
|---|---|
"""


def render_errors_page() -> str:
    """The reference page: the classes, then every code by its status."""
    classes = "".join(f"| {_name(retry)} | {text} |\n" for retry, text in WHAT_TO_DO.items())
    head = "\n| status | code | means | class | about money |\n|---|---|---|---|---|\n"
    kinds = sorted(CATALOGUE.values(), key=lambda kind: (kind.status, kind.code))
    codes = "".join(map(_line, kinds))
    shown = [kind for kind in kinds if kind.player_message is not None]
    messages = "".join(f"| `{kind.code}` | {kind.player_message} |\n" for kind in shown)
    texts = f"## What a player may be shown\n\n| code | text |\n|---|---|\n{messages}"
    return f"{_HEAD}{classes}\n## Codes\n{head}{codes}\n{texts}"


def _line(kind: ErrorKind) -> str:
    money = WHAT_MONEY_DID[kind.money_moved]
    return f"| {kind.status} | `{kind.code}` | {kind.title} | {_name(kind.retry)} | {money} |\n"


def _name(retry: Retry) -> str:
    return retry.value.replace("_", " ")
